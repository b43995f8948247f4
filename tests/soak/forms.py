"""Every form of file that the product reads, the commands that read it, and what may become of a damaged one.

A file that the product wrote is under its care: damaged, it must give the very same result, or one line that refuses
it. A file that a person brings may be another file as well: there only faults, hangs and waste are counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from commands import run_here, said, where
from soak_world import COMPARE, DATA, RUNS, SIZE, evolve

__all__ = ["FORMS", "Form", "form_of"]
Result = tuple[int, str, str]  # exit code, digest of what came out, last line on the way to a fault


@dataclass(frozen=True)
class Command:
    """A reading by the command line.

    Attributes:
        arguments: of the command; files are named from the world's folder, `*` stands for what differs from run to run.
        files: what it writes, globs; part of the result beside its output.
        gone: removed before, so that it must be made again; globs.
        drawn: figures and page are made, too.
    """

    arguments: tuple[str, ...]
    files: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    drawn: bool = False

    def __str__(self) -> str:
        return " ".join(self.arguments[:2])

    def __call__(self) -> Result:
        for pattern in self.gone:
            for file in Path().glob(pattern):
                file.unlink()
        arguments = [str(next(Path().glob(word), word)) if "*" in word else word for word in self.arguments]
        with nullcontext() if self.drawn else _undrawn():
            answer = run_here(arguments)
        if "page    none" in answer.out:  # a report that is gone is a run that is not finished, and said to be
            return 2, answer.out, ""
        files = [file for pattern in self.files for file in sorted(Path().glob(pattern))]
        return answer.code, said(answer, files) if answer.code == 0 else answer.err, answer.fault


@dataclass(frozen=True)
class Function:
    """A reading by a function, where a command would take long."""

    read: Callable[[], bytes]

    def __str__(self) -> str:
        return self.read.__name__

    def __call__(self) -> Result:
        from data_prep.errors import PathsearchError

        try:
            return 0, hashlib.sha256(self.read()).hexdigest(), ""
        except (PathsearchError, OSError, ImportError) as error:  # one line and exit 2, as the command line has it
            return 2, str(error), ""
        except Exception as error:
            return 1, "", where(error)


@contextmanager
def _undrawn() -> Any:
    nothing = mock.Mock(return_value=[])
    page = mock.patch("pathsearch.reports.report_page.write_page", return_value=Path("report.html"))
    with (
        mock.patch.multiple(
            "pathsearch.reports.figures", plot_run=nothing, plot_joint=nothing, plot_comparison=nothing
        ),
        page,
    ):
        yield


def features() -> bytes:
    """The encoded features of the task in `data`."""
    return _features("data")


def resumed_features() -> bytes:
    """The encoded features of the task in `cut`, whose encoding was interrupted."""
    return _features("cut")


def _features(data_dir: str) -> bytes:
    from data_prep.manifest import load_task
    from pathsearch.encoders.encoder import Encoder
    from pathsearch.encoders.features import encode
    from pathsearch.run.settings import EncoderSettings

    encoder = Encoder(EncoderSettings("squeezenet1_1", "random", SIZE, map_size=2))
    found = encode(load_task(Path(data_dir), "blobs"), encoder, Path(data_dir) / "features")
    parts = [*found.views, found.standardise.mean.numpy(), found.standardise.std.numpy()]
    return b"".join(part.tobytes() for part in parts)


def settings() -> bytes:
    """Settings as `--set` takes them, one a line."""
    from dataclasses import replace

    from pathsearch.run.settings import EncoderSettings, RunSettings, with_settings

    lines = Path("sources/settings.txt").read_bytes().decode("utf-8", errors="surrogateescape").splitlines()
    plain = RunSettings("blobs", "random", encoder=EncoderSettings("squeezenet1_1", "random", SIZE))
    return repr(with_settings(replace(plain), lines, set())).encode("utf-8", errors="backslashreplace")


def prepare(kind: str, source: str, *more: str) -> Command:
    where_to = ("--name", "new", "--data-dir", "out", "--image-size", "32")
    return Command(("prepare", kind, "--source", f"sources/{source}", *where_to, *more, "--json"))


JOINT = Command(("joint-eval", "blobs", "stripes", *DATA, *RUNS, "--json"))
BUNDLE = Command(("bundle", "blobs", "stripes", "--out", "out", *DATA, *RUNS, "--json"))
PLOT = Command(("plot", "blobs", *DATA, *RUNS), ("runs/blobs/report.html",), drawn=True)
AGAIN = Command((*evolve("blobs", "blobs", "--resume", "--json"),))
GROWN = Command((*evolve("stripes", "grown", "--grid", "blobs", "--json"),))
RESUME = Command(
    (*evolve("blobs", "halted", "--resume", "--json"),),
    tuple(f"runs/halted/{name}" for name in ("expert.safetensors", "router.safetensors", "log.csv", "path.json")),
)
PLOT_JOINT = Command(("plot", "runs/joint-*", *DATA, *RUNS), ("runs/joint-*/report.html",), drawn=True)
RECOMPARE = Command((*COMPARE, "--json"), gone=("runs/compare-*/report.json",))
PLOT_COMPARISON = Command(("plot", "runs/compare-*", *DATA, *RUNS), ("runs/compare-*/report.html",), drawn=True)
PREDICT = Command(("predict", "bundle", "data/blobs/images", "--format", "jsonl"))
OWN_WEIGHTS = {
    name: Command(("joint-eval", name, *DATA, *RUNS, "--json")) for name in ("tensors", "archive")
}  # runs on an encoder from a file


@dataclass(frozen=True)
class Form:
    """One form of file.

    Attributes:
        name: for a person; unique.
        pattern: where it is in the world; the first match in order is damaged.
        reads: commands that read it.
        kept: under the product's care; otherwise brought by a person.
        suffix: of its structure; its own by default.
    """

    name: str
    pattern: str
    reads: tuple[Any, ...]
    kept: bool = True
    suffix: str = ""

    def file(self) -> Path:
        found = sorted(Path().glob(self.pattern))
        if not found:
            raise FileNotFoundError(f"form {self.name}: nothing at {self.pattern}")
        return found[0]

    @property
    def structure(self) -> str:
        return self.suffix or Path(self.pattern).suffix


def brought(name: str, pattern: str, read: Any, suffix: str = "") -> Form:
    return Form(name, pattern, (read,), kept=False, suffix=suffix)


RUN = "runs/blobs"
SOURCES = [
    brought("source: PNG", "sources/folder/small/0000.png", prepare("folder", "folder")),
    brought("source: JPEG", "sources/jpeg/small/0000.jpeg", prepare("folder", "jpeg")),
    brought("source: DICOM", "sources/dicom/large/0000.dcm", prepare("folder", "dicom")),
    brought("source: SOURCE.txt", "sources/folder/SOURCE.txt", prepare("folder", "folder")),
    brought("source: table.csv", "sources/csv/table.csv", prepare("csv", "csv/table.csv")),
    brought("source: table.tsv", "sources/tsv/table.tsv", prepare("csv", "tsv/table.tsv")),
    brought("source: npz", "sources/arrays.npz", prepare("npz", "arrays.npz")),
    *(
        brought(f"source: WFDB {end}", f"sources/records/s01{end}", prepare("ecg", "records", "--split", "random"))
        for end in (".hea", ".dat", ".atr")
    ),
    brought("source: X-ray", "sources/x-rays/train/NORMAL/*.jpeg", prepare("pneumonia", "x-rays", "--split", "random")),
    brought("settings", "sources/settings.txt", Function(settings)),
    *(
        Form(f"listed: {end}", f"sources/listed/{file}", (prepare("ecg", "listed", "--split", "random"),), suffix=end)
        for end, file in (
            *((f"{end}", f"s01{end}") for end in (".hea", ".dat", ".atr")),
            ("SHA256SUMS", "SHA256SUMS*"),
        )
    ),
]
PREPARED = [
    Form("task: manifest.csv", "data/blobs/manifest.csv", (JOINT,)),
    Form("task: task.json", "data/blobs/task.json", (JOINT, BUNDLE)),
    Form("task: image", "data/blobs/images/*/*.png", (JOINT,)),
]
CACHE = [
    Form(f"cache: {name}", f"data/features/blobs-*/{name}", (Function(features),))
    for name in ("view0.npy", "view0.sha256", "key.json")
]
CUT = [
    Form(f"interrupted encoding: {name}", f"cut/features/blobs-*/{name}", (Function(resumed_features),))
    for name in ("view0.part", "view0.rows")
]
HALTED = [
    Form(f"interrupted run: {name}", f"runs/halted/{name}", (RESUME,))
    for name in (
        *("config.json", "env.json", "log.csv", "checkpoint/generation.safetensors"),
        *("expert.safetensors", "path.json", "training.csv"),
    )
]
FINISHED = [
    Form("run: config.json", f"{RUN}/config.json", (JOINT, BUNDLE, AGAIN)),
    Form("run: report.json", f"{RUN}/report.json", (JOINT, BUNDLE, PLOT, AGAIN)),
    Form("run: expert.safetensors", f"{RUN}/expert.safetensors", (JOINT, BUNDLE)),
    Form("run: expert.safetensors as heritage", f"{RUN}/expert.safetensors", (GROWN,)),
    Form("run: router.safetensors", f"{RUN}/router.safetensors", (JOINT, BUNDLE)),
    *(
        Form(f"run: {name}", f"{RUN}/{name}", (PLOT,))
        for name in ("log.csv", "training.csv", "path.json", "env.json", "pictures.json", "report.html")
    ),
    Form("run: figure", f"{RUN}/*.svg", (PLOT,)),
    Form("run: checkpoint", f"{RUN}/checkpoint/generation.safetensors", (AGAIN,)),
]
TOGETHER = [
    Form("joint: report.json", "runs/joint-*/report.json", (PLOT_JOINT, BUNDLE)),
    *(Form(f"joint: {name}", f"runs/joint-*/{name}", (PLOT_JOINT,)) for name in ("env.json", "pictures.json")),
    *(
        Form(f"comparison: part {method}", f"runs/compare-*/parts/s0-{method}.safetensors", (RECOMPARE,))
        for method in ("evolved", "pathnet", "linear_probe", "nearest")
    ),
    *(
        Form(f"comparison: {name}", f"runs/compare-*/{name}", (PLOT_COMPARISON,))
        for name in ("config.json", "env.json", "report.json")
    ),
]
BUNDLED = [
    Form(f"bundle: {name}", f"bundle/{name}", (PREDICT,))
    for name in (
        *("bundle.json", "encoder.safetensors", "MODEL_CARD.md"),
        *("experts/blobs.safetensors", "routers/blobs.safetensors"),
    )
]
WEIGHTS = [
    Form("encoder: .safetensors", "weights/trunk.safetensors", (OWN_WEIGHTS["tensors"],)),
    Form("encoder: .pth", "weights/trunk.pth", (OWN_WEIGHTS["archive"],)),
]
FORMS = {
    form.name: form for form in (*SOURCES, *PREPARED, *CACHE, *CUT, *HALTED, *FINISHED, *TOGETHER, *BUNDLED, *WEIGHTS)
}


def form_of(file: str) -> Form | None:
    """The form that a file of the world belongs to."""
    return next((form for form in FORMS.values() if Path(file).match(form.pattern)), None)
