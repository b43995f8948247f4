"""A heart beat as a picture: a white anti-aliased trace on black."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

TRACE_WIDTH = 1.75 / 64  # of the image's side: thin enough to show a notch, thick enough to survive pooling
MARGIN = 0.06  # of the side, above and below, so that the trace's width is never cut off
OVERSAMPLING = 4  # drawn 4 times too large, then averaged down: anti-aliasing that Pillow's lines lack


def draw_beat(window: np.ndarray, image_size: int) -> Image.Image:
    """The samples of one window as a grey image, scaled to the window's own range.

    Args:
        window: samples, any unit; a flat line is drawn in the middle.
        image_size: side of the square image in pixels.

    Returns:
        Mode "L", `image_size` × `image_size`; time to the right, voltage upwards.
    """
    side = image_size * OVERSAMPLING
    low, high = float(window.min()), float(window.max())
    height = (window - low) / (high - low) if high > low else np.full(len(window), 0.5)
    x = np.linspace(0, side - 1, len(window))
    y = (1 - MARGIN - height * (1 - 2 * MARGIN)) * (side - 1)
    picture = Image.new("L", (side, side))
    trace = np.stack([x, y], axis=1).ravel().tolist()
    ImageDraw.Draw(picture).line(trace, fill=255, width=max(1, round(side * TRACE_WIDTH)))
    return picture.reduce(OVERSAMPLING)
