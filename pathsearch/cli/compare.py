"""`pathsearch compare`: the evolved path beside its controls over several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from data_prep.errors import PathsearchError
from pathsearch.cli.given import FewerOptions, asked, takes_settings
from pathsearch.cli.prepare import DataDir, Json
from pathsearch.cli.terminal import Terminal
from pathsearch.run.settings import RunSettings

compare_app = typer.Typer()  # its command stands among the others, see cli.py


@compare_app.command(cls=FewerOptions)
@takes_settings
def compare(
    context: typer.Context,
    task: Annotated[str, typer.Option(help="Name of a prepared task.")],
    seeds: Annotated[int, typer.Option(help="How many seeds, K; five or more allow a test over seeds.")] = 5,
    seed: Annotated[int, typer.Option(help="The first of them; the others follow it.")] = RunSettings.seed,
    without: Annotated[
        list[str] | None,
        typer.Option(help="A control to leave out, as full_grid, which takes most of the time; may be repeated."),
    ] = None,
    data_dir: DataDir = Path("data"),
    runs_dir: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("runs"),
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: cuda where there is one.")] = "auto",
    as_json: Json = False,
) -> None:
    """Does search pay? The evolved path beside its controls at equal budget, over several seeds.

    The controls: random search, sequential PathNet, random paths, a ladder of single modules, full grid, linear probe,
    nearest neighbours. Killed, the same command goes on; in a second terminal it takes a share of the work. Test
    images are read once, when all seeds are done.
    """
    from data_prep.manifest import load_task
    from pathsearch.run.idle_settings import refuse_idle_in_comparison

    terminal = Terminal(as_json)
    prepared = load_task(data_dir, task)
    settings = asked(context, prepared)
    refuse_idle_in_comparison(settings)
    # what is slow to import comes after what a typing error could spoil
    from pathsearch.encoders.encoder import choose_device
    from pathsearch.encoders.pixels import make_encoder
    from pathsearch.grid.vocabulary import check_vocabulary, refuse_idle_sizes
    from pathsearch.reports import figures
    from pathsearch.reports.report_page import write_page
    from pathsearch.run.place import Place
    from pathsearch.search.compare import compare as compare_methods
    from pathsearch.search.comparison import Comparison
    from pathsearch.targets import target_of
    from pathsearch.targets.target import DEFAULT

    check_vocabulary(settings.grid.modules)
    asks = target_of(prepared)
    if asks.kind != DEFAULT:
        raise PathsearchError(
            f"compare: expected a task of classes, got {task!r}, which asks for {asks.kind}; its baselines stand in "
            "the report of evolve"
        )
    asks.check_rule(settings.training.threshold)
    asks.measure(settings.search.fitness)
    where = choose_device(device)
    trunk = make_encoder(settings.encoder, where)
    trunk.refuse_idle_map_size()
    refuse_idle_sizes(trunk.places, settings.grid)
    comparison = Comparison.of(runs_dir, settings, seeds, trunk, without or ())
    with terminal.progress():
        place = Place(data_dir / "features", where, terminal)
        report = compare_methods(prepared, trunk, settings, seeds, comparison, place)
    drawn = figures.plot_comparison(comparison.folder)
    page = write_page(comparison.folder, data_dir)
    terminal.comparison_table(report)
    terminal.say(f"report  {comparison.report_file}\npage    {page}")
    terminal.figures(drawn)
    terminal.emit({**report, "folder": str(comparison.folder)})
