"""Random changes of photographs, which make the shifted test sets of the vision benchmarks.

They are those of the miniature benchmarks, with lengths in shares of the side. Blur is milder, 4 pixels of 224 and not
10: it takes the fine detail, as it takes a stroke's edge there, and leaves things to be recognised.
"""

import hashlib

from torch import Generator, Tensor

from benchmarks.mini.reproducible import one_thread
from benchmarks.mini.shifts import SHIFTS, Blur, Noise, Occlusion, Shift

NAMES = tuple(SHIFTS)


def shift(name: str, side: int) -> Shift:
    """The shift of that name for images of `side` pixels."""
    made: dict[str, Shift] = {
        "noise": Noise(0.2),
        "blur": Blur(side / 56),
        "affine": SHIFTS["affine"],
        "occlusion": Occlusion(round(2 * side / 7)),
    }
    return made[name]


def shifted(image: Tensor, name: str, index: int) -> Tensor:
    """The test image number `index` under the shift `name`: the same, whoever asks for it and when.

    `image` is (3, side, side), float in [0, 1], and so is what is returned.
    """
    number = int.from_bytes(hashlib.sha256(f"{name}, {index}".encode()).digest()[:6], "big")
    with one_thread():
        return shift(name, image.shape[-1])(image[None], Generator().manual_seed(number))[0]
