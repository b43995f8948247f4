"""Who uses whose modules on one grid: parameters of a task's own, and those reused from earlier tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, cast

from pathsearch.experts.heritage import EarlierExpert
from pathsearch.grid.path import Layers

if TYPE_CHECKING:
    from typing_extensions import NotRequired  # in `typing` from Python 3.11 on

Place = tuple[int, int]  # layer, module


class Reused(TypedDict):
    """Modules with weights, and their parameters."""

    modules: int
    parameters: int


class OwnParameters(TypedDict):
    """An expert's parameters that were trained for it, and those of earlier experts."""

    own: int
    own_modules: int
    shared: int


class Parameters(TypedDict):
    """An expert's parameters in a run's report; those of earlier versions do not say whose they are."""

    expert: int
    full_grid: int
    share: float  # of the full grid's
    own: NotRequired[int]
    own_modules: NotRequired[int]
    shared: NotRequired[int]


class BegunFrom(TypedDict):
    """An earlier expert whose modules a training together began from; its own file stays as it is."""

    task: str
    run: str
    layers: list[str]  # in which they were trained on


class Together(TypedDict):
    """How a run was trained together with others."""

    strategy: str
    turns: str
    loss_weights: str
    runs: dict[str, str]  # by task, this one among them
    shared_layers: list[str]
    shared_parameters: int
    parameters: int  # of all the networks, shared ones once
    begun_from: list[BegunFrom]
    learned_weights: NotRequired[dict[str, float]]  # what each task's loss counted in the best epoch
    path: NotRequired[str]  # that was searched for all of them: shared layers, then each one's branch
    fitness: NotRequired[str]  # what the search maximised of their measures: their mean, mean rank, or weights


class ReusingRun(TypedDict):
    """What is read of a run's report here."""

    task: str
    together: NotRequired[Together]
    parameters: Parameters
    reuse: NotRequired[dict[str, Reused]]
    earlier_experts: list[EarlierExpert]


class ReuseOfRun(TypedDict):
    """What a run's report says of it."""

    parameters: OwnParameters
    reuse: dict[str, Reused]


class ReuseMatrix(TypedDict):
    """Rows the users, columns the owners; None where an older report does not say."""

    tasks: list[str]
    owners: list[str]
    parameters: list[list[int]]
    modules: list[list[int | None]]


def owners(paths: Mapping[str, Layers], sizes: Sequence[Sequence[int]]) -> dict[Place, str]:
    """The task that trained each module with weights: the first whose path it stands on.

    Args:
        paths: active modules in each layer of the grid, by task, oldest first.
        sizes: parameters of each module, L lists of M; a module without any is nobody's.
    """
    found: dict[Place, str] = {}
    for task, path in paths.items():
        for place in places(path):
            if sizes[place[0]][place[1]]:
                found.setdefault(place, task)
    return found


def reused(paths: Mapping[str, Layers], sizes: Sequence[Sequence[int]], task: str) -> dict[str, Reused]:
    """Modules and their parameters on the path of `task`, by the task that trained them, itself included."""
    owner = owners(paths, sizes)
    counts: dict[str, Reused] = {name: {"modules": 0, "parameters": 0} for name in paths}
    for place in places(paths[task]):
        if place in owner:
            counts[owner[place]]["modules"] += 1
            counts[owner[place]]["parameters"] += sizes[place[0]][place[1]]
    return counts


def places(layers: Layers) -> list[Place]:
    """Every (layer, module) of the active ones."""
    return [(n, i) for n, layer in enumerate(layers) for i in layer]


def of_run(paths: Mapping[str, Layers], sizes: Sequence[Sequence[int]], task: str, total: int) -> ReuseOfRun:
    """The entries of a run's report: `parameters`, its own and shared with earlier tasks, and `reuse` by task.

    Args:
        paths: active modules in each layer of the grid, by task, oldest first.
        sizes: parameters of each module.
        task: the run's.
        total: parameters of its expert, head included; the head is its own.
    """
    counts = reused(paths, sizes, task)
    own_modules = counts[task]["modules"]
    earlier = {name: row for name, row in counts.items() if name != task}
    shared = sum(row["parameters"] for row in earlier.values())
    own: OwnParameters = {"own": total - shared, "own_modules": own_modules, "shared": shared}
    return {"parameters": own, "reuse": earlier}


def matrix(found: Mapping[str, Mapping[str, Any]], digests: Mapping[str, str]) -> ReuseMatrix | None:
    """Who uses whose modules, over the runs of a joint evaluation; None where no run stands on another's grid.

    Args:
        found: reports of the runs, by task.
        digests: SHA-256 of each run's expert file: a run reuses the modules of that expert, not of another one that
            the same task has elsewhere.

    Returns:
        `tasks`; `owners`, these and, where there are, "others": earlier tasks that do not take part; `parameters`
        and `modules`, rows the users and columns the owners. The diagonal holds a task's own, its head included in
        the parameters; its modules are None where an older report does not say.
    """
    reports = cast("Mapping[str, ReusingRun]", found)
    tasks = list(reports)
    if not any(report.get("reuse") for report in reports.values()):
        return None
    parameters = [[0] * (len(tasks) + 1) for _ in tasks]
    modules: list[list[int | None]] = [[0] * (len(tasks) + 1) for _ in tasks]
    for row, report in enumerate(reports.values()):
        carried = {one["task"]: one["file_sha256_after"] for one in report["earlier_experts"]}
        parameters[row][row] = report["parameters"].get("own", report["parameters"]["expert"])
        modules[row][row] = report["parameters"].get("own_modules")  # None: an older report
        for owner, counts in (report.get("reuse") or {}).items():
            here = owner in tasks and carried.get(owner) == digests[owner]
            column = tasks.index(owner) if here else len(tasks)
            parameters[row][column] += counts["parameters"]
            modules[row][column] = (modules[row][column] or 0) + counts["modules"]
    strangers = any(row[-1] for row in parameters) or any(row[-1] for row in modules)
    width = len(tasks) + strangers
    return {
        "tasks": tasks,
        "owners": [*tasks, "others"] if strangers else tasks,
        "parameters": [row[:width] for row in parameters],
        "modules": [row[:width] for row in modules],
    }


def jointly_or_in_turn(about: Together) -> str:
    """How tasks were trained together, as an adverb."""
    return "in turn" if about["strategy"] == "alternating" else "jointly"


def together_in_words(report: ReusingRun) -> list[str]:
    """With whom a run was trained, what they share, and what that has changed; nothing of one trained alone."""
    if (about := report.get("together")) is None:
        return []
    others = ", ".join(f"{task} ({run})" for task, run in about["runs"].items() if task != report["task"])
    weights = {"equal": "losses summed", "learned": "loss weights learned"}.get(about["loss_weights"])
    if learned := about.get("learned_weights"):
        weights = f"loss weights learned ({', '.join(f'{task} {one:.3g}' for task, one in learned.items())})"
    shared, whole = about["shared_parameters"], about["parameters"]
    lines = [
        f"Trained {jointly_or_in_turn(about)} with {others}, {weights or 'loss weights ' + about['loss_weights']}: "
        f"{', '.join(about['shared_layers']) or 'no layers'} are one in all, {shared:,} of {whole:,} parameters."
    ]
    if "path" in about:
        by = {"equal": "the mean of their measures", "rank": "their mean rank"}.get(about["fitness"])
        weighed = f"their measures weighed {about['fitness']}"
        lines.append(f"Their path, {about['path']}, was searched for all at once, by {by or weighed} on validation.")
    for one in about["begun_from"]:
        if not one["layers"]:
            lines.append(f"Begun on the grid of {one['task']} ({one['run']}), none of whose modules is on their paths.")
            continue
        lines.append(
            f"Begun from {one['task']} ({one['run']}), whose {', '.join(one['layers'])} were trained on: its own files "
            "are as they were, but it is not on this grid."
        )
    return lines
