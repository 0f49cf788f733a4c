"""Glyphs drawn from the fonts that matplotlib ships: DejaVu, STIX and Computer Modern, 21 faces in all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.ft2font import FT2Font, LoadFlags
from torch import Generator, Tensor

from benchmarks.mini.shifts import Affine, to_bytes, to_float, uniform

SANS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique")
MONO = ("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique")
SERIF = ("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic")
STIX = ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta")
COMPUTER_MODERN = ("cmb10", "cmr10", "cmss10", "cmti10", "cmtt10")
FACES = (*SANS, *MONO, *SERIF, *STIX, *COMPUTER_MODERN)

DIGITS = "0123456789"
ARMENIAN = "աբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆ"
GEORGIAN = "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ"
LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyzÆÐØÞßæðøþĦħŁłŊŋŒœƒ"
GREEK = "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρςστυφχψωϑϕϖϰϱ"
CYRILLIC = "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдежзийклмнопрстуфхцчшщъыьэюяЄЉЊЂЋЏєљњђћџѢѲѴ"
SYMBOLS = "!?&@#$%*+=<>/~()[]{}§¶†‡©®¿£¥€¢∂∑∏√∞∫≠≤≥≈≡∀∃∅∇∈∉∩∪⊂⊃⊕⊗⊥∧∨←↑→↓↔⇒⇔■□▲△▼◆◇○●★♠♣♥♦♪"

SIDE = 56
"""Side of a drawn glyph, in pixels: twice that of an image, so that it can be warped before it is made small."""
INK = 40
"""The longer side of the glyph's own box; MNIST, in the same way, fits a digit into 20 of its 28 pixels."""


@dataclass(frozen=True)
class Glyphs:
    """`images` (glyphs, 1, SIDE, SIDE) uint8 and `labels` (glyphs,) int64: places in the characters asked for."""

    images: Tensor
    labels: Tensor


def draw(faces: Iterable[str], characters: Sequence[str]) -> Glyphs:
    """Every character in every face that has it, fitted into INK and centred."""
    images, labels = [], []
    for name in faces:
        face = FT2Font(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf")
        face.set_size(64, 72)
        for label, character in enumerate(characters):
            if _has(name, face, character):
                images.append(_fitted(_bitmap(face, character)))
                labels.append(label)
    return Glyphs(to_bytes(torch.stack(images)), torch.tensor(labels))


def _has(name: str, face: FT2Font, character: str) -> bool:
    if name in COMPUTER_MODERN and not (character.isascii() and character.isalnum()):
        return False  # its other code points hold whatever TeX keeps there
    return face.get_char_index(ord(character)) != 0


def _bitmap(face: FT2Font, character: str) -> Tensor:
    """The character's ink, cut to its box, (height, width) in [0, 1]."""
    face.set_text(character, 0.0, flags=LoadFlags.NO_HINTING)
    face.draw_glyphs_to_bitmap(antialiased=True)
    bitmap = np.asarray(face.get_image())
    rows, columns = np.flatnonzero(bitmap.any(1)), np.flatnonzero(bitmap.any(0))
    return to_float(torch.from_numpy(bitmap[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()))


def _fitted(ink: Tensor) -> Tensor:
    height, width = (max(1, round(side * INK / max(ink.shape))) for side in ink.shape)
    scaled = F.interpolate(ink[None, None], (height, width), mode="bilinear", antialias=True)[0]
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    return F.pad(scaled, (left, SIDE - width - left, top, SIDE - height - top))


def distinct(characters: Sequence[str], similarity: float = 0.94) -> tuple[str, ...]:
    """The characters that DejaVu Sans does not draw like an earlier one that was kept.

    Alike means that the cosine of the two images is above `similarity`: capital and small forms of one shape (O o) are
    alike, and so are Latin u and Armenian ս, or 3 and Cyrillic З; O and 0 are not.
    """
    glyphs = draw(SANS[:1], characters)
    shapes = F.normalize(glyphs.images.flatten(1).float(), dim=1)
    kept: list[int] = []
    for index, alike in enumerate(shapes @ shapes.T > similarity):
        if not alike[kept].any():
            kept.append(index)
    return tuple(characters[label] for label in glyphs.labels[kept].tolist())


def vary(drawn: Tensor, warp: Affine, generator: Generator) -> Tensor:
    """Drawn glyphs (images, 1, SIDE, SIDE) uint8, warped, halved in size and dimmed by up to 40%; float in [0, 1]."""
    images = F.avg_pool2d(warp(to_float(drawn), generator), 2)
    return images * uniform(len(images), 0.6, 1, generator).view(-1, 1, 1, 1)
