"""Image data sets and timm models in exactly the hub's layout, as small as can be.

Images are photo-like: a coloured gradient, whose hue tells the class, under three soft discs and grain.
"""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import timm
import torch
from datasets import ClassLabel, Features
from datasets import Image as ImageFeature
from numpy.typing import NDArray
from PIL import Image

from benchmarks.sources import VisionSource

ARCHITECTURES = {"vit_base_patch16_224": "test_vit", "resnet50": "test_resnet", "convnext_tiny": "test_convnext"}
"""timm's smallest model of each class that the paper's rows train."""

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
STATISTICS: dict[str, Any] = {"test_resnet": _IMAGENET, "test_convnext": _IMAGENET}
"""What the paper's convolutional networks are standardised by; the small ones are by 0.5 and 0.5, as its ViT is."""


def small(source: VisionSource, classes: int = 5, train: int = 24, test: int = 10) -> VisionSource:
    """The same repositories, files and columns, with few images of few classes and a small model."""
    return replace(
        source,
        architecture=ARCHITECTURES.get(source.architecture, source.architecture),
        classes=classes,
        train=tuple((split, train) for split, _ in source.train),
        test=(source.test[0], test),
    )


def write_vision(root: Path, source: VisionSource, shards: int = 1, seed: int = 0) -> None:
    """Both repositories of `source` below `root`, with as many images in each split as it says."""
    write_images(root / "datasets" / source.repository.name, source, shards, seed)
    write_model(root / "models" / source.model.name, source.architecture, seed)


def write_images(folder: Path, source: VisionSource, shards: int = 1, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    patterns = dict(source.files)
    for split, count in (*source.train, source.test):
        labels = random.permutation(np.arange(count) % source.classes).tolist()
        write_split(folder, patterns[split], labels, source, shards, random)
    # What nobody asked for: sets of corrupted images lie beside the real ones of tanganke/stanford_cars.
    corrupted = patterns[source.test[0]].replace(source.test[0], "gaussian_noise")
    write_split(folder, corrupted, [0], source, 1, random)


def write_split(
    folder: Path,
    pattern: str,
    labels: Sequence[int],
    source: VisionSource,
    shards: int,
    random: np.random.Generator,
    classes: int | None = None,
) -> None:
    """Parquet files `<split>-00000-of-0000n.parquet` with a ClassLabel, as `datasets` writes them."""
    names = [f"class {number}" for number in range(source.classes if classes is None else classes)]
    columns: dict[str, Any] = {
        source.image_column: [
            {"bytes": encoded(photo(label / source.classes, 40, 48, random)), "path": None} for label in labels
        ],
        source.label_column: list(labels),
    }
    features = {source.image_column: ImageFeature(), source.label_column: ClassLabel(names=names)}
    if source.label_column == "fine_label":
        columns["coarse_label"] = [0] * len(labels)
        features["coarse_label"] = ClassLabel(names=["everything"])
    table = pa.Table.from_pydict(columns, Features(features).arrow_schema)
    rows = -(-len(labels) // shards)
    for shard in range(shards):
        path = folder / pattern.replace("*", f"{shard:05}-of-{shards:05}")
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.slice(shard * rows, rows), path)


def photo(hue: float, height: int, width: int, random: np.random.Generator) -> Image.Image:
    """A picture whose mean colour is of `hue`, a number in [0, 1)."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    value: NDArray[Any] = 0.5 + 0.3 * np.cos(2 * np.pi * (hue + np.arange(3) / 3)) + 0.2 * (y[..., None] - 0.4)
    for _ in range(3):
        top, left, size = random.uniform(0.1, 0.9, 3)
        disc = 1 / (1 + np.exp(40 * (np.hypot(y - top, x - left) - 0.25 * size)))
        value += disc[..., None] * random.uniform(-0.3, 0.3)
    value += 0.02 * random.standard_normal(value.shape)
    return Image.fromarray((255 * value.clip(0, 1)).round().astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def write_model(folder: Path, architecture: str, seed: int = 0) -> None:
    """`config.json` and `model.safetensors` as timm uploads them, and a pickle that nobody may read."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = timm.create_model(architecture, pretrained_cfg_overlay=STATISTICS.get(architecture, {}))
    timm.models.save_for_hf(model, str(folder), safe_serialization=True)
    (folder / "pytorch_model.bin").write_bytes(b"not to be read")
