"""Runs for several tasks at once, of `evolve` and `train`: one after another on one grid, or together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from data_prep.errors import PathsearchError
from pathsearch.cli.runs import Where, carry_out, check, encoder_of, run_of, say_next, show
from pathsearch.cli.terminal import Terminal

if TYPE_CHECKING:
    from data_prep.manifest import Task  # imports pandas
    from pathsearch.run.settings import RunSettings

Asked = Sequence[tuple["Task", "RunSettings"]]


def carry_out_all(each: Asked, where: Where, terminal: Terminal) -> dict[str, Any]:
    """Make the runs of one task or several, say what came of them, and return the report, or those of all by task."""
    if len(each) == 1:
        _alone(each[0][1])
        return carry_out(*each[0], where, terminal)
    strategy = each[0][1].together.strategy
    reports = (_one_by_one if strategy == "independent" else _together)(each, where, terminal)
    return {"runs": dict(zip([one.name for one, _ in each], reports, strict=True))}


def _alone(settings: RunSettings) -> None:
    """Refuse what only several tasks have."""
    if settings.together.strategy != "independent":
        raise PathsearchError(
            f"--strategy {settings.together.strategy}: expected several tasks, got one; give --task again"
        )


def _named(each: Asked, where: Where) -> list[Where]:
    """A place for each run: a name that is given is that of all, and the task's own stands after it."""
    from data_prep.table_words import as_file_name

    ends = [as_file_name(task.name) for task, _ in each]
    return [replace(where, run_name=where.run_name and f"{where.run_name}-{end}") for end in ends]


def _one_by_one(each: Asked, where: Where, terminal: Terminal) -> list[dict[str, Any]]:
    """Each on the grid of the one before."""
    from pathsearch.experts.together import check_together

    check_together(each)
    places = _named(each, where)
    for (task, settings), own in zip(each, places, strict=True):  # all, before the first one trains
        run_of(task, settings, own).refuse_taken(resume=own.resume, overwrite=own.overwrite)
        check(task, settings)
    reports, grown_from = [], each[0][1].grown_from
    for (task, settings), own in zip(each, places, strict=True):
        settings = replace(settings, grown_from=grown_from)
        reports.append(carry_out(task, settings, own, terminal))
        grown_from = run_of(task, settings, own).name
    return reports


def _together(each: Asked, where: Where, terminal: Terminal) -> list[dict[str, Any]]:
    """All at once, by the strategy of the settings."""
    runs = [run_of(*one, own) for one, own in zip(each, _named(each, where), strict=True)]
    for run in runs:
        run.refuse_taken(resume=where.resume, overwrite=where.overwrite)
    from pathsearch.encoders.encoder import choose_device
    from pathsearch.experts.heritage import Heritage
    from pathsearch.experts.together import Member, check_shared, check_together, evolve_together
    from pathsearch.run.place import Place

    check_together(each)
    for task, settings in each:
        check(task, settings)
    partners = {task.name: run.name for (task, _), run in zip(each, runs, strict=True)}
    device, begun_from = choose_device(where.device), each[0][1].grown_from
    beginning = Heritage.of(where.runs_dir, begun_from)
    trunk = encoder_of(each, device)
    check_shared(each, trunk)
    members = []
    for (task, settings), run in zip(each, runs, strict=True):
        beginning.check(task.name, trunk, settings.grid)
        own = replace(settings, encoder_key=trunk.key, grown_from=None, begun_from=begun_from, partners=partners)
        members.append(Member(task, own, run))
    with ExitStack() as held:
        for run in runs:
            held.enter_context(run.alone())
        for _, settings, run in members:  # once all are there for us: an --overwrite clears them
            run.open(settings, resume=where.resume, overwrite=where.overwrite)
        if all(run.finished for run in runs):
            terminal.say(f"runs {', '.join(partners.values())} are finished already; their reports:")
            reports = [run.report() for run in runs]
        else:
            with terminal.progress():
                place = Place(where.data_dir / "features", device, terminal)
                reports = evolve_together(members, trunk, beginning, place)
        for run, report in zip(runs, reports, strict=True):
            show(run, report, [], where, terminal)
    say_next(runs, where, terminal)
    return reports
