"""How every run ends: the expert is fixed, the test images are read once, and the run is sealed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from data_prep.whole_files import write_json
from pathsearch.experts.expert import Expert, ExpertFacts
from pathsearch.experts.reporting import Outcome, Ready, report
from pathsearch.experts.router import Territory
from pathsearch.experts.seen import seen_before
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path
from pathsearch.grid.plugins import plugins_of
from pathsearch.run.log_table import write_table
from pathsearch.run.runs import Run, forget_trainings
from pathsearch.training.bench import Bench


class Clock:
    """Wall time of each stage of a run, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """A stage ends here."""
        now = time.perf_counter()
        self.seconds[stage], self.last = now - self.last, now


def finish(
    ready: Ready,
    run: Run,
    clock: Clock,
    threads: int,
    more: Mapping[str, Any] | None = None,
    beside: Sequence[tuple[str, Run]] = (),
) -> dict[str, Any]:
    """Fix the expert, test it and its baselines, write the report and seal the run.

    Args:
        ready: what the run has come to.
        run: whose files are written.
        clock: of its stages.
        threads: that torch was given.
        more: fields of the report beside the usual ones.
        beside: runs by task, not on its grid, from whose images its layers have learned too.

    Returns:
        The report, as written to `report.json`.
    """
    bench, grid, choice, task, best = ready.bench, ready.grid, ready.choice, ready.task, ready.best
    # 1. fix the expert: path, weights, threshold, router statistics; nothing may change after this line
    if not choice.path.is_probe:
        grid.adopt(best.network, choice.path, task.name)
    Expert(_facts(ready), best.network.cpu(), bench.training.standardise).save(run.expert_file)
    expert = Expert.load(run.expert_file)  # what is tested is what is on disk
    write_table(run.training_file, best.history)
    _write_path(ready, run)
    strata = torch.from_numpy(bench.target.strata(bench.training.truth))
    Territory.fit(bench.training.pooled(), strata, bench.validation.pooled()).save(run.router_file)
    clock.lap("fix")

    # 2. the test images, read once, for the expert and its baselines
    bench.tell.stage("test", 0)
    outcome = Outcome(**vars(ready), expert=expert)
    result = report(outcome, run.answers_file)
    result["threads"] = threads
    others = [*((one.expert.facts.task, one.run) for one in ready.heritage.ancestors), *beside]
    result |= {"seen_before": rows} if (rows := seen_before(ready.features, others)) else {}
    result["earlier_experts"] = ready.heritage.verify(grid, bench.validation)
    clock.lap("test")
    searched = sum(row["seconds"] for row in ready.state.log)
    result["seconds"] = {**clock.seconds, "search_generations": searched, "total": sum(clock.seconds.values())}
    result |= more or {}
    write_json(run.report_file, result)
    # 3. digests of all files, which finish the run; what it would have gone on from is needed no longer
    run.seal()
    forget_trainings(run.checkpoint_dir)
    return result


def _wiring(bench: Bench, path: Path, grid: Grid) -> dict[str, Any] | None:
    """What a path's layers read; of a probe, the maps that its heads read, where there are several."""
    if not path.is_probe:
        return grid.blueprint.wiring
    several = bench.target.reads_maps and len(bench.places) > 1
    return {"places": [[name, list(shape)] for name, shape in bench.places.items()], "layers": []} if several else None


def _facts(ready: Ready) -> ExpertFacts:
    bench, grid, path, encoder = ready.bench, ready.grid, ready.choice.path, ready.encoder
    specifications = [[grid.specifications[n][i] for i in layer] for n, layer in enumerate(path.layers)]
    return ExpertFacts(
        task=ready.task.name,
        classes=list(bench.target.names),
        path=str(path),
        specifications=specifications,
        shapes=[list(shape) for shape in (grid.shapes[:1] if path.is_probe else grid.shapes)],
        wiring=_wiring(bench, path, grid),
        encoder=encoder.identity,
        threshold=bench.target.fix(bench.last.threshold, ready.choice.best.said, bench.validation.truth),
        split=ready.task.split_name,
        seed=bench.seed,
        plugins=plugins_of(
            (one for layer in specifications for one in layer), bench.target.kind, encoder.settings.name
        ),
        target=bench.target.kind,
    )


def _write_path(ready: Ready, run: Run) -> None:
    grid, choice, name = ready.grid, ready.choice, ready.task.name
    layers, blueprint = choice.path.over(len(grid.layers)), grid.blueprint
    write_json(
        run.path_file,
        {
            "task": name,
            "classes": list(ready.task.classes),
            "path": str(choice.path),
            "layers": layers,
            "modules": grid.specifications,
            **({"reads": [(layer.name, layer.reads) for layer in blueprint.layers]} if blueprint.wiring else {}),
            "module_parameters": grid.module_parameters(),
            "frozen": ready.heritage.occupied(grid),
            "paths": {**ready.heritage.paths(grid), name: layers},
            "parameters": choice.sizes[choice.chosen],
            "full_grid_parameters": grid.count_parameters(grid.space.full_path(), name),
        },
    )
