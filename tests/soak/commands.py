"""The command line in this process: its exit code, its JSON, and the fault behind an exit code of 1."""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import io
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer.main

ROOT = Path(__file__).parents[2]
TIMES = ("seconds", "images_encoded_now", "images_per_second", "made", "stamp", "folder", "torch_threads")


@dataclass(frozen=True)
class Answer:
    """What a command said.

    Attributes:
        code: of its exit.
        out: on standard output.
        err: on standard error.
        fault: last lines of the traceback behind an exit code that is neither 0 nor 2; else empty.
    """

    code: int
    out: str
    err: str
    fault: str = ""


def run_here(arguments: list[str]) -> Answer:
    """Be `pathsearch ARGUMENTS` within this process."""
    from pathsearch.cli import main as cli

    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["pathsearch", *arguments]
    code, fault = 0, ""
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        fault = "" if code in (0, 2) else where(end.__context__ or end)
    except BaseException as error:  # what main() lets through is a traceback on a user's screen
        code, fault = 1, where(error)
    finally:
        sys.argv = argv
    return Answer(code, out.getvalue(), err.getvalue(), fault)


def where(error: BaseException) -> str:
    """The last line of ours on the way to an error, and the error."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith((f"{ROOT}/pathsearch", f"{ROOT}/data_prep"))]
    last = (ours or frames or [None])[-1]
    place = f"{Path(last.filename).name}:{last.lineno} in {last.name}" if last else "nowhere"
    return f"{place}: {type(error).__name__}: {' '.join(str(error).split())[:160]}"


def stand_ins() -> None:
    """What would take long and is not read from files: few replicates, undrawn figures, small batches, one thread."""
    from matplotlib.figure import Figure

    from pathsearch.encoders import features
    from pathsearch.encoders.encoder import Encoder
    from pathsearch.measures import intervals
    from pathsearch.reports import figures

    torch.set_num_threads(1)
    os.fsync = lambda handle: None  # a killed process loses nothing that it wrote; only a power cut would
    typer.main.get_command = functools.cache(typer.main.get_command)  # half of the time of a short command
    intervals.AUC_REPLICATES = intervals.RATE_REPLICATES = 20
    # batches of 4: a growing array is saved several times within a few images
    features.CHUNK_BATCHES, features.batch_size = 2, lambda image_size: 4  # type: ignore[assignment]
    Figure.savefig = _undrawn  # type: ignore[method-assign]
    Encoder.__init__ = _remembered(Encoder.__init__)  # type: ignore[method-assign]
    for several in (figures.RUN_FIGURES, figures.JOINT_FIGURES, figures.COMPARISON_FIGURES):
        several[:] = [(name, source, _remembering(draw)) for name, source, draw in several]


def _remembered(make: Callable[..., None]) -> Callable[..., None]:
    """An encoder of random weights, which come from no file, is made once."""

    def made(self: Any, settings: Any, device: Any = "cpu") -> None:
        key = (settings, str(device))
        if settings.weights != "random" or key not in known:
            make(self, settings, device)
            known[key] = dict(vars(self))
        vars(self).update(known[key])

    known: dict[Any, dict[str, Any]] = {}
    return made


def _remembering(draw: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """A drawing that gives the figure of before if its folder holds the same, earlier drawings apart."""

    def drawn(file: Path) -> Any:
        sha = hashlib.sha256(str(file.absolute()).encode())
        for one in sorted(file.parent.glob("*.*")):
            if one.name not in ("report.html", "pictures.json") and one.suffix not in (".svg", ".png", ".part"):
                sha.update(f"{one.name} {one.stat().st_size} ".encode() + one.read_bytes())
        key = sha.hexdigest()
        if key not in known:
            known.clear()
            known[key] = draw(file)
        return known[key]

    known: dict[str, Any] = {}
    return drawn


def _undrawn(figure: Any, file: Any, **options: Any) -> None:
    """In place of a picture its contents: texts and numbers of all artists, so that another number is seen."""
    if not hasattr(figure, "told"):
        figure.told = _contents(figure)
    Path(file).write_bytes(figure.told)


def _contents(figure: Any) -> bytes:
    sha = hashlib.sha256()
    for artist in figure.findobj():
        for get in ("get_text", "get_xydata", "get_array", "get_bbox", "get_offsets"):
            if hasattr(artist, get):
                with contextlib.suppress(Exception):  # a handle of a legend has no data
                    found = getattr(artist, get)()
                    sha.update(found.encode() if isinstance(found, str) else np.asarray(found).tobytes())
    return f'<svg width="9pt">{sha.hexdigest()}</svg>'.encode()


def timeless(value: Any) -> Any:
    """A report without how long things took, when they were made, and the digest of a file whose tensors count."""
    if isinstance(value, dict):
        return {key: timeless(one) for key, one in value.items() if key not in TIMES}
    if isinstance(value, str):
        return re.sub(r"\(sha256 [0-9a-f]{12}\)", "", value)
    return [timeless(one) for one in value] if isinstance(value, list) else value


def said(answer: Answer, files: list[Path]) -> str:
    """Digest of what a command told and made, times apart."""
    try:
        told = json.dumps(timeless(json.loads(answer.out)), sort_keys=True)
    except ValueError:
        told = answer.out
    sha = hashlib.sha256(told.encode("utf-8", errors="surrogateescape"))
    for file in files:
        sha.update(content(file))
    return sha.hexdigest()


def content(file: Path) -> bytes:
    """Bytes of a file that a command made, times apart."""
    if file.name != "log.csv":
        return file.read_bytes()
    with file.open(newline="") as stream:
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(stream)]
    return json.dumps(rows).encode()


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep what libraries in other languages print away from the tests' output."""
    with Path(os.devnull).open("w") as nothing:
        saved = os.dup(1), os.dup(2)
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            for number, handle in enumerate(saved, 1):
                os.dup2(handle, number)
                os.close(handle)
