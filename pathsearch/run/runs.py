"""The run directory: settings before work starts, files whole or not at all, digests of all of them at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PureWindowsPath
from typing import Any

from filelock import FileLock, Timeout

from data_prep.errors import PathsearchError
from data_prep.temporary import remove_litter
from data_prep.whole_files import write_json
from pathsearch.run.drawn import DRAWN
from pathsearch.run.environment import environment
from pathsearch.run.fields import Form, check_fields
from pathsearch.run.same_encoder import beside
from pathsearch.run.settings import RunSettings
from pathsearch.run.sums import DUE, SUMS, check_sums, write_sums
from pathsearch.run.threads import Threads

GENERATION, TRAININGS = "generation.safetensors", "training-*.safetensors"  # of a checkpoint
RESULTS = (
    *("log.csv", "training.csv", "path.json", "expert.safetensors", "router.safetensors"),
    *("answers.safetensors", "seen.sha256", "report.json"),
)
# no search, no log; of classes, no answers that are drawn; runs of earlier versions do not say what they have seen
OPTIONAL = ("log.csv", "answers.safetensors", "seen.sha256")
SUMMED = ("config.json", "env.json", *RESULTS)  # what a finished run's digests are of
RESTORE = "put a copy back, or make the run again with --overwrite"
ENCODER: dict[str, Form] = {"name": str, "weights": str, "image_size": int, "key": str}
REPORT: dict[str, Form] = {  # what is read of a finished run's report.json, and its types
    **dict.fromkeys(("task", "split", "split_in_words", "path"), str),
    **{"seed": int, "encoder": ENCODER, "threshold": {"rule": str}, "parameters": {"expert": int, "full_grid": int}},
    **{"test": {"n": int, "classes": list, "recall_per_class": dict, "ci95": dict}, "baselines": dict},
    **{"verdict": list, "earlier_experts": list},
}


class Run:
    """One directory with everything a search produced; the only place that knows its files' names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock_file = folder / ".lock"
        self.checkpoint_dir = folder / "checkpoint"
        self.config_file, self.env_file = folder / "config.json", folder / "env.json"
        files = [folder / name for name in RESULTS]
        self.log_file, self.training_file, self.path_file, self.expert_file, self.router_file = files[:5]
        self.answers_file, self.seen_file, self.report_file = files[5:]
        self.sums_file = folder / SUMS

    @property
    def name(self) -> str:
        """The directory's name, as printed and as given on the command line."""
        return self.folder.name

    @property
    def finished(self) -> bool:
        """Whether the last file is there: the digests, or the report in a run of an earlier version, which has none."""
        return self.sums_file.is_file() or (self.report_file.is_file() and not digests_due(self.config_file))

    @property
    def sealed(self) -> bool:
        """Whether digests say if a file of the run was damaged; runs of earlier versions have none."""
        return self.sums_file.is_file()

    def open(self, settings: RunSettings, *, resume: bool, overwrite: bool) -> None:
        """Make the directory, or go back into it, and write `env.json` and `config.json`.

        Raises:
            PathsearchError: the directory is taken, or `resume` finds other settings in it.
        """
        if is_comparison(self.folder):
            raise PathsearchError(f"run {self.folder}: expected a run, got a comparison; give another --run-name")
        self.refuse_taken(resume=resume, overwrite=overwrite)
        if overwrite:
            self._clear()
        if self.config_file.exists():
            self._go_back(settings)
        elif left := [name for name in (*RESULTS, SUMS) if (self.folder / name).exists()]:
            raise PathsearchError(
                f"run {self.folder}: holds {left[0]} of a run, but no config.json that says of which; "
                "start again with --overwrite, or give another --run-name"
            )
        else:
            write_json(self.env_file, environment())
            self._write_config(settings)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes out while the block runs; a killed process leaves no lock behind.

        Where the block refuses the run before anything was made, the folder that it began is gone again.
        """
        there = self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.lock_file, timeout=0):
                try:
                    yield
                except PathsearchError:
                    if not there:
                        self._withdraw()
                    raise
        except Timeout:
            raise PathsearchError(
                f"run {self.name}: another process is at work in it; wait for it, or give another --run-name or --seed"
            ) from None

    def seal(self) -> None:
        """Write the digests of every file, which makes the run a finished one."""
        write_sums(self.folder, self._summed())

    def verify(self) -> None:
        """Refuse a run that is not finished, or of which a file is not what was written.

        Everything that reads a finished run begins here. A run of an earlier version has no digests to verify.

        Raises:
            PathsearchError: names the file.
        """
        if self.sealed:
            check_sums(self.folder, self._summed(), RESTORE)
        elif not self.finished:
            lost = f" (or its {SUMS} was lost)" if self.report_file.is_file() else ""
            raise PathsearchError(f"run {self.name}: not finished{lost}; go on with it: pathsearch evolve … --resume")

    def _summed(self) -> list[str]:
        """What its digests are of: some files only where there are, or were, any."""
        listed = self.sums_file.read_text(encoding="utf-8", errors="replace") if self.sums_file.is_file() else ""
        return [name for name in SUMMED if name not in OPTIONAL or (self.folder / name).exists() or name in listed]

    def settings(self) -> RunSettings:
        """The settings that the run was started with; of a finished run, verified."""
        if self.sealed:
            self.verify()
        values = read_json(self.config_file)
        values.pop(DUE, None)
        check_fields(values, {"task": str, "split": str}, self.config_file)
        try:
            settings = RunSettings.from_dict(values)
        except (PathsearchError, TypeError, AttributeError) as error:
            why = str(error).removeprefix("config.json: ")
            raise PathsearchError(f"{self.config_file}: {why}; restore the file, or start with --overwrite") from None
        return settings

    def threads(self) -> Threads:
        """What torch was given when the run began."""
        return threads_of(self.env_file)

    def report(self) -> dict[str, Any]:
        """The finished run's report, verified."""
        self.verify()
        report = read_json(self.report_file)
        asks = isinstance(report, dict) and "target" in report  # for something else than classes
        check_fields(report, {**REPORT, "test": {"n": int}} if asks else REPORT, self.report_file)
        return report

    def refuse_taken(self, *, resume: bool, overwrite: bool) -> None:
        """Raise `PathsearchError` if a run is there and nobody asked to go on with it, or to replace it."""
        if resume or overwrite or not self.config_file.exists():
            return
        state, on = "an unfinished run", "go on with --resume"
        if self.finished:
            state, on = "a finished run", f"see it with `pathsearch plot {self.name}`"
        raise PathsearchError(
            f"run {self.folder} already holds {state}; {on}, start again with --overwrite, "
            "or give another --run-name, --seed or --runs-dir"
        )

    def _go_back(self, settings: RunSettings) -> None:
        """Go on with the run that is there."""
        if self.finished:
            self.verify()
            forget_trainings(self.checkpoint_dir)  # a kill may have come before
        self._check_same(settings)
        begun = digests_due(self.config_file) and self.env_file.is_file()
        if not self.finished and not begun:  # but by an earlier version
            write_json(self.env_file, environment())
            self._write_config(settings)

    def _write_config(self, settings: RunSettings) -> None:
        write_json(self.config_file, {**settings.to_dict(), DUE: SUMS})

    def _check_same(self, settings: RunSettings) -> None:
        before, now = ({**_flat(one.to_dict()), "tasks": [*one.partners]} for one in (self.settings(), settings))
        for key, value in now.items():
            if before.get(key) != value:
                remedy = "put the old weights back" if key == "encoder_key" else "give the options it was started with"
                raise PathsearchError(
                    f"--resume {self.name}: {key} was {before.get(key)!r}, now {value!r}; {remedy}, or --overwrite"
                )

    def _withdraw(self) -> None:
        """Remove the folder if it holds nothing but settings."""
        begun = (self.env_file, self.config_file, self.lock_file)
        if set(self.folder.iterdir()) <= set(begun):
            with suppress(OSError):  # where a lock that is held cannot be removed, it stays, and is no run
                for file in begun:
                    file.unlink(missing_ok=True)
                self.folder.rmdir()

    def _clear(self) -> None:
        """Remove what a run writes, and nothing else, in an order that a kill may cut off anywhere.

        First what a search goes on from, so that no later run finds it; then the digests, so that the run is
        unfinished from there on; its settings last.
        """
        names = (SUMS, *reversed(RESULTS), *DRAWN, "env.json", "config.json")
        trainings = sorted(self.checkpoint_dir.glob(TRAININGS))
        for file in (self.checkpoint_dir / GENERATION, *trainings, *(self.folder / name for name in names)):
            remove_litter(file.parent, file.name)
            file.unlink(missing_ok=True)


def forget_trainings(folder: Path) -> None:
    """Remove what a finished run needs no longer."""
    for file in folder.glob(TRAININGS):
        file.unlink()


def threads_of(env_file: Path) -> Threads:
    """What torch was given when a run or a comparison began, from its `env.json`."""
    values = read_json(env_file)
    check_fields(values, {"torch_threads": int, "threads_given": dict}, env_file)
    if (most := values["torch_threads"]) < 1:
        raise PathsearchError(f"{env_file}: field torch_threads: expected at least 1, got {most}; restore the file")
    return Threads(most, bool(values["threads_given"]))


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object from a file; one clear line if it is missing or damaged."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PathsearchError(f"{file}: no such file; is {file.parent} a run that was started?") from None
    except (OSError, ValueError, RecursionError) as error:
        raise PathsearchError(f"{file}: not readable as JSON ({error}); make the run again") from None
    if not isinstance(value, dict):
        raise PathsearchError(f"{file}: expected a JSON object, got {type(value).__name__}; make the run again")
    return value


def digests_due(file: Path) -> bool:
    """Whether this JSON is of a version that writes digests; one that cannot be read is of no other."""
    try:
        return DUE in read_json(file)
    except PathsearchError:
        return True


def saved_report(folder: Path, names: Sequence[str], remedy: str) -> dict[str, Any]:
    """The report of a folder that has digests of the files `names`, verified; one of an earlier version has none.

    Raises:
        PathsearchError: a file is missing, damaged or changed; names it.
    """
    if (folder / SUMS).is_file():
        check_sums(folder, names, remedy)
    report = read_json(folder / "report.json")
    if DUE in report and not (folder / SUMS).is_file():
        raise PathsearchError(f"{folder / SUMS}: expected a file, got none; {remedy}")
    return report


def named_run(runs_dir: Path, name: str) -> Run:
    """The run called `name` in `runs_dir`, whether it is there or not; a name that leads elsewhere is refused."""
    plain = name == Path(name).name == PureWindowsPath(name).name and name.isprintable()
    if not name or not plain or name.startswith("."):
        raise PathsearchError(
            f"run name: expected that of a folder in {runs_dir}, without slashes and no dot before it, got {name!r}; "
            "give another --run-name"
        )
    return Run(runs_dir / name)


def find_run(runs_dir: Path, name: str) -> Run:
    """The run called `name` under `runs_dir`, or at the path `name`."""
    for folder in (runs_dir / name, Path(name)):
        if (folder / "config.json").is_file() and not is_comparison(folder):
            return Run(folder)
    there = ", ".join(run.name for run in all_runs(runs_dir)) or "none"
    raise PathsearchError(f"run {name}: not found in {runs_dir}; runs there: {there}")


def all_runs(runs_dir: Path) -> list[Run]:
    """Every task run under `runs_dir`, finished or not, by name."""
    folders = {file.parent for name in ("config.json", SUMS) for file in runs_dir.glob(f"*/{name}")}
    runs = sorted(folder for folder in folders if not is_comparison(folder))
    return [Run(folder) for folder in runs if (folder / "config.json").is_file() or not is_joint(folder)]


def is_comparison(folder: Path) -> bool:
    """Whether a directory is that of `pathsearch compare`, which is no run of one task's path."""
    return (folder / "parts").is_dir()


def is_joint(folder: Path) -> bool:
    """Whether a directory is that of a joint evaluation."""
    return folder.name.startswith("joint-")


def newest_finished(runs_dir: Path) -> tuple[list[Run], dict[str, str]]:
    """The newest finished run of each task that shares an encoder with the newest finished run of all.

    Returns:
        The runs by task, and the names of those that were left out, each with the reason: unfinished, damaged, or of
        another encoder. Older runs of a task on the same encoder are not named.
    """
    reports, left_out = {}, dict[str, str]()
    for run in sorted(all_runs(runs_dir), key=_age):
        try:
            reports[run] = run.report()
        except PathsearchError as error:
            left_out[run.name] = str(error) if run.finished else "not finished"
    if not reports:
        why = "".join(f"; {name}: {reason}" for name, reason in left_out.items() if reason != "not finished")
        raise PathsearchError(f"no finished run in {runs_dir}; make one with `pathsearch evolve --task NAME`{why}")
    shared = next(iter(reports.values()))["encoder"]
    newest: dict[str, Run] = {}
    for run, report in reports.items():
        about = report["encoder"]
        if about["key"] == shared["key"]:
            newest.setdefault(report["task"], run)
        else:
            left_out[run.name] = f"another encoder: {beside(about, shared)}"
    return [newest[task] for task in sorted(newest)], left_out


def _age(run: Run) -> float:
    return -run.report_file.stat().st_mtime if run.report_file.is_file() else 0.0


def unsealed(runs: Sequence[Run]) -> list[str]:
    """A line for each of these finished runs whose files could not be verified."""
    return [
        f"run {run.name}: of an earlier version, without {SUMS}: damage to its files would go unseen"
        for run in runs
        if not run.sealed
    ]


def _flat(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
