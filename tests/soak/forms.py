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
        tells: words with which it says that something is missing: another result is no belief then, but as refused.
    """

    arguments: tuple[str, ...]
    files: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    drawn: bool = False
    tells: str = "page    none"  # a report that is gone is a run that is not finished, and said to be

    def __str__(self) -> str:
        return " ".join(self.arguments[:2])

    def __call__(self) -> Result:
        for pattern in self.gone:
            for file in Path().glob(pattern):
                file.unlink()
        arguments = [str(next(Path().glob(word), word)) if "*" in word else word for word in self.arguments]
        with nullcontext() if self.drawn else _undrawn():
            answer = run_here(arguments)
        if self.tells in answer.out:
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


def settings_file() -> bytes:
    """A settings file as `--config` takes it."""
    from pathsearch.run.settings import RunSettings, with_settings
    from pathsearch.run.settings_file import read_settings

    made = with_settings(RunSettings("blobs", "random"), [], file=read_settings(Path("sources/settings.toml")))
    return repr(made).encode("utf-8", errors="backslashreplace")


def prepare(kind: str, source: str, *more: str) -> Command:
    where_to = ("--name", "new", "--data-dir", "out", "--image-size", "32")
    arguments = ("prepare", kind, "--source", f"sources/{source}", *where_to, *more, "--json")
    return Command(arguments, tells="that SHA256SUMS lists are not in the folder")


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
RECOMPARE = Command((*COMPARE, "--json"), gone=("runs/compare-*/report.json", "runs/compare-*/SHA256SUMS"))
COMPARED = Command((*COMPARE, "--json"))
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
        patterns: where its files are in the world, globs; mutants take them in turn.
        reads: commands that read them.
        kept: under the product's care; otherwise brought by a person.
        optional: what was never there is right, too, so that a damaged one may count as none.
    """

    name: str
    patterns: tuple[str, ...]
    reads: tuple[Any, ...]
    kept: bool = True
    optional: bool = False

    def file(self, number: int = 0) -> Path:
        """The file that a mutant is made of."""
        pattern = self.patterns[number % len(self.patterns)]
        found = sorted(Path().glob(pattern))
        if not found:
            raise FileNotFoundError(f"form {self.name}: nothing at {pattern}")
        return found[0]


def form(name: str, patterns: str, *reads: Any) -> Form:
    return Form(name, tuple(patterns.split()), reads)


def brought(name: str, patterns: str, *reads: Any) -> Form:
    return Form(name, tuple(patterns.split()), reads, kept=False)


RUN = "runs/blobs"
LISTED = prepare("ecg", "listed", "--split", "random")
X_RAYS = prepare("pneumonia", "x-rays", "--split", "random")
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
    brought("source: X-ray", "sources/x-rays/train/NORMAL/*.jpeg", X_RAYS),
    brought("settings", "sources/settings.txt", Function(settings)),
    brought("settings file", "sources/settings.toml", Function(settings_file)),
    *(form(f"listed: WFDB {end}", f"sources/listed/s01{end}", LISTED) for end in (".hea", ".dat", ".atr")),
    form("listed: SHA256SUMS", "sources/listed/SHA256SUMS", LISTED),
]
PREPARED = [
    form("task: manifest.csv", "data/blobs/manifest.csv", JOINT),
    form("task: task.json", "data/blobs/task.json", JOINT, BUNDLE),
    form("task: image", "data/blobs/images/*/*.png", JOINT),
    form("task: images.sha256", "data/blobs/images.sha256", Function(features)),
]
CACHE = "data/features/blobs-*"
CACHED = [
    form("cache: view0.npy", f"{CACHE}/view0.npy", Function(features)),
    form("cache: digests", f"{CACHE}/view0.sha256 {CACHE}/standardise.sha256", Function(features)),
    form("cache: standardiser", f"{CACHE}/standardise.safetensors", Function(features)),
    form("cache: JSON", f"{CACHE}/key.json {CACHE}/*.verified.json data/features/*.verified.json", Function(features)),
]
CUT = [
    form("interrupted encoding: view0.part", "cut/features/blobs-*/view0.part", Function(resumed_features)),
    form(
        "interrupted encoding: rows, digest",
        "cut/features/blobs-*/view0.rows cut/features/blobs-*/view0.sha256 cut/features/blobs-*/key.json "
        "cut/features/blobs.verified.json",
        Function(resumed_features),
    ),
]
HALT = "runs/halted"
HALTED = [
    form("interrupted run: config.json", f"{HALT}/config.json", RESUME),
    form("interrupted run: generation", f"{HALT}/checkpoint/generation.safetensors", RESUME),
    form("interrupted run: training", f"{HALT}/checkpoint/training-*.safetensors", RESUME),
    form(
        "interrupted run: what is made again",
        f"{HALT}/env.json {HALT}/log.csv {HALT}/expert.safetensors {HALT}/path.json {HALT}/training.csv "
        f"{HALT}/seen.sha256 {HALT}/.*.part*",
        RESUME,
    ),
]
RUN = "runs/blobs"
FINISHED = [
    form("run: config.json", f"{RUN}/config.json", JOINT, BUNDLE, AGAIN),
    form("run: report.json", f"{RUN}/report.json", JOINT, BUNDLE, PLOT),
    form("run: expert.safetensors", f"{RUN}/expert.safetensors", JOINT, BUNDLE),
    form("run: heritage", f"{RUN}/expert.safetensors {RUN}/config.json {RUN}/seen.sha256", GROWN),
    form("run: router.safetensors", f"{RUN}/router.safetensors", JOINT, BUNDLE),
    form("run: SHA256SUMS", f"{RUN}/SHA256SUMS", JOINT, AGAIN),
    form("run: tables", f"{RUN}/log.csv {RUN}/training.csv", PLOT),
    form("run: path.json, env.json", f"{RUN}/path.json {RUN}/env.json", PLOT),
    form("run: what is drawn again", f"{RUN}/report.html {RUN}/pictures.json {RUN}/*.svg {RUN}/*.png", PLOT),
    form("run: generation", f"{RUN}/checkpoint/generation.safetensors", AGAIN),
]
SEVERAL, VERSUS = "runs/joint-*", "runs/compare-*"
TOGETHER = [
    form("joint: report.json", f"{SEVERAL}/report.json", PLOT_JOINT),
    Form("joint: report.json for a bundle", (f"{SEVERAL}/report.json",), (BUNDLE,), optional=True),
    form("joint: SHA256SUMS", f"{SEVERAL}/SHA256SUMS", PLOT_JOINT),
    form("joint: env.json", f"{SEVERAL}/env.json", PLOT_JOINT),
    form("joint: what is drawn again", f"{SEVERAL}/report.html {SEVERAL}/pictures.json {SEVERAL}/*.svg", PLOT_JOINT),
    *(
        form(f"comparison: part {method}", f"{VERSUS}/parts/s0-{method}.safetensors", RECOMPARE)
        for method in ("evolved", "pathnet", "linear_probe", "nearest")
    ),
    form("comparison: config.json, env.json", f"{VERSUS}/config.json {VERSUS}/env.json", PLOT_COMPARISON),
    form("comparison: report.json", f"{VERSUS}/report.json", PLOT_COMPARISON, COMPARED),
    form("comparison: SHA256SUMS", f"{VERSUS}/SHA256SUMS", PLOT_COMPARISON),
    form(
        "comparison: what is drawn again",
        f"{VERSUS}/report.html {VERSUS}/*.svg",
        PLOT_COMPARISON,
    ),
]
BUNDLED = [
    form("bundle: bundle.json", "bundle/bundle.json", PREDICT),
    form("bundle: model card", "bundle/MODEL_CARD.md", PREDICT),
    form("bundle: encoder", "bundle/encoder.safetensors", PREDICT),
    form("bundle: expert", "bundle/experts/blobs.safetensors", PREDICT),
    form("bundle: router", "bundle/routers/blobs.safetensors", PREDICT),
]
WEIGHTS = [
    form("encoder: .safetensors", "weights/trunk.safetensors", OWN_WEIGHTS["tensors"]),
    form("encoder: .pth", "weights/trunk.pth", OWN_WEIGHTS["archive"]),
]
FORMS = {
    one.name: one for one in (*SOURCES, *PREPARED, *CACHED, *CUT, *HALTED, *FINISHED, *TOGETHER, *BUNDLED, *WEIGHTS)
}


def form_of(file: str) -> Form | None:
    """The form that a file of the world belongs to."""
    return next((one for one in FORMS.values() if any(Path(file).match(each) for each in one.patterns)), None)
