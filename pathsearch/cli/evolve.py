"""`pathsearch evolve` and `pathsearch train`: from a prepared task to an expert, its path searched or given."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pathsearch.cli.given import GivenOnce, asked, takes_settings
from pathsearch.cli.prepare import DataDir, Json
from pathsearch.cli.terminal import Terminal

if TYPE_CHECKING:
    from data_prep.manifest import Task  # imports pandas
    from pathsearch.run.settings import RunSettings

evolve_app = typer.Typer()  # its commands stand among the others, see `main`

TaskName = Annotated[
    str,
    typer.Option(help="Name of a prepared task; NAME:TARGET for another of its targets than it asks for by itself."),
]
GridOf = Annotated[str | None, typer.Option(help="Start on this finished run's grid; its experts stay fixed.")]
RunName = Annotated[str | None, typer.Option(help="Directory of the run; TASK-SPLIT-sSEED by default.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run of the same name.")]
RunsDir = Annotated[Path, typer.Option(help="Where runs are kept.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, or auto: cuda where there is one.")]


@dataclass(frozen=True)
class _Where:
    """What a command says beside its settings."""

    data_dir: Path
    runs_dir: Path
    run_name: str | None
    resume: bool
    overwrite: bool
    device: str


@evolve_app.command(cls=GivenOnce)
@takes_settings
def evolve(
    context: typer.Context,
    task: TaskName,
    grid: GridOf = None,
    run_name: RunName = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    data_dir: DataDir = Path("data"),
    runs_dir: RunsDir = Path("runs"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Search a path for a task, train it, test it once, and fix it as an expert."""
    from data_prep.manifest import load_task

    prepared = load_task(data_dir, task)
    settings = asked(context, prepared)
    _carry_out(prepared, settings, _Where(data_dir, runs_dir, run_name, resume, overwrite, device), as_json)


@evolve_app.command(cls=GivenOnce)
@takes_settings
def train(
    context: typer.Context,
    task: TaskName,
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
    learned in the layers down, and learns its own way up.
    """
    from data_prep.manifest import load_task
    from pathsearch.grid.presets import PRESETS, preset

    prepared = load_task(data_dir, task)
    name = context.params["blueprint"]
    settings = asked(context, prepared, path or name, PRESETS.get(name) if path else preset(name))
    _carry_out(prepared, settings, _Where(data_dir, runs_dir, run_name, resume, overwrite, device), as_json)


def _carry_out(prepared: Task, settings: RunSettings, where: _Where, as_json: bool) -> None:
    """Make the run, and say what came of it."""
    # what is slow to import comes after what a typing error could spoil
    from data_prep.table_words import as_file_name
    from pathsearch.encoders.encoder import choose_device
    from pathsearch.encoders.pixels import make_encoder
    from pathsearch.experts.evolve import evolve as evolve_task
    from pathsearch.experts.heritage import Heritage
    from pathsearch.grid.vocabulary import blueprint_of, check_vocabulary, refuse_idle_sizes
    from pathsearch.reports import figures
    from pathsearch.reports.report_page import write_page
    from pathsearch.run.place import Place
    from pathsearch.run.runs import named_run, unsealed
    from pathsearch.targets import target_of

    terminal = Terminal(as_json)
    check_vocabulary(settings.grid.modules)
    asks = target_of(prepared)
    asks.check_rule(settings.training.threshold)
    asks.measure(settings.search.fitness)
    run = named_run(
        where.runs_dir, where.run_name or f"{as_file_name(prepared.name)}-{prepared.split_name}-s{settings.seed}"
    )
    device = choose_device(where.device)
    heritage = Heritage.of(where.runs_dir, settings.grown_from)
    trunk = make_encoder(settings.encoder, device)
    trunk.refuse_idle_map_size()
    refuse_idle_sizes(trunk.places, settings.grid)
    asks.head(blueprint_of(trunk.places, settings.grid, trunk.taps).ending(asks.kind).head_shape)  # before encoding
    heritage.check(prepared.name, trunk, settings.grid)
    earlier = [ancestor.run for ancestor in heritage.ancestors]
    settings = replace(settings, encoder_key=trunk.key)
    with run.alone():
        run.open(settings, resume=where.resume, overwrite=where.overwrite)
        if run.finished:
            terminal.say(f"run {run.name} is finished already; its report:")
            report, earlier = run.report(), [run, *earlier]
        else:
            with terminal.progress():
                place = Place(where.data_dir / "features", device, terminal)
                report = evolve_task(prepared, trunk, settings, run, heritage, place)
        drawn = figures.plot_run(run.folder)
        page = write_page(run.folder, where.data_dir)
    for line in unsealed(earlier):
        terminal.say(line)
    terminal.run_table(report)
    for row in report["earlier_experts"]:
        about = f"{row['task']} ({row['run']}, {row['file_sha256_after'][:12]})"
        terminal.say(f"earlier expert {about}: file and logits bit-identical")
    terminal.say(f"expert  {run.expert_file}\nreport  {run.report_file}")
    terminal.figures(drawn)
    terminal.say(f"page    {page}")
    terminal.say(f"next: pathsearch joint-eval{elsewhere(where.data_dir, where.runs_dir)}")
    terminal.say(f"      pathsearch bundle {run.name} --out DIR{elsewhere(where.data_dir, where.runs_dir)}")
    terminal.emit(report)


def elsewhere(data_dir: Path, runs_dir: Path) -> str:
    """The options that a next command needs to find the same folders."""
    given = {"--data-dir": (data_dir, Path("data")), "--runs-dir": (runs_dir, Path("runs"))}
    words = [[option, str(here)] for option, (here, usual) in given.items() if here != usual]
    return "".join(f" {shlex.join(pair)}" for pair in words)
