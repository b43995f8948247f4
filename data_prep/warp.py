"""One movement of a picture, its mask and its box alike: mirrored, scaled and turned about the picture's centre."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from data_prep.errors import PathsearchError
from data_prep.mask_pixels import hull
from data_prep.table_words import NO_MASK

LEAST_LEFT = 0.25  # of a box's or a mask's area: what is left of less says nothing of the whole


@dataclass(frozen=True)
class Warp:
    """Mirrored first, then scaled and turned, about the centre; what comes from beyond the picture is 0.

    Attributes:
        flip: whether left and right change places.
        scale: above 1 for larger.
        angle: degrees; on the screen, where y points down, to the right.
    """

    flip: bool = False
    scale: float = 1.0
    angle: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0 and math.isfinite(self.angle)):
            raise PathsearchError(
                f"warp: expected a scale above 0 and a finite angle, got scale {self.scale} and angle {self.angle}"
            )

    def image(self, image: Image.Image) -> Image.Image:
        """The picture warped, between pixels by bilinear interpolation; its size stays."""
        return image.transform(image.size, Image.Transform.AFFINE, self._matrix(*image.size), Image.Resampling.BILINEAR)

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """The mask (H, W) of a picture warped as the picture is, uint8: nearest pixel, so labels stay labels.

        What comes from beyond the picture is background, class 0. A mask that is no truth (all 255) stays so.
        """
        if (mask == NO_MASK).all():
            return mask.copy()
        image = Image.fromarray(np.ascontiguousarray(mask, np.uint8))
        matrix = self._matrix(*image.size)
        return np.array(image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST))

    def box(self, box: np.ndarray, width: int, height: int) -> np.ndarray:
        """The upright hull of what fills a box, warped, cut to the picture.

        That is taken for the ellipse which touches all four sides, as nothing else is known of it: the corners of a box
        are seldom what it is drawn around, and their hull grows with the angle. `box_of` a mask knows better.

        Args:
            box: (…, 4) x_min, y_min, x_max, y_max in pixels, counted from the outer edge of the first pixel; NaN for
                none.
            width: of the picture, in pixels.
            height: of the picture.

        Returns:
            (…, 4) float32; NaN where there was none, or where less than a quarter of the hull's area is left.
        """
        x_min, y_min, x_max, y_max = np.moveaxis(np.asarray(box, np.float64), -1, 0)
        u, v = (x_min + x_max - width) / 2, (y_min + y_max - height) / 2
        u = -u if self.flip else u
        cos, sin = (f(math.radians(self.angle)) * self.scale for f in (math.cos, math.sin))
        x, y = cos * u - sin * v + width / 2, sin * u + cos * v + height / 2
        a, b = (x_max - x_min) / 2, (y_max - y_min) / 2
        right, down = np.hypot(cos * a, sin * b), np.hypot(sin * a, cos * b)
        whole = np.stack([x - right, y - down, x + right, y + down], -1)
        cut = np.clip(whole, 0, [width, height, width, height])
        gone = ~(_area(cut) >= LEAST_LEFT * _area(whole)) | (_area(cut) <= 0)
        return np.where(gone[..., None], np.nan, cut).astype(np.float32)

    def box_of(self, mask: np.ndarray) -> np.ndarray:
        """The hull of the warped mask (H, W), (4,) float32 in pixels.

        NaN where less than a quarter of the mask is left, or where it is empty or no truth.
        """
        if (mask == NO_MASK).all():
            return np.full(4, np.nan, np.float32)
        moved = self.mask(mask)
        left = np.count_nonzero(moved) >= max(1, LEAST_LEFT * self.scale**2 * np.count_nonzero(mask))
        return np.array(hull(moved) if left else [np.nan] * 4, np.float32)

    def _matrix(self, width: int, height: int) -> tuple[float, float, float, float, float, float]:
        """Where in the picture a pixel of the result comes from: x = a·x' + b·y' + c, y = d·x' + e·y' + f."""
        flip, angle = (-1.0 if self.flip else 1.0), math.radians(self.angle)
        cos, sin = math.cos(angle) / self.scale, math.sin(angle) / self.scale
        cx, cy = width / 2, height / 2  # Pillow counts from the corner of the first pixel, not its centre
        a, b, d, e = flip * cos, flip * sin, -sin, cos
        return a, b, cx - a * cx - b * cy, d, e, cy - d * cx - e * cy


def _area(box: np.ndarray) -> np.ndarray:
    return (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])
