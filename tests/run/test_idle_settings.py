"""A setting that has no effect beside the others is refused where it is given, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_world import pathsearch
from small_world import refused

from pathsearch.run.idle_settings import CHAINS, RULES, changed, refuse_idle, refuse_idle_in_comparison
from pathsearch.run.settings import RunSettings, SearchSettings, with_settings

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence"

# What is given, what stands beside it, and the way out that the message names.
IDLE = [
    ("search.preset=random", ["search.pareto=true"], "--pareto"),
    ("search.preset=pathnet", ["search.pareto=true"], "--pareto"),
    ("search.preset=generational", ["search.pareto=true"], "--pareto"),
    *(
        (f"search.{name}", beside, "search.preset=generational and search.pareto=false")
        for name in ("tournament=5", "elite=1", "elite=2")
        for beside in (["search.preset=random"], ["search.preset=pathnet"], ["search.pareto=true"])
    ),
    ("search.crossover=0.9", ["search.preset=random"], "search.preset=generational"),
    ("search.crossover=0.9", ["search.preset=pathnet"], "search.preset=generational"),
    ("search.average=0.9", ["search.weights=fresh"], "search.weights=shared"),
    ("search.warmup=50", ["search.weights=fresh"], "search.weights=shared"),
    ("search.snapshots=3", ["search.weights=fresh"], "weights=shared"),
    ("search.folds=3", ["search.weights=shared"], "weights=fresh"),
    ("search.recipes=true", [], "search.weights=fresh"),
    *(
        (f"search.{given}", ["search.recipes=true", "search.weights=fresh"], "search.recipes=false")
        for given in ("learning_rate=0.1", "weight_decay=0.1", "dropout=0.2")
    ),
    ("search.balance_strength=0.5", [], "search.balance=true"),
    ("training.balance_strength=0.5", [], "training.balance=true"),
    *((f"{part}.balance=true", [f"{part}.balance_strength=0"], "strength above 0") for part in ("search", "training")),
    ("encoder.random_seed=3", [], "encoder.weights=random"),
    ("training.begin=earlier", [], "--grid RUN"),
    ("together.turns=2:1", [], "--strategy alternating"),
    ("together.loss_weights=learned", [], "--strategy joint"),
    ("together.fitness=rank", [], "several --task to pathsearch evolve --strategy joint"),
    ("together.shared_layers=2", [], "several --task to pathsearch evolve --strategy joint"),
    ("training.probe=true", ["together.strategy=joint"], "training.probe=false"),
    ("training.choice_folds=3", ["together.strategy=alternating"], "training.choice_folds=1"),
    *(
        (f"search.{given}", ["together.strategy=joint", "together.fitness=rank"], "together.fitness=equal")
        for given in ("target=0.9", "plateau=5")
    ),
    *(("encoder.sizes=own", ["encoder.taps=2", f"grid.modules={kind}"], "--blueprint") for kind in CHAINS),
]

# The same settings where they count.
EFFECTIVE = [
    ["search.pareto=true"],
    ["search.preset=random"],
    ["search.tournament=5", "search.elite=1", "search.crossover=0.9"],
    ["search.crossover=0.9", "search.pareto=true"],
    ["search.average=0.9", "search.warmup=50", "search.snapshots=3"],
    ["search.weights=fresh", "search.folds=3", "search.rungs=2"],
    ["search.weights=fresh", "search.warmup=0", "search.average=0", "search.snapshots=1"],
    ["search.recipes=true", "search.weights=fresh", "training.learning_rate=0.1"],
    ["search.learning_rate=0.1", "search.weight_decay=0.1", "search.dropout=0.2"],
    ["search.balance=true", "search.balance_strength=0.5"],
    ["encoder.weights=random", "encoder.random_seed=3"],
    ["together.strategy=joint", "training.probe=false", "training.choice_folds=1", "search.target=0.9"],
    ["together.strategy=joint", "together.fitness=rank", "search.plateau=null"],
    ["together.strategy=joint", "together.turns=2:1", "search.weights=fresh", "search.recipes=true"],
    ["encoder.sizes=own"],
    ["encoder.sizes=one", "encoder.taps=2"],
]


@pytest.fixture
def run() -> RunSettings:
    return RunSettings("ecg", "random")


@pytest.mark.parametrize(("given", "beside", "way_out"), IDLE)
def test_what_has_no_effect_is_refused_with_the_way_out(run, given, beside, way_out):
    name = given.partition("=")[0].partition(".")[2]
    for order in ([given, *beside], [*beside, given]):
        with refused(rf"{name}: .*{way_out}"):
            with_settings(run, order)


@pytest.mark.parametrize("given", EFFECTIVE, ids=" ".join)
def test_what_has_an_effect_is_taken(run, given):
    with_settings(run, given)


def test_defaults_never_trip_it(run):
    """Elite, tournament, warm-up and the rest stand at their defaults beside settings that leave them idle."""
    for beside in ("search.pareto=true", "search.preset=random", "search.preset=pathnet", "search.weights=fresh"):
        found = with_settings(run, [beside])
        assert (found.search.elite, found.search.tournament, found.search.warmup) == (2, 3, 100)


def test_options_count_as_given(run):
    options = {"search.pareto": ("--pareto", True), "search.preset": ("--preset", "generational")}
    with refused(
        "^search.preset: generational has no effect, since pareto=true selects by NSGA-II; "
        "leave out --pareto, or leave out search.preset$"
    ):
        with_settings(run, [], options)


def test_every_rule_is_tried(run):
    tried = {given.partition("=")[0] for given, _, _ in IDLE}
    assert {rule.key for rule in RULES} <= tried


def test_without_a_command_line_what_differs_from_the_defaults_counts_as_given(run):
    of = RunSettings("ecg", "random", search=SearchSettings(preset="random", pareto=True))
    assert changed(of) == {"search.preset", "search.pareto"}
    with refused("^search.preset: random has no effect"):
        refuse_idle(of)
    refuse_idle(run)
    assert changed(run) == set()


def test_what_earlier_versions_took_is_read_back():
    of = RunSettings("ecg", "random", search=SearchSettings(preset="pathnet", pareto=True, tournament=9))
    assert RunSettings.from_dict(json.loads(json.dumps(of.to_dict()))) == of


def test_a_comparison_has_no_use_for_the_number_of_random_paths(run):
    refuse_idle_in_comparison(run)
    with refused("^training.random_paths: 9 has no effect in a comparison, .*; leave out training.random_paths$"):
        refuse_idle_in_comparison(with_settings(run, ["training.random_paths=9"]))


def configs() -> Iterator[Path]:
    yield from sorted(EVIDENCE.glob("**/config.json"))


def test_all_evidence_is_still_read():
    files, keys = list(configs()), {"seeds", "without"}  # a comparison's own
    assert len(files) > 50
    for file in files:
        values: dict[str, Any] = json.loads(file.read_text())
        of = RunSettings.from_dict({key: value for key, value in values.items() if key not in keys})
        refuse_idle(of)  # so the command that makes it again is taken too


def test_the_command_line_refuses_it_before_any_work(tmp_path):
    from small_world import data_dir

    where = ["--data-dir", data_dir(), "--runs-dir", tmp_path]
    for command in ("evolve", "compare"):
        found = pathsearch(command, "--task", "blobs", *where, "--set", "search.average=0.9", "--set",
                           "search.weights=fresh")  # fmt: skip
        assert found.code == 2
        assert "search.average: 0.9 has no effect, since fresh weights are not averaged" in found.err
    found = pathsearch("compare", "--task", "blobs", *where, "--set", "training.random_paths=9")
    assert found.code == 2
    assert "training.random_paths: 9 has no effect in a comparison" in found.err
    for command in ("evolve", "compare"):
        small = ["--encoder", "squeezenet1_1", "--encoder-weights", "random", "--image-size", "48"]
        found = pathsearch(command, "--task", "blobs", *where, *small, "--set", "encoder.map_size=5")
        assert found.code == 2
        assert "encoder.map_size: 5 has no effect, since the map of squeezenet1_1 at 48 px has 2 positions" in found.err
    found = pathsearch("evolve", "--task", "blobs", *where, "--pareto", "--preset", "random")
    assert found.code == 2
    assert "search.preset: random has no effect, since pareto=true selects by NSGA-II; leave out --pareto" in found.err
    found = pathsearch("evolve", "--task", "blobs", *where, "--population", "2", "--set", "search.elite=2")
    assert found.code == 2
    assert "elite: expected fewer than population=2, got 2" in found.err
    assert list(tmp_path.iterdir()) == []
