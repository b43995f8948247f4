"""Damage to files of arrays: safetensors, npy, npz and torch's own .pth."""

from __future__ import annotations

import functools
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from byte_mutations import Damaged, Mutation, flipped
from json_mutations import JSON

BOMB = 1 << 30  # bytes of zeros that deflate to a megabyte


# --- safetensors ---------------------------------------------------------------------------------------------------

Header = dict[str, Any]


def tensor_mutation(change: Callable[[Header, bytes, Random], tuple[str, bytes]]) -> Mutation:
    def mutate(data: bytes, rng: Random) -> Damaged:
        (size,) = struct.unpack("<Q", data[:8])
        header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
        words, body = change(header, body, rng)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        return words, struct.pack("<Q", len(text)) + text + body

    return mutate


def _tensor(header: Header, rng: Random) -> str:
    return rng.choice([name for name in header if name != "__metadata__"])


def renamed(header: Header, body: bytes, rng: Random) -> tuple[str, bytes]:
    name = _tensor(header, rng)
    header[f"{name}_"] = header.pop(name)
    return f"tensor {name} renamed", body


def swapped(header: Header, body: bytes, rng: Random) -> tuple[str, bytes]:
    """Two tensors take each other's place; where shapes are equal, no check of shapes finds it."""
    a = _tensor(header, rng)
    alike = [n for n in header if n not in (a, "__metadata__") and header[n]["shape"] == header[a]["shape"]]
    b = rng.choice(alike) if alike else _tensor(header, rng)
    header[a], header[b] = header[b], header[a]
    return f"tensors {a} and {b} swapped", body


def reshaped(header: Header, body: bytes, rng: Random) -> tuple[str, bytes]:
    name = _tensor(header, rng)
    shape = header[name]["shape"]
    whole = int(np.prod(shape, dtype=object)) if shape else 1
    header[name]["shape"] = new = rng.choice([[*shape, 1], shape[::-1], [whole], [1, *shape], [2**62, 4], [], [0]])
    return f"tensor {name} of shape {shape} is {new}", body


def retyped(header: Header, body: bytes, rng: Random) -> tuple[str, bytes]:
    name = _tensor(header, rng)
    old = header[name]["dtype"]
    alike = {"F32": ["I32", "U32"], "F64": ["I64"], "F16": ["BF16", "I16"], "I64": ["F64"]}.get(old, [])
    header[name]["dtype"] = rng.choice([*alike, "F32", "BOOL", "F8_E4M3", "X9"])
    return f"tensor {name} of {old} is {header[name]['dtype']}", body


def annotated(header: Header, body: bytes, rng: Random) -> tuple[str, bytes]:
    """Metadata gone, renamed, or with another value inside the JSON that it holds."""
    about = header.get("__metadata__") or {}
    key = rng.choice(list(about)) if about else "format"
    what = rng.choice(["all gone", "gone", "text", "inside", "inside", "inside"])
    if what == "all gone":
        header.pop("__metadata__", None)
    elif what == "gone":
        about.pop(key, None)
    elif what == "inside" and about.get(key, "")[:1] in ("{", "["):
        inside, changed = rng.choice(JSON)(about[key].encode(), rng)
        about[key] = (changed or b"").decode("utf-8", errors="replace")
        what = inside
    else:
        header.setdefault("__metadata__", {})[key] = rng.choice(["", "x", "7", "null", "[]"])
    return f"metadata {key} {what}", body


def other_value(header: Header, body: bytes, rng: Random) -> tuple[str, bytes]:
    name = _tensor(header, rng)
    start, stop = header[name]["data_offsets"]
    kind = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "I64": "<i8"}.get(header[name]["dtype"])
    if kind is None or stop <= start:
        return other_offset(header, body, rng)
    changed = np.frombuffer(body[start:stop], kind).copy()
    i = rng.randrange(len(changed))
    choice = [0, 1, -1, 1000] if kind == "<i8" else [0, -changed[i], changed[i] * 1.5, np.nan, np.inf, -np.inf, 6e4]
    changed[i] = rng.choice(choice)
    return f"tensor {name}[{i}] is {changed[i]}", body[:start] + changed.tobytes() + body[stop:]


def other_offset(header: Header, body: bytes, rng: Random) -> tuple[str, bytes]:
    name = _tensor(header, rng)
    end = rng.randrange(2)
    header[name]["data_offsets"][end] = new = rng.choice([0, 8, -8, 2**40, len(body)])
    return f"tensor {name} at offset {new}", body


def without(header: Header, body: bytes, rng: Random) -> tuple[str, bytes]:
    """One tensor and its bytes gone, the others moved up: a whole file again."""
    name = _tensor(header, rng)
    start, stop = header.pop(name)["data_offsets"]
    for other, about in header.items():
        if other != "__metadata__" and about["data_offsets"][0] >= stop:
            about["data_offsets"] = [offset - (stop - start) for offset in about["data_offsets"]]
    return f"tensor {name} removed", body[:start] + body[stop:]


def huge_header(data: bytes, rng: Random) -> Damaged:
    size = rng.choice([2**63, 2**40, 100_000_000, len(data)])
    return f"a header of {size} bytes", struct.pack("<Q", size) + data[8:]


TENSORS: tuple[Mutation, ...] = (
    *(tensor_mutation(change) for change in (renamed, swapped, reshaped, retyped, without, other_offset)),
    *(tensor_mutation(change) for change in (annotated, annotated, annotated, other_value, other_value, other_value)),
    huge_header,
)


# --- npy and npz ---------------------------------------------------------------------------------------------------


def npy_header(data: bytes, rng: Random) -> Damaged:
    """Another shape, type or order in the header of an array."""
    size = struct.unpack("<H", data[8:10])[0]
    header = data[10 : 10 + size].decode("latin-1")
    about = eval(header, {"__builtins__": {}})  # a header that numpy wrote itself
    shape = about["shape"]
    key, value = rng.choice(
        [
            ("shape", (2**40, *shape[1:])),
            ("shape", (*shape, 1)),
            ("shape", shape[::-1]),
            ("shape", (shape[0] - 1, *shape[1:]) if shape else (1,)),
            ("shape", (10**6, 10**6)),
            ("shape", ()),
            ("descr", "|O"),
            ("descr", "<f8"),
            ("descr", "<i2"),
            ("descr", "<U9"),
            ("fortran_order", True),
        ]
    )
    text = repr({**about, key: value}).encode()
    text = (text + b" " * max(0, size - 1 - len(text)))[: max(size - 1, len(text))] + b"\n"
    return f"header {key} is {value}", data[:8] + struct.pack("<H", len(text)) + text + data[10 + size :]


def npz_mutation(change: Callable[[dict[str, bytes], str, Random], str]) -> Mutation:
    def mutate(data: bytes, rng: Random) -> Damaged:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = rng.choice(list(members))
        words = change(members, name, rng)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for own, content in members.items():
                archive.writestr(zipfile.ZipInfo(own), content, archive.compression)
        return f"member {name} {words}", out.getvalue()

    return mutate


def _array(values: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def member_gone(members: dict[str, bytes], name: str, rng: Random) -> str:
    del members[name]
    return "removed"


def member_renamed(members: dict[str, bytes], name: str, rng: Random) -> str:
    members[new := rng.choice([f"x{name}", f"../{name}", name.removesuffix(".npy")])] = members.pop(name)
    return f"renamed to {new}"


def member_other(members: dict[str, bytes], name: str, rng: Random) -> str:
    """Its array replaced by one of another kind, size or range."""
    old = np.load(io.BytesIO(members[name]))
    new = rng.choice(
        [
            *(np.array(["a", "b"]), np.array(3), old[:0], old[: len(old) // 2], old.astype(float), old.astype("i8")),
            *(old.astype("f8") * np.nan, old.astype("i8") * 0 + 2**40, old.astype("i8") * 0 - 1, old[None]),
            *(np.concatenate([old, old]), np.array([b"x"]), old > 0, np.zeros(0), old.astype("c8"), old[::-1]),
            np.zeros(len(old), "M8[s]"),
        ]
    )
    members[name] = _array(new)
    return f"is {new.dtype} of shape {new.shape}, first {new.reshape(-1)[:1]}"


def member_pickled(members: dict[str, bytes], name: str, rng: Random) -> str:
    out = io.BytesIO()
    np.save(out, np.array([Planted()], dtype=object), allow_pickle=True)
    members[name] = out.getvalue()
    return "is a pickle"


def member_text(members: dict[str, bytes], name: str, rng: Random) -> str:
    members[name] = rng.choice([b"", b"text", b"\x93NUMPY", b"\x80\x04N."])
    return f"is the bytes {members[name]!r}"


def member_header(members: dict[str, bytes], name: str, rng: Random) -> str:
    words, changed = npy_header(members[name], rng)
    members[name] = changed or b""
    return words


def zeros_without_end(data: bytes, rng: Random) -> Damaged:
    return f"a megabyte that inflates to {BOMB >> 20} MiB", _bomb()


@functools.cache
def _bomb() -> bytes:
    out, block = io.BytesIO(), bytes(1 << 24)
    header = _array(np.zeros((0, 8, 8), np.uint8)).replace(b"(0, 8, 8)", b"(%d, 8, 8)" % (BOMB // 64))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for split in ("train", "val", "test"):
            with archive.open(_deflated(f"{split}_images.npy"), "w", force_zip64=True) as stream:
                stream.write(header)
                for _ in range(BOMB // len(block) if split == "train" else 0):
                    stream.write(block)
            archive.writestr(zipfile.ZipInfo(f"{split}_labels.npy"), _array(np.zeros(4, int)))
    return out.getvalue()


def _deflated(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.compress_type = zipfile.ZIP_DEFLATED
    return member


NPY: tuple[Mutation, ...] = (npy_header,)
NPZ: tuple[Mutation, ...] = (
    *(npz_mutation(change) for change in (member_gone, member_renamed, member_other, member_other, member_other)),
    *(npz_mutation(change) for change in (member_pickled, member_text, member_header, member_header)),
    zeros_without_end,
)


# --- .pth -----------------------------------------------------------------------------------------------------------


class Planted:
    """Runs a command when it is unpickled: makes the file `unpickled` in the working directory."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("unpickled",)


def pth_member(data: bytes, rng: Random) -> Damaged:
    """A member of the archive gone, damaged or replaced, the archive itself whole."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    pickles = [name for name in members if name.endswith(".pkl")]
    name = rng.choice(pickles) if rng.random() < 0.5 else rng.choice(list(members))
    what = rng.choice(["removed", "pickled", "flipped", "empty"])
    if what == "removed":
        del members[name]
    else:
        new = {"pickled": lambda: pickle.dumps(Planted()), "flipped": lambda: flipped(members[name], rng)[1]}
        members[name] = new.get(what, lambda: b"")() or b""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for own, content in members.items():
            archive.writestr(zipfile.ZipInfo(own), content, archive.compression)
    return f"member {name} {what}", out.getvalue()


def pth_pickle(data: bytes, rng: Random) -> Damaged:
    return "a pickle that makes a folder", pickle.dumps(Planted(), protocol=rng.choice([0, 2, 4]))


PTH: tuple[Mutation, ...] = (pth_member, pth_member, pth_pickle)
