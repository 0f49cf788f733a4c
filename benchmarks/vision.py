"""Vision: a pre-trained timm model learns to classify images, and is tested on images like those and on shifted ones.

Images are stored encoded, as the hub has them; whoever asks for one decodes it. Sizes, means and interpolation are
those that the model was pre-trained with: the `config.json` beside its weights names them.

- Of a training image a part is cut out at random (8 % to 100 % of the area), resized, and mirrored half of the time.
- A test image is resized, and its middle is cut out. Shifts change it then, before it is standardised; they are made
  when they are asked for, and are the same in every run.
- Images in grey get three equal channels; transparency is ignored.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import timm
import torch
import torch.nn.functional as F
from datasets import concatenate_datasets
from PIL import Image
from safetensors import safe_open
from timm.data import create_transform, resolve_data_config, str_to_interp_mode
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate
from torchvision.transforms import v2

from benchmarks.cache import digest
from benchmarks.data.hub import config_of, fetch, fetched_by, model_folder, pretrained
from benchmarks.data.image_shifts import shifted
from benchmarks.data.parquet import Wanted, batches, read, write
from benchmarks.data.prepared import Prepared, prepared, require
from benchmarks.errors import DataError
from benchmarks.mini.shifts import to_float
from benchmarks.row import Benchmark
from benchmarks.sources import Repository, VisionSource
from benchmarks.task import Batch, Report, Task, silent

MODEL_FILES = ("config.json", "model.safetensors")

_ROWS = 100
_EXAMPLES = pa.schema([("image", pa.binary()), ("label", pa.int64())])
_FIRST_LAYERS = ("patch_embed", "stem", "conv1")
"""The name, in timm, of what turns the pixels of a ViT, a ConvNeXt, a ResNet into features.

Noise on its output is what noise on token embeddings is to a language model. In a ResNet a BatchNorm follows, which
divides by the spread over the batch, the noise's included.
"""


@dataclass(frozen=True)
class Preprocessing:
    """What the model takes: images of `side` pixels, standardised per channel. `config` is timm's description of it."""

    config: Mapping[str, Any]

    @property
    def side(self) -> int:
        return int(self.config["input_size"][-1])

    def resized(self) -> Any:
        """The transform of test images, PIL -> (3, side, side), bytes."""
        return create_transform(**self.config, is_training=False, normalize=False)

    def augmented(self) -> v2.Compose:
        """The transform of training images, PIL -> (3, side, side), bytes; it draws from torch's global generator."""
        mode = str_to_interp_mode(self.config["interpolation"])
        return v2.Compose(
            [v2.RandomResizedCrop(self.side, interpolation=mode), v2.RandomHorizontalFlip(), v2.PILToTensor()]
        )

    def standardised(self, image: Tensor) -> Tensor:
        """(3, side, side), float in [0, 1], with the mean taken away, divided by the standard deviation."""
        return v2.functional.normalize(image, list(self.config["mean"]), list(self.config["std"]))


@dataclass(frozen=True)
class TrainImages(Dataset[Any]):
    """Augmented examples without end: item `epoch * len + index` is a function of itself and of `seed` alone."""

    rows: Any
    name: str
    preprocessing: Preprocessing
    transform: v2.Compose
    seed: int

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> Batch:
        image, label = _example(self.rows, item % len(self.rows), self.name)
        drawn = np.random.SeedSequence((self.seed, item)).generate_state(1, np.uint64)
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed, which would seed the GPUs too.
            torch.default_generator.manual_seed(int(drawn[0]))
            changed = self.transform(image)
        return {"images": self.preprocessing.standardised(to_float(changed)), "labels": label}


@dataclass(frozen=True)
class ScoredImages(Dataset[Any]):
    """Examples as they are tested, under the named shift where there is one."""

    rows: Any
    name: str
    preprocessing: Preprocessing
    transform: Any
    shift: str | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        image, label = _example(self.rows, index, self.name)
        pixels = to_float(self.transform(image))
        if self.shift is not None:
            pixels = shifted(pixels, self.shift, index)
        return {"images": self.preprocessing.standardised(pixels), "labels": label}


def forward(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy and logits (images, classes) of `images` (images, 3, side, side) with `labels` (images,)."""
    logits = model(batch["images"])
    return F.cross_entropy(logits, batch["labels"]), logits


def prepare(row: Benchmark, report: Report) -> None:
    """Fetch the model and the images, check and store them, unless they are there."""
    with fetched_by(row.name):
        _prepared(row, report)


def task(row: Benchmark, seed: int) -> Task:
    """Classification learned on augmented images, tested on clean ones, the training domain, and on shifted ones.

    The head and the augmentation are drawn from `seed`. There is no validation set.
    """
    source = _source(row)
    require((model_folder(source.model), *(_folder(source, split) for split, _ in _splits(source))), row.name)
    weights, sets = _prepared(row, silent)
    model = new_model(weights.folder, source, seed)
    preprocessing = Preprocessing(resolve_data_config(pretrained_cfg=_pretrained_config(weights.folder)))
    train = concatenate_datasets([read(sets[split].folder) for split, _ in source.train])
    test = read(sets[source.test[0]].folder)
    names = "+".join(split for split, _ in source.train)
    scored = ScoredImages(test, f"{source.repository} {source.test[0]}", preprocessing, preprocessing.resized())
    input_module: nn.Module
    if source.noise_site == "pixels":
        input_module = nn.Identity()
        model = nn.Sequential(input_module, model)
    else:
        input_module = first_layer(model)
    return Task(
        model=model.train(),
        forward=forward,
        train=TrainImages(train, f"{source.repository} {names}", preprocessing, preprocessing.augmented(), seed),
        validation=None,
        test={row.train_domain: scored} | {name: replace(scored, shift=name) for name in row.zero_shot_domains},
        input_module=input_module,
        collate=default_collate,
        augmented=True,
        revisions={
            source.model.name: weights.details["revision"],
            source.repository.name: sets[source.test[0]].details["revision"],
            "weights sha256": weights.checksums["model.safetensors"][:16],
            "images sha256": digest({split: dict(images.checksums) for split, images in sets.items()}),
        },
    )


def new_model(folder: Path, source: VisionSource, seed: int) -> nn.Module:
    """The pre-trained model with a new head drawn from `seed`; the caller's random state is left as it was.

    Raises DataError where the weights in `folder` are not all of this architecture's.
    """
    weights = folder / "model.safetensors"
    # A count of classes that no model has: a head that was trained on as many as ours is not kept either.
    overlay = {"source": "", "file": str(weights), "num_classes": -1}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            model: nn.Module = timm.create_model(
                f"local-dir:{folder}", pretrained=True, pretrained_cfg_overlay=overlay, num_classes=source.classes
            )
        except RuntimeError as error:
            raise DataError(
                f"{source.model}: its weights do not fit {source.architecture}. Name another model in the row's source."
            ) from error
    head = f"{_pretrained_config(folder)['classifier']}."
    with safe_open(weights, "pt") as file:
        stored = set(file.keys())
    for name in model.state_dict():
        # timm fills in what is not stored with random numbers. The batches that a BatchNorm has seen count for nothing.
        if name not in stored and not name.startswith(head) and not name.endswith("num_batches_tracked"):
            raise DataError(
                f"{source.model}: its weights lack {name}. Name a repository of a whole {source.architecture}."
            )
    return model


def first_layer(model: nn.Module) -> nn.Module:
    """Whose output is to a timm model what token embeddings are to a language model."""
    return next(model.get_submodule(name) for name in _FIRST_LAYERS if hasattr(model, name))


def _source(row: Benchmark) -> VisionSource:
    assert isinstance(row.source, VisionSource)
    return row.source


def _splits(source: VisionSource) -> tuple[tuple[str, int], ...]:
    return (*source.train, source.test)


def _folder(source: VisionSource, split: str) -> str:
    return f"vision/{source.repository.name.replace('/', '--')}/{split}"


def _prepared(row: Benchmark, report: Report) -> tuple[Prepared, dict[str, Prepared]]:
    """The model and the images of each split, made unless they are there."""
    source = _source(row)
    model = pretrained(source.model, MODEL_FILES, report)
    _check_model(model.folder, source)
    repository = source.repository
    sets: dict[str, Prepared] = {}
    for split, examples in _splits(source):
        key = {
            "repository": repository.name,
            "revision": source.repository.revision,
            "pattern": dict(source.files)[split],
            "columns": [source.image_column, source.label_column],
            "classes": source.classes,
            "examples": examples,
        }
        build = partial(_copied, repository, split, examples, source, report)
        sets[split] = prepared(_folder(source, split), key, build)
        # The newest commit, where none is named, is that of the first split: all are of the same.
        repository = replace(repository, revision=sets[split].details["revision"])
    return model, sets


def _pretrained_config(folder: Path) -> dict[str, Any]:
    return config_of(folder)["pretrained_cfg"]


def _check_model(folder: Path, source: VisionSource) -> None:
    """The weights are of the wanted architecture, which timm knows; raises DataError."""
    found = config_of(folder).get("architecture")
    if found != source.architecture or "pretrained_cfg" not in config_of(folder):
        raise DataError(
            f"{source.model}: is {found!r} by its config.json, not a {source.architecture!r} of timm. "
            "Correct the model or the architecture in the benchmark's row."
        )
    if not timm.is_model(source.architecture):
        raise DataError(f"{source.architecture}: timm {timm.__version__} does not know it. Correct the architecture.")


def _copied(
    repository: Repository, split: str, examples: int, source: VisionSource, report: Report, folder: Path
) -> dict[str, Any]:
    """Write the encoded images and labels of one split into `folder`; what the manifest says of them."""
    name = f"{repository} {split}"
    fetched = fetch(repository, [dict(source.files)[split]], report)
    columns = (source.image_column,)
    wanted = Wanted(name, columns, _is_image, "encoded images", source.label_column, source.classes, examples)

    def checked() -> Iterator[pa.RecordBatch]:
        for first, batch in batches([fetched.folder / file for file in fetched.files], wanted, _ROWS):
            report(f"check {name}", first, examples)
            encoded = [image and image["bytes"] for image in batch.column(source.image_column).to_pylist()]
            for row, image in enumerate(encoded, start=first):
                _decoded(image, row, name)
            labels = batch.column(source.label_column).cast(pa.int64())
            yield pa.record_batch([pa.array(encoded, pa.binary()), labels], _EXAMPLES)

    write(checked(), _EXAMPLES, folder)
    report(f"check {name}", examples, examples)
    return {"revision": fetched.revision, "examples": examples}


def _is_image(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0


def _example(rows: Any, index: int, name: str) -> tuple[Image.Image, Tensor]:
    row = rows[index]
    return _decoded(row["image"], index, name), torch.tensor(row["label"])


def _decoded(encoded: bytes | None, row: int, name: str) -> Image.Image:
    """The image in red, green and blue; raises DataError."""
    try:
        with Image.open(io.BytesIO(encoded or b"")) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{name}: the image of row {row} cannot be decoded ({type(error).__name__}). "
            "Name a revision without such rows."
        ) from error
