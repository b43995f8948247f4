"""`pathsearch evolve`: from a prepared task to an expert, or from several to one each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pathsearch.cli.given import GivenOnce, asked, takes_settings
from pathsearch.cli.prepare import DataDir, Json
from pathsearch.cli.runs import Where
from pathsearch.cli.several import carry_out_all
from pathsearch.cli.terminal import Terminal

evolve_app = typer.Typer()  # its command stands among the others, see `main`

GridOf = Annotated[str | None, typer.Option(help="Start on this finished run's grid; its experts stay fixed.")]
RunName = Annotated[str | None, typer.Option(help="Directory of the run; TASK-SPLIT-sSEED by default.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run of the same name.")]
RunsDir = Annotated[Path, typer.Option(help="Where runs are kept.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, or auto: cuda where there is one.")]


@evolve_app.command(cls=GivenOnce)
@takes_settings
def evolve(
    context: typer.Context,
    task: Annotated[
        list[str],
        typer.Option(help="Name of a prepared task, or NAME:TARGET; give it again for several on one grid."),
    ],
    grid: GridOf = None,
    run_name: RunName = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    data_dir: DataDir = Path("data"),
    runs_dir: RunsDir = Path("runs"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Search a path for a task, train it, test it once, and fix it as an expert.

    Several tasks, or targets of one, are searched one after another, each on the grid of the one before, whose experts
    stay fixed; or, by a joint or alternating strategy, all at once: one path for the layers that they share, a branch
    for each.
    """
    from data_prep.manifest import load_task

    each = [(one, asked(context, one)) for one in (load_task(data_dir, one) for one in task)]
    where, terminal = Where(data_dir, runs_dir, run_name, resume, overwrite, device), Terminal(as_json)
    terminal.emit(carry_out_all(each, where, terminal))
