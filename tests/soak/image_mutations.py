"""Damage to images: PNG chunks, JPEG markers, DICOM elements, and other formats under a familiar name."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from random import Random

import numpy as np
from byte_mutations import Damaged, Mutation
from PIL import Image

MAGIC = b"\x89PNG\r\n\x1a\n"
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n0 0 moveto 32 32 lineto stroke\nshowpage\n"


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], len(MAGIC)
    while at + 8 <= len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Chunks with lengths and checksums that fit."""
    return MAGIC + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def png_header(data: bytes, rng: Random) -> Damaged:
    chunks = chunks_of(data)
    fields = list(struct.unpack(">IIBBBBB", chunks[0][1]))
    name, values = rng.choice(
        [
            ("width", [0, 1, 33, 13_000, 2**31 - 1]),
            ("height", [0, 1, 33, 13_000, 2**31 - 1]),
            ("depth", [0, 1, 2, 4, 16, 99]),
            ("colour", [2, 3, 4, 6, 9]),
            ("compression", [1]),
            ("filter", [1]),
            ("interlace", [1, 7]),
        ]
    )
    at = ("width", "height", "depth", "colour", "compression", "filter", "interlace").index(name)
    fields[at] = rng.choice(values)
    chunks[0] = (b"IHDR", struct.pack(">IIBBBBB", *fields))
    return f"header {name} is {fields[at]}", png_of(chunks)


def png_chunks(data: bytes, rng: Random) -> Damaged:
    chunks = chunks_of(data)
    i = rng.randrange(len(chunks))
    kind = chunks[i][0].decode("latin-1")
    what = rng.choice(["gone", "twice", "first", "cut", "zeroed"])
    if what == "gone":
        del chunks[i]
    elif what == "twice":
        chunks.insert(i, chunks[i])
    elif what == "first":
        chunks.insert(0, chunks.pop(i))
    elif what == "cut":
        chunks[i] = (chunks[i][0], chunks[i][1][: len(chunks[i][1]) // 2])
    else:
        chunks[i] = (chunks[i][0], bytes(len(chunks[i][1])))
    return f"chunk {i} {kind} {what}", png_of(chunks)


def png_more(data: bytes, rng: Random) -> Damaged:
    """A chunk more: text that inflates, transparency, a palette, an odd orientation."""
    kind, body = rng.choice(
        [
            (b"zTXt", b"x\0\0" + _zeros()),
            (b"iCCP", b"x\0\0" + zlib.compress(bytes(1 << 20))),
            (b"tRNS", b"\0\0"),
            (b"PLTE", bytes(768)),
            (b"gAMA", struct.pack(">I", 0)),
            (b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
            (b"acTL", struct.pack(">II", 2**31, 0)),
        ]
    )
    chunks = chunks_of(data)
    return f"a chunk {kind.decode()} more", png_of([chunks[0], (kind, body), *chunks[1:]])


@functools.cache
def _zeros() -> bytes:
    return zlib.compress(bytes(1 << 26))


def png_bomb(data: bytes, rng: Random) -> Damaged:
    return "16 bits of 13,000 × 13,000 pixels, deflated", _bomb()


@functools.cache
def _bomb(side: int = 13_000) -> bytes:
    deflate, row = zlib.compressobj(1), bytes(2 * side + 1)
    body = b"".join(deflate.compress(row * 100) for _ in range(side // 100)) + deflate.flush()
    return png_of([(b"IHDR", struct.pack(">IIBBBBB", side, side, 16, 0, 0, 0, 0)), (b"IDAT", body), (b"IEND", b"")])


def jpeg_marker(data: bytes, rng: Random) -> Damaged:
    """A segment gone, twice, of another length, or a frame of another size."""
    starts = [at for at in range(len(data) - 4) if data[at] == 0xFF and data[at + 1] in (0xC0, 0xC4, 0xDA, 0xDB, 0xE0)]
    at = rng.choice(starts)
    size = 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    name = f"{data[at + 1]:02X}"
    what = rng.choice(["gone", "twice", "length", "frame"])
    frame = data.find(b"\xff\xc0")
    if what == "frame" and frame >= 0:
        height, width = rng.choice([(0, 9), (65_500, 65_500), (1, 1), (20_000, 20_000)])
        return f"frame of {width} × {height}", data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]
    if what == "gone":
        return f"segment {name} gone", data[:at] + data[at + size :]
    if what == "twice":
        return f"segment {name} twice", data[: at + size] + data[at:]
    return f"segment {name} of another length", data[: at + 2] + rng.randbytes(2) + data[at + 4 :]


def saved_otherwise(data: bytes, rng: Random) -> Damaged:
    """The same pixels in another format or mode, under the old name."""
    image = Image.open(io.BytesIO(data))
    kind, mode = rng.choice(
        [("GIF", "P"), ("TIFF", "F"), ("BMP", "RGB"), ("WEBP", "RGB"), ("PPM", "L"), ("PCX", "L"), ("TGA", "L"),
         ("ICO", "L"), ("PNG", "1"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "LA"), ("PNG", "I;16"), ("JPEG", "CMYK"),
         ("EPS", "L"), ("SGI", "L")]
    )  # fmt: skip
    out = io.BytesIO()
    if mode == "I;16":
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(out, kind)
    else:
        image.convert(mode).save(out, kind)
    return f"saved as {kind}, {mode}", out.getvalue()


def postscript(data: bytes, rng: Random) -> Damaged:
    return "PostScript", POSTSCRIPT


def other_pixel(data: bytes, rng: Random) -> Damaged:
    image = Image.open(io.BytesIO(data))
    kind = image.format
    pixels = np.array(image)
    place = tuple(rng.randrange(side) for side in pixels.shape)
    pixels[place] ^= 0x80
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return f"pixel {place} changed", out.getvalue()


def dicom_element(data: bytes, rng: Random) -> Damaged:
    import pydicom

    dataset = pydicom.dcmread(io.BytesIO(data))
    name, values = rng.choice(
        [
            ("Rows", [0, 1, 65_535]),
            ("Columns", [0, 1, 65_535]),
            ("BitsAllocated", [0, 1, 7, 32, 64]),
            ("BitsStored", [0, 1, 99]),
            ("SamplesPerPixel", [0, 3, 9]),
            ("PixelRepresentation", [1, 2]),
            ("PhotometricInterpretation", ["MONOCHROME1", "RGB", "PALETTE COLOR", "YBR_FULL_422", "x", ""]),
            ("NumberOfFrames", ["0", "1", "2", "999999999", "-1"]),
            ("RescaleSlope", ["0", "nan", "1e308", "x"]),
            ("RescaleIntercept", ["inf", "-1e308"]),
            ("WindowWidth", ["0", "-1", "nan", "1e308"]),
            ("WindowCenter", ["nan", "x"]),
            ("PixelData", [b"", b"\0", bytes(1 << 20)]),
        ]
    )
    value = rng.choice([*values, None])
    if value is None:
        if name in dataset:
            delattr(dataset, name)
    else:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom warns of what is meant here
            try:
                setattr(dataset, name, value)
            except (ValueError, TypeError, OverflowError):
                return dicom_syntax(data, rng)
    out = io.BytesIO()
    try:
        dataset.save_as(out)
    except Exception:  # what pydicom cannot write, it cannot be given
        return dicom_syntax(data, rng)
    return f"{name} is {value!r:.40}", out.getvalue()


def dicom_syntax(data: bytes, rng: Random) -> Damaged:
    """Another transfer syntax: compressed, big-endian, deflated, unknown."""
    own = b"1.2.840.10008.1.2.1\0"
    new = rng.choice([b"1.2.840.10008.1.2\0\0\0", b"1.2.840.10008.1.2.2\0", b"1.2.840.10008.1.2.5\0", b"9.9.9.9\0" * 2])
    return f"transfer syntax {new!r}", data.replace(own, new[: len(own)].ljust(len(own), b"\0"), 1)


PNG: tuple[Mutation, ...] = (
    *(png_header, png_header, png_chunks, png_chunks, png_more, saved_otherwise, postscript, other_pixel, png_bomb),
)
JPEG: tuple[Mutation, ...] = (jpeg_marker, jpeg_marker, jpeg_marker, saved_otherwise, postscript, png_bomb)
DICOM: tuple[Mutation, ...] = (dicom_element, dicom_element, dicom_element, dicom_element, dicom_syntax)
