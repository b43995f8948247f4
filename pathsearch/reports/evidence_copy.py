"""A finished run's report and settings, copied without what belongs to one machine or shows one image."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from data_prep.errors import PathsearchError
from data_prep.table_words import folder_of
from data_prep.whole_files import write_text
from pathsearch.experts import joint
from pathsearch.reports.evidence import read_one
from pathsearch.run.runs import Run, read_json
from pathsearch.run.sums import DUE
from pathsearch.search import comparison

KEPT = ("report.json", "config.json", "env.json")
PREPARED = ("name", "source", "licence", "counts", "split", "image_size", "options")  # of a task, without its images
IMAGES = ("mistakes", "shown", "against_size")  # what is said of single images of the data
BRIEF = ("n", "accuracy", "balanced_accuracy", "auc")  # what is kept of validation for each of several networks
A_PLACE = re.compile(r"(?<![^\s'\"(=:])(?:/|~/|\.\.?/|[A-Za-z]:[\\/])(?:[^\s'\"()/\\]+[\\/])+")


def place(run: str, runs_dir: Path, into: str = "") -> tuple[Path, str]:
    """The directory of a run named on the command line, and the name of its evidence.

    Args:
        run: a name below `runs_dir`, or a directory.
        runs_dir: what a run below it keeps of its own place.
        into: a folder below the evidence to put it in.

    Raises:
        PathsearchError: no such directory, or `into` leads out of the evidence.
    """
    parts = PurePosixPath(into).parts
    if PurePosixPath(into).is_absolute() or ".." in parts:
        raise PathsearchError(f"--into {into}: expected a folder below the evidence, such as squeezenet")
    folder = next((one for one in (runs_dir / run, Path(run)) if one.is_dir()), None)
    if folder is None:
        raise PathsearchError(f"run {run}: not found in {runs_dir}, and no directory; give its name or its directory")
    whole, root = folder.resolve(), runs_dir.resolve()
    own = whole.relative_to(root) if whole.is_relative_to(root) and whole != root else Path(whole.name)
    return folder, PurePosixPath(*parts, *own.parts).as_posix()


def add(run_dir: Path, evidence_dir: Path, name: str, data_dir: Path | None = None) -> Path:
    """Copy a finished run, joint evaluation or comparison below the evidence folder.

    Kept: `report.json`, `config.json`, `env.json`, and how the task was prepared (`task.json`) if the data that a run
    stands on are still there. Left out: everything else, and in these files what is said of single
    images, the folders of files (a weights file keeps its name, the report its digest), and for each of several
    networks of one kind its intervals and the details of validation.

    Args:
        run_dir: holds the report.
        evidence_dir: of all evidence.
        name: its folder there, with slashes; it is what the commands on the page take for the directory of runs.
        data_dir: of the prepared tasks; None: not looked for.

    Returns:
        The new folder.

    Raises:
        PathsearchError: not finished, damaged, not what the page needs, or another run has the name.
    """
    if not (run_dir / "report.json").is_file():
        state = "not finished: it has no report.json yet" if run_dir.is_dir() else "not there"
        raise PathsearchError(f"run {run_dir}: {state}; finish it with the command that began it, and --resume")
    kind = read_one(run_dir, name).kind  # fails before anything is copied
    if kind == "run":
        Run(run_dir).verify()
    elif kind == "joint":
        joint.read(run_dir)
    elif kind == "comparison":
        comparison.read(run_dir)
    folder = evidence_dir / name
    cleaned = {file: _cleaned(read_json(run_dir / file)) for file in KEPT if (run_dir / file).is_file()}
    settings = folder / "config.json"
    if settings.is_file() and "config.json" in cleaned and read_json(settings) != cleaned["config.json"]:
        raise PathsearchError(
            f"evidence {folder}: is there already, with other settings; give another place with --into, or remove it"
        )
    if data_dir and (prepared := _prepared(data_dir, cleaned["report.json"])):
        cleaned["task.json"] = prepared
    for file, values in cleaned.items():
        write_text(folder / file, _text(values))
    return folder


def _prepared(data_dir: Path, report: Mapping[str, object]) -> dict[str, object] | None:
    """How a run's task was prepared; None if what lies there now is not the data of the run."""
    file = data_dir / folder_of(str(report.get("task"))) / "task.json"
    if not file.is_file():
        return None
    info = read_json(file)
    own = f"{str(info.get('manifest_sha256'))[:16]}-{str(info.get('images_sha256'))[:16]}"
    kept = {key: _without_places(info[key]) for key in PREPARED if key in info}
    return kept if own == report.get("data") else None


def _cleaned(values: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: _without_places(value) for key, value in values.items() if key not in (*IMAGES, DUE)}
    for section, key in (("encoder", "weights"), (None, "grown_from")):
        holder = kept.get(section, {}) if section else kept
        if isinstance(holder.get(key), str):
            holder[key] = _last_name(holder[key])
    if "system" in kept:
        kept["system"] = str(kept["system"]).split("-")[0]  # the kernel's name is the machine's business
    return _brief(kept)


def _without_places(value: Any) -> Any:
    """Every text without the folders of the files that it names."""
    if isinstance(value, dict):
        return {key: _without_places(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_places(one) for one in value]
    if not isinstance(value, str):
        return value
    whole = re.match(r"(/|~/|[A-Za-z]:[\\/])", value) and ": " not in value
    return _last_name(value) if whole else A_PLACE.sub("", value)


def _last_name(file: str) -> str:
    return PureWindowsPath(PurePosixPath(file).name).name


def _brief(value: Any) -> Any:
    """Of several networks (`each`), no candidates, intervals or details of validation: half the size."""
    if isinstance(value, list):
        return [_brief(one) for one in value]
    if not isinstance(value, dict):
        return value
    brief = {key: _brief(one) for key, one in value.items()}
    if isinstance(brief.get("each"), list):
        for one in brief["each"]:
            if isinstance(one, dict) and isinstance(one.get("validation"), dict):
                one["validation"] = {key: one["validation"][key] for key in BRIEF if key in one["validation"]}
                one["test"] = {key: own for key, own in one.get("test", {}).items() if key not in ("ci95", "intervals")}
                one.pop("candidates", None)
    return brief


def _text(values: Mapping[str, Any]) -> str:
    """JSON, one line a field: small, and a change of one field is a change of one line."""
    lines = (f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in values.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"
