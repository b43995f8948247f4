"""How every run from the command line begins and ends."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pathsearch.cli.terminal import Terminal

if TYPE_CHECKING:
    import torch

    from data_prep.manifest import Task  # imports pandas
    from pathsearch.encoders.encoder import Encoder
    from pathsearch.experts.seen import SeeingRun
    from pathsearch.run.runs import Run
    from pathsearch.run.settings import RunSettings


@dataclass(frozen=True)
class Where:
    """What a command says beside its settings."""

    data_dir: Path
    runs_dir: Path
    run_name: str | None
    resume: bool
    overwrite: bool
    device: str


def carry_out(prepared: Task, settings: RunSettings, where: Where, terminal: Terminal) -> dict[str, Any]:
    """Make the run, say what came of it, and return its report."""
    run = run_of(prepared, settings, where)
    run.refuse_taken(resume=where.resume, overwrite=where.overwrite)
    # what is slow to import comes after what a typing error could spoil
    from pathsearch.encoders.encoder import choose_device
    from pathsearch.experts.evolve import evolve as evolve_task
    from pathsearch.experts.heritage import Heritage
    from pathsearch.run.place import Place

    check(prepared, settings)
    device = choose_device(where.device)
    heritage = Heritage.of(where.runs_dir, settings.grown_from)
    trunk = encoder_of([(prepared, settings)], device)
    heritage.check(prepared.name, trunk, settings.grid)
    earlier = [ancestor.run for ancestor in heritage.ancestors]
    settings = replace(settings, encoder_key=trunk.key)
    with run.alone():
        run.open(settings, resume=where.resume, overwrite=where.overwrite)
        if run.finished:
            terminal.say(f"run {run.name} is finished already; its report:")
            report, earlier = run.report(), [run, *earlier]
            heritage.check_grown(run, report["earlier_experts"])
        else:
            with terminal.progress():
                place = Place(where.data_dir / "features", device, terminal)
                report = evolve_task(prepared, trunk, settings, run, heritage, place)
        show(run, report, earlier, where, terminal)
    say_next([run], where, terminal)
    return report


def check(prepared: Task, settings: RunSettings) -> None:
    """Refuse settings that the task has no use for."""
    from pathsearch.grid.vocabulary import check_vocabulary
    from pathsearch.targets import target_of

    check_vocabulary(settings.grid.modules)
    asks = target_of(prepared)
    asks.check_rule(settings.training.threshold)
    asks.measure(settings.search.fitness)


def run_of(prepared: Task, settings: RunSettings, where: Where) -> Run:
    """The run as the user names it, or as it is called by default."""
    from data_prep.table_words import as_file_name
    from pathsearch.run.runs import named_run

    usual = f"{as_file_name(prepared.name)}-{prepared.split_name}-s{settings.seed}"
    return named_run(where.runs_dir, where.run_name or usual)


def encoder_of(each: Sequence[tuple[Task, RunSettings]], device: torch.device) -> Encoder:
    """The encoder of tasks whose settings of it are the same; refused before encoding where a head cannot stand."""
    from pathsearch.encoders.pixels import make_encoder
    from pathsearch.grid.vocabulary import blueprint_of, refuse_idle_sizes
    from pathsearch.targets import target_of

    _, settings = each[0]
    trunk = make_encoder(settings.encoder, device)
    trunk.refuse_idle_map_size()
    refuse_idle_sizes(trunk.places, settings.grid)
    blueprint = blueprint_of(trunk.places, settings.grid, trunk.taps)
    for prepared, _ in each:
        asks = target_of(prepared)
        asks.head(blueprint.ending(asks.kind).head_shape)
    return trunk


def show(run: Run, report: dict[str, Any], earlier: Sequence[Run], where: Where, terminal: Terminal) -> None:
    """Draw a finished run's figures and page, and say what came of it."""
    from pathsearch.experts.seen import seen_in_words
    from pathsearch.reports import figures
    from pathsearch.reports.report_page import write_page
    from pathsearch.run.runs import unsealed

    began = time.perf_counter()
    drawn = figures.plot_run(run.folder)
    page = write_page(run.folder, where.data_dir)
    took = time.perf_counter() - began  # the report, sealed before, cannot say it
    for line in unsealed(earlier):
        terminal.say(line)
    terminal.run_table(report)
    for row in report["earlier_experts"]:
        about = f"{row['task']} ({row['run']}, {row['file_sha256_after'][:12]})"
        terminal.say(f"earlier expert {about}: file and logits bit-identical")
    for line in seen_in_words(cast("SeeingRun", report)):
        terminal.say(line)
    terminal.say(f"expert  {run.expert_file}\nreport  {run.report_file}")
    terminal.figures(drawn)
    terminal.say(f"page    {page}  (figures and page took {took:.1f} s, beside the seconds of the report)")


def say_next(runs: Sequence[Run], where: Where, terminal: Terminal) -> None:
    """The commands that use what was made."""
    places, names = elsewhere(where.data_dir, where.runs_dir), " ".join(run.name for run in runs)
    terminal.say(f"next: pathsearch joint-eval{places}")
    terminal.say(f"      pathsearch bundle {names} --out DIR{places}")


def elsewhere(data_dir: Path, runs_dir: Path) -> str:
    """The options that a next command needs to find the same folders."""
    given = {"--data-dir": (data_dir, Path("data")), "--runs-dir": (runs_dir, Path("runs"))}
    words = [[option, str(here)] for option, (here, usual) in given.items() if here != usual]
    return "".join(f" {shlex.join(pair)}" for pair in words)
