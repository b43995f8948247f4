"""The only place that opens image files: known formats, a limit before decoding, memory that many threads share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition
from typing import NamedTuple

from PIL import Image, ImageOps

from data_prep.errors import BadData

# Pillow knows sixty formats, some of which start other programs: EPS runs Ghostscript, whatever the file is called.
FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "PPM": (".pgm", ".ppm"),
}
MAX_PIXELS = 2**26  # of one image, 8,192 × 8,192: the largest X-ray detectors have a third of it
SHARED_PIXELS = 2**26  # of all images that are open at once, whatever the number of threads: about a gigabyte

# Pillow warns of large images on standard error and goes on; ours is an error, and comes before.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class _Budget:
    """So many pixels for all threads together; one image alone is always let in."""

    def __init__(self, total: int) -> None:
        self.total, self.taken = total, 0
        self.freed = Condition()

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        with self.freed:
            self.freed.wait_for(lambda: not self.taken or self.taken + pixels <= self.total)
            self.taken += pixels
        try:
            yield
        finally:
            with self.freed:
                self.taken -= pixels
                self.freed.notify_all()


_budget = _Budget(SHARED_PIXELS)


@contextmanager
def opened(file: Path) -> Iterator[Image.Image]:
    """Yield the decoded picture in an image file, upright after EXIF, in the mode that the file has.

    Leave the block before opening another: its pixels count against `SHARED_PIXELS` as long as it lasts.

    Raises:
        BadData: no such file, none of `FORMATS` whatever its name says, more than `MAX_PIXELS`, or damaged.
    """
    with _unread(file) as image, _budget.take(image.width * image.height):
        try:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
        except Exception as error:
            raise _damaged(file, error) from error
        yield image


def _unread(file: Path) -> Image.Image:
    """An image of which only the header was read."""
    try:
        image = Image.open(file, formats=tuple(FORMATS))
    except FileNotFoundError:
        raise BadData(f"{file}: expected an image, got no such file; check its name") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(file, str(error)) from None
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error, …
        raise _damaged(file, error) from error
    try:
        check_pixels(file, image.width, image.height)
    except BadData:
        image.close()
        raise
    return image


class Header(NamedTuple):
    """What an image file says of itself."""

    width: int
    height: int
    mode: str


def header(file: Path) -> Header:
    """Size and mode of an image without decoding it, nor turning it upright after EXIF.

    Raises:
        BadData: as `opened`.
    """
    with _unread(file) as image:
        return Header(image.width, image.height, image.mode)


def check_plain_file(file: Path) -> None:
    """Refuse what has no bytes to decode: a link that leads nowhere, or a pipe, which would be waited for for ever."""
    if file.is_file():
        return
    if file.is_symlink() and not file.exists():
        got = f"a link that leads nowhere (to {str(file.readlink())!r})"
    else:
        got = "no regular file" if file.exists() else "no such file"
    raise BadData(f"{file}: expected an image, got {got}; replace or remove it")


def check_pixels(file: Path, width: int, height: int) -> None:
    """Refuse a picture of more than `MAX_PIXELS`, by what its header says."""
    if width * height > MAX_PIXELS:
        raise _too_large(file, f"{width:,} × {height:,}")


def _too_large(file: Path, got: str) -> BadData:
    return BadData(f"{file}: expected an image of at most {MAX_PIXELS:,} pixels, got {got}; make it smaller")


def _damaged(file: Path, error: Exception) -> BadData:
    reason = " ".join(str(error).split())
    return BadData(f"{file}: expected an image, got a file that does not decode ({reason}); replace or remove it")
