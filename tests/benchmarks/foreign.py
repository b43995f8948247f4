"""Images that belong to no task: photographs, textures, noise, blank ones, and tasks' own images turned or inverted.

Every function returns uint8 (n, S, S, 3), drawn from a generator of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

Images = np.ndarray


def photographs(n: int, size: int, rng: np.random.Generator, grey: bool = False) -> Images:
    """Square crops, 96 pixels to the whole height, of scikit-learn's two photographs (a temple, a flower)."""
    sources = [Image.fromarray(one) for one in load_sample_images().images]
    found = []
    for number in range(n):
        source = sources[number % len(sources)]
        side = int(rng.integers(96, min(source.size) + 1))
        left, top = (int(rng.integers(0, room - side + 1)) for room in source.size)
        crop = source.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.LANCZOS)
        found.append(np.asarray(crop.convert("L").convert("RGB") if grey else crop))
    return np.stack(found)


def textures(n: int, size: int, rng: np.random.Generator, grey: bool = True) -> Images:
    """Random phases under an amplitude of 1/f to the power 0.7 to 1.5: the spectrum of natural scenes."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij"))
    frequency[0, 0] = 1
    found = []
    for _ in range(n):
        planes = []
        for _ in range(1 if grey else 3):
            spectrum = np.fft.rfft2(rng.normal(size=(size, size))) / frequency ** rng.uniform(0.7, 1.5)
            spectrum[0, 0] = 0
            plane = np.fft.irfft2(spectrum, s=(size, size))
            planes.append(rng.uniform(80, 170) + rng.uniform(25, 60) * plane / plane.std())
        found.append(np.stack(planes * 3 if grey else planes, axis=-1))
    return np.clip(found, 0, 255).astype(np.uint8)


def noise(n: int, size: int, rng: np.random.Generator) -> Images:
    """White noise, uniform or normal, grey or in colour, fine or in blocks."""
    found = []
    for number in range(n):
        block = int(rng.choice([1, 2, 4, 8, 16]))
        shape = (-(-size // block), -(-size // block), 1 if number % 2 else 3)
        plane = rng.uniform(0, 255, shape) if number % 4 < 2 else rng.normal(128, rng.uniform(10, 70), shape)
        large = plane.repeat(block, 0).repeat(block, 1)[:size, :size]
        found.append(np.broadcast_to(large, (size, size, 3)))
    return np.clip(found, 0, 255).astype(np.uint8)


def blank(n: int, size: int, rng: np.random.Generator) -> Images:
    """One colour all over; black, white and greys among them."""
    colours = [np.full(3, level) for level in np.linspace(0, 255, n - n // 2)]
    colours += [rng.integers(0, 256, 3) for _ in range(n // 2)]
    return np.stack([np.broadcast_to(colour, (size, size, 3)) for colour in colours]).astype(np.uint8)


FOREIGN: dict[str, Callable[[int, int, np.random.Generator], Images]] = {
    "photographs": photographs,
    "photographs, grey": lambda n, size, rng: photographs(n, size, rng, grey=True),
    "1/f textures, grey": textures,
    "1/f textures, colour": lambda n, size, rng: textures(n, size, rng, grey=False),
    "noise": noise,
    "blank": blank,
}
CHANGED: dict[str, Callable[[Images], Images]] = {  # of images (n, S, S, 3) of a task
    "inverted": lambda images: 255 - images,
    "turned by 90°": lambda images: np.rot90(images, axes=(1, 2)),
    "turned by 180°": lambda images: np.rot90(images, 2, axes=(1, 2)),
}
