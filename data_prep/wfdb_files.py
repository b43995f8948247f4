"""The only door to the wfdb library: records in, records out, its low-level errors as one clear line."""

from __future__ import annotations

import contextlib
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.annotation_file import check_reach, read_annotation_bytes
from data_prep.errors import BadData, PathsearchError

MAX_HEADER = 1 << 20  # bytes; one of 300 channels has a fiftieth of it
MITDB_PAGE = "https://physionet.org/content/mitdb/1.0.0/"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep wfdb's use of deprecated pandas arguments (4.3 with pandas 3) out of the user's sight."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield


with _quiet():
    import wfdb
    from wfdb.io._signal import BYTES_PER_SAMPLE
    from wfdb.io.annotation import ann_label_table

SYMBOLS: dict[int, str] = dict(zip(ann_label_table["label_store"].tolist(), ann_label_table["symbol"], strict=True))


@dataclass(frozen=True)
class Header:
    """What a `.hea` file says.

    Attributes:
        channels: their names.
        n_samples: of each channel.
        rate: samples a second.
        checksums: one a channel, None where there is none.
        n_bytes: the least size of the `.dat` file; 0 where the samples are compressed.
    """

    channels: tuple[str, ...]
    n_samples: int
    rate: float
    checksums: tuple[int | None, ...]
    n_bytes: int


@dataclass(frozen=True)
class Annotations:
    """The marks of an `.atr` file: sample numbers (int64, ascending) and their symbols."""

    samples: np.ndarray
    symbols: np.ndarray


def record_names(folder: Path) -> list[str]:
    """Names of the WFDB records in `folder`, sorted.

    Raises:
        BadData: the folder holds none.
    """
    names = sorted(file.stem for file in folder.glob("*.hea"))
    if not names:
        got = "no .hea file" if any(folder.iterdir()) else "an empty folder"
        raise BadData(
            f"--source {folder}: expected WFDB records (.hea, .dat and .atr files), got {got}; "
            "give the folder with the records, or use --source physionet"
        )
    return names


def read_header(folder: Path, name: str) -> Header:
    """The header of one record."""
    file = folder / f"{name}.hea"
    if file.is_file() and file.stat().st_size > MAX_HEADER:
        raise BadData(f"{file}: expected a WFDB header, got {file.stat().st_size:,} bytes; remove it from the folder")
    header = _read(file, "a WFDB header", lambda: wfdb.rdheader(str(folder / name)))
    if getattr(header, "n_seg", 1) != 1 or not header.sig_name or not header.sig_len:
        raise BadData(
            f"{file}: expected a record of one segment with named channels, got another kind; remove it from the folder"
        )
    size = BYTES_PER_SAMPLE.get(header.fmt[0])
    one_file = set(header.file_name) == {f"{name}.dat"} and len(set(header.fmt)) == 1
    if not one_file or size is None or set(header.samps_per_frame) != {1}:
        raise BadData(
            f"{file}: expected all channels in {name}.dat, in one known format and at one rate, got another "
            "arrangement; convert the record, or remove it from the folder"
        )
    if not 0 < header.fs < math.inf:
        raise BadData(f"{file}: expected samples a second above 0, got {header.fs}; correct the header")
    n_bytes = math.floor(int(header.sig_len) * len(header.sig_name) * size) + int(header.byte_offset[0] or 0)
    sums = header.checksum or [None] * len(header.sig_name)
    return Header(tuple(header.sig_name), int(header.sig_len), float(header.fs), tuple(sums), n_bytes)


def read_channel(folder: Path, name: str, header: Header, channel: str) -> np.ndarray:
    """One channel of a record in raw units, int64, found by its name and checked against the header.

    Raises:
        BadData: the `.dat` file is missing, truncated, or its samples are not those of the header's checksum.
    """
    index = header.channels.index(channel)
    file = folder / f"{name}.dat"
    expected_samples = f"{header.n_samples} samples of {len(header.channels)} channels"
    size = file.stat().st_size if file.is_file() else header.n_bytes
    if size < header.n_bytes:  # before wfdb makes room for what the header says
        raise BadData(
            f"{file}: expected {expected_samples} in {header.n_bytes:,} bytes, got {size:,}; cut? Download it again"
        )
    record = _read(
        file,
        expected_samples,
        lambda: wfdb.rdrecord(str(folder / name), channels=[index], physical=False),
    )
    signal = record.d_signal[:, 0].astype(np.int64)
    if len(signal) != header.n_samples:
        raise BadData(f"{file}: expected {header.n_samples} samples, got {len(signal)}; truncated? Download it again")
    expected = header.checksums[index]
    # Headers hold signed 16-bit checksums, wfdb computes unsigned ones: equal modulo 65536.
    if expected is not None and (int(signal.sum()) - expected) % 65536:
        raise BadData(
            f"{file}: expected checksum {expected} in channel {channel}, got {int(signal.sum()) % 65536} "
            "(modulo 65536); damaged? Download it again"
        )
    return signal


def read_annotations(folder: Path, name: str, header: Header) -> Annotations:
    """The reference annotations (`.atr`) of a record.

    Raises:
        BadData: the file is missing, cut or damaged, was made for another rate, or does not reach from the signal's
            beginning to near its end.
    """
    file = folder / f"{name}.atr"
    data = _read(file, "WFDB annotations", file.read_bytes)
    try:
        samples, codes, rate = read_annotation_bytes(data)
    except ValueError as fault:
        raise BadData(f"{file}: expected WFDB annotations, got {fault}; cut or damaged? Download it again") from None
    if rate is not None and rate != header.rate:
        raise BadData(
            f"{file}: expected annotations at {header.rate:g} samples a second as the signal, got {rate:g}; does this "
            ".atr belong to this .dat?"
        )
    try:
        check_reach(samples, header.n_samples, header.rate)
    except ValueError as fault:
        raise BadData(
            f"{file}: expected annotations within the {header.n_samples} samples of the signal and up to its end, got "
            f"{fault}; does this .atr belong to this .dat, and is it whole? A record that is annotated in part must be "
            "cut to that part"
        ) from None
    symbols = [SYMBOLS.get(code, f"[{code}]") for code in codes]
    return Annotations(np.array(samples, dtype=np.int64), np.array(symbols, dtype=object))


def write_record(
    folder: Path,
    name: str,
    channels: Mapping[str, np.ndarray],
    rate: int,
    samples: np.ndarray,
    symbols: Sequence[str],
) -> None:
    """Write a record as MIT-BIH has it: format 212, 200 units a mV, marks in `.atr`.

    Args:
        folder: an existing folder.
        name: the record's name.
        channels: signal of each channel in mV.
        rate: samples a second.
        samples: ascending sample numbers of the marks.
        symbols: symbol of each mark.
    """
    n = len(channels)
    with _quiet():
        wfdb.wrsamp(
            name,
            fs=rate,
            units=["mV"] * n,
            sig_name=list(channels),
            p_signal=np.stack(list(channels.values()), axis=1),
            fmt=["212"] * n,
            adc_gain=[200] * n,
            baseline=[0] * n,
            write_dir=str(folder),
        )
        wfdb.wrann(name, "atr", sample=samples, symbol=list(symbols), fs=rate, write_dir=str(folder))


def download_mitdb(folder: Path) -> None:
    """Download the MIT-BIH Arrhythmia Database (100 MB) into `folder`, unless it is there.

    An interrupted download is resumed by the next one: it goes on in `folder` with `.part` added, which
    becomes `folder` when the last file has arrived.

    Raises:
        PathsearchError: no connection, or the server refused; the message has the manual steps.
    """
    if folder.is_dir():
        return
    part = folder.with_name(folder.name + ".part")
    part.mkdir(parents=True, exist_ok=True)
    try:
        # wfdb prints as it goes; standard output is kept for results.
        with _quiet(), contextlib.redirect_stdout(sys.stderr):
            wfdb.dl_database("mitdb", str(part), annotators=["atr"])
    except Exception as error:  # aiohttp, fsspec and urllib errors differ between wfdb's versions
        raise PathsearchError(
            f"--source physionet: expected a download of MIT-BIH, got {_one_line(error)}; try again later "
            f"(it resumes), or by hand: (1) open {MITDB_PAGE} (2) download and unpack the ZIP file "
            "(3) pathsearch prepare ecg --source FOLDER"
        ) from error
    part.replace(folder)


def _read(file: Path, expected: str, read: Callable[[], Any]) -> Any:
    if not file.is_file():
        raise BadData(f"{file}: expected {expected}, got no such file; download the record again")
    try:
        with _quiet():
            return read()
    except Exception as error:  # wfdb raises whatever its parsing trips over, from IndexError to ValueError
        raise BadData(
            f"{file}: expected {expected}, got unreadable data ({_one_line(error)}); truncated? Download it again"
        ) from error


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
