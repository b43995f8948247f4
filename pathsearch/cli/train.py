"""`pathsearch train`: a network without a search, for one task, or for several that share layers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from data_prep.errors import PathsearchError
from pathsearch.cli.evolve import Device, GridOf, Overwrite, Resume, RunName, RunsDir
from pathsearch.cli.given import GivenOnce, asked, takes_settings
from pathsearch.cli.prepare import DataDir, Json
from pathsearch.cli.runs import Where
from pathsearch.cli.several import carry_out_all
from pathsearch.cli.terminal import Terminal

train_app = typer.Typer()  # its command stands among the others, see `main`


@train_app.command(cls=GivenOnce)
@takes_settings
def train(
    context: typer.Context,
    task: Annotated[
        list[str],
        typer.Option(help="Name of a prepared task, or NAME:TARGET; give it again for tasks that share layers."),
    ],
    path: Annotated[
        str | None, typer.Option(help="A path of the blueprint, as it is printed; the preset's own by default.")
    ] = None,
    grid: GridOf = None,
    run_name: RunName = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    data_dir: DataDir = Path("data"),
    runs_dir: RunsDir = Path("runs"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train a published network without a search, test it once, and fix it as an expert: ums-rep or unet.

    Its blueprint is a preset, which brings settings of its own. On the grid of an earlier run it keeps what that has
    learned in the layers down, and learns its own way up. Several tasks, or targets of one, share the layers down, each
    as a run of its own: one after another (the first one learns them), or by a joint or alternating strategy, which
    begins from the layers of an earlier grid and trains them on.
    """
    from data_prep.manifest import load_task
    from pathsearch.grid.presets import PRESETS, preset

    name = context.params["blueprint"]
    brought = PRESETS.get(name) if path else preset(name)
    each = [(one, asked(context, one, path or name, brought)) for one in (load_task(data_dir, one) for one in task)]
    where, terminal = Where(data_dir, runs_dir, run_name, resume, overwrite, device), Terminal(as_json)
    if path and len(each) > 1:
        raise PathsearchError(f"--path {path}: expected one --task, got {len(each)}, each with a path of its own")
    terminal.emit(carry_out_all(each, where, terminal))
