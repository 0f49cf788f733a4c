"""Glyphs drawn from the fonts that matplotlib ships: DejaVu, STIX and Computer Modern, 21 faces in all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.ft2font import FT2Font, LoadFlags
from torch import Tensor

SANS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique")
MONO = ("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique")
SERIF = ("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic")
STIX = ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta")
COMPUTER_MODERN = ("cmb10", "cmr10", "cmss10", "cmti10", "cmtt10")

DIGITS = "0123456789"
ARMENIAN = "ԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖաբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆ"
GEORGIAN = "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ"
LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyzÆÐØÞßæðøþĦħŁłŊŋŒœƒ"
GREEK = "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρςστυφχψωϑϕϖϰϱ"
CYRILLIC = "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдежзийклмнопрстуфхцчшщъыьэюяЄЉЊЂЋЏєљњђћџѢѲѴ"
SYMBOLS = "!?&@#$%*+=<>/~()[]{}§¶†‡©®¿£¥€¢∂∑∏√∞∫≠≤≥≈≡∀∃∅∇∈∉∩∪⊂⊃⊕⊗⊥∧∨←↑→↓↔⇒⇔■□▲△▼◆◇○●★♠♣♥♦♪"

SIDE = 56
"""Side of a drawn glyph: twice that of an image, so that it can be turned and scaled before it is made small."""
INK = 40
"""The longer side of the glyph itself, as MNIST fits a digit into 20 of 28 pixels."""


@dataclass(frozen=True)
class Glyphs:
    """Drawn glyphs: `images` (glyphs, 1, SIDE, SIDE) uint8, `labels` (glyphs,) int64 into `classes`."""

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]


def _face(name: str) -> FT2Font:
    face = FT2Font(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf")
    face.set_size(64, 72)
    return face


def _draw(face: FT2Font, character: str) -> Tensor | None:
    """`character` fitted into INK and centred, (1, SIDE, SIDE) in [0, 1]; None where the face does not have it."""
    # Computer Modern keeps TeX's own symbols at most code points: only its ASCII letters and digits are what they say.
    is_tex = face.family_name.lower().startswith("cm")
    if not face.get_char_index(ord(character)) or (is_tex and not (character.isascii() and character.isalnum())):
        return None
    face.set_text(character, 0.0, flags=LoadFlags.NO_HINTING)
    face.draw_glyphs_to_bitmap(antialiased=True)
    bitmap = np.asarray(face.get_image())
    rows, columns = np.flatnonzero(bitmap.any(1)), np.flatnonzero(bitmap.any(0))
    if not len(rows):
        return None
    ink = torch.from_numpy(bitmap[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32) / 255)
    height, width = (max(1, round(side * INK / max(ink.shape))) for side in ink.shape)
    ink = F.interpolate(ink[None, None], (height, width), mode="bilinear", antialias=True)[0]
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    return F.pad(ink, (left, SIDE - width - left, top, SIDE - height - top))


def draw(faces: Iterable[str], characters: Sequence[str]) -> Glyphs:
    """Every character in every face that has it; the class of a glyph is its place in `characters`."""
    images, labels = [], []
    for face in map(_face, faces):
        for label, character in enumerate(characters):
            image = _draw(face, character)
            if image is not None:
                images.append((image * 255).round().byte())
                labels.append(label)
    return Glyphs(torch.stack(images), torch.tensor(labels), tuple(characters))


def distinct(characters: Sequence[str], similarity: float = 0.94) -> tuple[str, ...]:
    """The characters that DejaVu Sans does not draw like an earlier one (cosine of the two images above `similarity`).

    Capital, small, Latin, Greek and Cyrillic forms of one shape count as one; so does what a digit or a letter of
    another alphabet looks like, as O and 0 do not, but Latin u and Armenian ս do.
    """
    glyphs = draw(SANS[:1], characters)
    shapes = F.normalize(glyphs.images.flatten(1).float(), dim=1)
    kept: list[int] = []
    for index, alike in enumerate(shapes @ shapes.T > similarity):
        if not alike[kept].any():
            kept.append(index)
    return tuple(characters[glyphs.labels[index]] for index in kept)
