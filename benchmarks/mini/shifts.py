"""Random changes of images: four make the shifted test sets, and some make the source of the pre-training varied.

Images are (images, 1, height, width), float in [0, 1]; each change returns new images of the same shape and range.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torchvision.transforms.v2.functional import gaussian_blur

Shift = Callable[[Tensor, Generator], Tensor]


def to_float(images: Tensor) -> Tensor:
    return images.float() / 255


def to_bytes(images: Tensor) -> Tensor:
    return (images * 255).round().byte()


def uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


@dataclass(frozen=True)
class Affine:
    """Turns, scales, shears and moves each image about its centre; what comes in from outside is black.

    Each field is the largest absolute value of a uniform distribution: `degrees`; `scale`, the natural logarithm of
    the factor of either axis; `shear`, the shift in x per unit of y; `move`, a share of the side, either way.
    """

    degrees: float
    scale: float
    shear: float
    move: float

    def times(self, factor: float) -> "Affine":
        return Affine(self.degrees * factor, self.scale * factor, self.shear * factor, self.move * factor)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        def drawn(bound: float) -> Tensor:
            return uniform(len(images), -bound, bound, generator)

        angle, shear = torch.deg2rad(drawn(self.degrees)), drawn(self.shear)
        width, height = drawn(self.scale).exp(), drawn(self.scale).exp()
        # The map from where a pixel goes to where it comes from. The side has length 2, from -1 to 1.
        x = torch.stack([angle.cos() / width, (shear - angle.sin()) / width, 2 * drawn(self.move)], 1)
        y = torch.stack([angle.sin() / height, angle.cos() / height, 2 * drawn(self.move)], 1)
        grid = F.affine_grid(torch.stack([x, y], 1), list(images.shape), align_corners=False)
        # Weights of the interpolation may add up to one and a rounding error.
        return F.grid_sample(images, grid, align_corners=False).clamp(0, 1)


@dataclass(frozen=True)
class Noise:
    """Adds independent Gaussian noise of standard deviation `std` to every pixel, then clamps."""

    std: float

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        return (images + self.std * torch.randn(images.shape, generator=generator)).clamp(0, 1)


@dataclass(frozen=True)
class Blur:
    """Blurs with a Gaussian of standard deviation `std` pixels, cut off at four of them; nothing in it is random."""

    std: float

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        side = 2 * round(4 * self.std) + 1
        return gaussian_blur(images, [side, side], [self.std, self.std]).clamp(0, 1)


@dataclass(frozen=True)
class Occlusion:
    """Covers each image with one grey square of `side` pixels, anywhere inside it."""

    side: int

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        count, _, height, width = images.shape
        top = torch.randint(height - self.side + 1, (count, 1, 1, 1), generator=generator)
        left = torch.randint(width - self.side + 1, (count, 1, 1, 1), generator=generator)
        row, column = torch.arange(height).view(1, 1, -1, 1), torch.arange(width).view(1, 1, 1, -1)
        covered = (row >= top) & (row < top + self.side) & (column >= left) & (column < left + self.side)
        return images.masked_fill(covered, 0.5)


SHIFTS: dict[str, Shift] = {
    "noise": Noise(0.2),
    "blur": Blur(1.25),
    "affine": Affine(degrees=20, scale=0.2, shear=0.2, move=0.08),
    "occlusion": Occlusion(8),
}
"""What is done to the test images of a target, by the name of the domain that comes of it."""
