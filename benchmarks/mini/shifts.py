"""Shifts of the distribution of images: what makes a shifted test set out of a test set, and the source's variety.

Images are (images, 1, height, width) in [0, 1]; every shift returns new images of the same shape and range.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torchvision.transforms.v2.functional import gaussian_blur

Shift = Callable[[Tensor, Generator], Tensor]


def uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


@dataclass(frozen=True)
class Affine:
    """Turns, scales, shears and moves each image about its centre; what comes in from outside is black.

    Each of `degrees`, `scale` (natural logarithm, per axis), `shear` and `move` (share of the side) is the largest
    absolute value of a uniform distribution.
    """

    degrees: float
    scale: float
    shear: float
    move: float

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        def draw(bound: float) -> Tensor:
            return uniform(len(images), -bound, bound, generator)

        angle, shear = torch.deg2rad(draw(self.degrees)), draw(self.shear)
        width, height = draw(self.scale).exp(), draw(self.scale).exp()
        cosine, sine = angle.cos(), angle.sin()
        # Rows of the map from where a pixel goes to where it comes from; coordinates run from -1 to 1, hence 2 * move.
        x = torch.stack([cosine / width, (shear - sine) / width, 2 * draw(self.move)], 1)
        y = torch.stack([sine / height, cosine / height, 2 * draw(self.move)], 1)
        grid = F.affine_grid(torch.stack([x, y], 1), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False)


@dataclass(frozen=True)
class Noise:
    """Adds independent Gaussian noise of standard deviation `std` to every pixel, then clamps."""

    std: float

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        return (images + self.std * torch.randn(images.shape, generator=generator)).clamp(0, 1)


@dataclass(frozen=True)
class Blur:
    """Blurs with a Gaussian of standard deviation `std` pixels, cut off at four of them; nothing here is random."""

    std: float

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        side = 2 * round(4 * self.std) + 1
        return gaussian_blur(images, [side, side], [self.std, self.std])


@dataclass(frozen=True)
class Occlusion:
    """Covers one grey square of `side` pixels, anywhere inside each image."""

    side: int

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        count, _, height, width = images.shape
        top = torch.randint(height - self.side + 1, (count, 1, 1, 1), generator=generator)
        left = torch.randint(width - self.side + 1, (count, 1, 1, 1), generator=generator)
        row, column = torch.arange(height).view(1, 1, -1, 1), torch.arange(width).view(1, 1, 1, -1)
        covered = (row >= top) & (row < top + self.side) & (column >= left) & (column < left + self.side)
        return images.masked_fill(covered, 0.5)


SHIFTS: dict[str, Shift] = {
    "noise": Noise(0.3),
    "blur": Blur(1.5),
    "affine": Affine(degrees=30, scale=0.2, shear=0.3, move=0.1),
    "occlusion": Occlusion(8),
}
"""The shifted test sets, named as the tables print them."""
