"""What a comparison says in words."""

from __future__ import annotations

from typing import Any

from pathsearch.measures.statistics import spread
from pathsearch.search.verdict import verdict


def judged(difference: float, p: float | None, seeds: int = 5) -> str:
    def method(mean: float) -> dict[str, Any]:
        return {"test": {"accuracy": {"mean": mean, "sd": 0.001}}}

    test = [{"p": 0.01, "b": 9, "c": 1}] * (seeds if difference > 0 else 0)
    report = {
        "seeds": list(range(seeds)),
        "methods": {"evolved": method(0.9 + difference), "ladder": method(0.9)},
        "against": {"ladder": {"difference": difference, "p_holm": p, "mcnemar": test}},
        "fronts": {"methods": {}, "against": {}},
        "equivalence": {"margin": 0.002, "share": {"mean": 0.04}, "test": {"difference": -0.001, "p": None}},
        "rank_fidelity": {"tau": {"mean": None}},
    }
    return " ".join(verdict(report))


def test_the_verdict_gives_one_of_three_answers():
    better = judged(0.01, 0.02)
    assert "On test, the evolved path is better than the ladder: accuracy 0.9100 ± 0.0010 against 0.9000" in better
    assert "paired t-test over 5 seeds p = 0.02 after Holm" in better
    assert "it is better at 5 of 5 seeds, worse at 0, and at 0 no difference is shown" in better
    for difference, p in ((0.01, 0.2), (-0.01, 0.2), (0.0, None), (0.01, None)):
        assert "no difference between the evolved path and the ladder is shown" in judged(difference, p)
    assert "the evolved path is worse than the ladder" in judged(-0.01, 0.02)
    assert "3 seeds are too few" in judged(0.01, None, 3)
    assert "too few" not in judged(0.01, 0.02)


def test_the_measure_that_was_maximised_is_the_one_judged():
    """By accuracy the path is worse at every seed, by balanced accuracy better: an old report and a new one."""

    def method(accuracy: list[float], balanced: list[float]) -> dict[str, Any]:
        each = [{"test": {"accuracy": a, "balanced_accuracy": b}} for a, b in zip(accuracy, balanced, strict=True)]
        rates = {"accuracy": spread(accuracy), "balanced_accuracy": spread(balanced)}
        return {"test": rates, "each": each}

    own, other = [0.70, 0.71, 0.72, 0.70, 0.71], [0.80, 0.82, 0.81, 0.80, 0.82]
    test = {"difference": -0.1, "p_holm": 0.001, "mcnemar": [{"b": 1, "c": 20, "p": 0.001}] * 5}
    report = {
        "seeds": list(range(5)),
        "methods": {"evolved": method(own, other), "ladder": method(other, own)},
        "against": {"ladder": test},
        "fronts": {"methods": {}, "against": {}},
        "equivalence": None,
        "rank_fidelity": {"tau": {"mean": None}},
    }
    assert "is worse than the ladder: accuracy 0.7080" in " ".join(verdict(report))
    old = {**report, "budget": {"settings": {"search": {"fitness": "balanced_accuracy"}}}}
    new = {**report, "measure": "balanced_accuracy"}
    for one in (old, new):
        assert "is better than the ladder: balanced accuracy 0.8100" in " ".join(verdict(one))
    paired = [{"difference": 0.1, "p": 0.01}] * 4 + [{"difference": -0.1, "p": 0.01}]
    new["against"] = {"ladder": {**test, "paired": paired}}
    said = " ".join(verdict(new))
    assert "by the paired test on the images it is better at 4 of 5 seeds, worse at 1" in said
    assert "at the least" not in said
    few = [{"difference": 0.1, "p": 0.125, "groups": 4}] * 5
    new["against"] = {"ladder": {**test, "paired": few}}
    assert "at 5 no difference is shown; of 4 groups p is 0.12 at the least." in " ".join(verdict(new))


def chosen_at(**paths: list[str | None]) -> dict[str, Any]:
    """A report in which methods chose these paths, seed by seed."""
    rates = {"accuracy": {"mean": 0.9, "sd": 0.001}}
    methods = {name: {"test": rates, "each": [{"path": one} for one in own]} for name, own in paths.items()}
    row = {"difference": 0.0, "p_holm": None, "mcnemar": []}
    return {
        "seeds": list(range(len(paths["evolved"]))),
        "methods": methods,
        "against": {name: row for name in methods if name != "evolved"},
        "rank_fidelity": {"tau": {"mean": None}},
    }


def test_the_verdict_says_where_the_evolved_path_is_the_probe():
    """Two trainings of one network are no comparison of search with its control."""
    own, other = ["probe", "0|1", "probe@0.002,3,0.5"], ["0|1", "0|1", "probe"]
    lines = verdict(chosen_at(evolved=own, random_search=other, linear_probe=["probe"] * 3, nearest=[None] * 3))
    assert (
        "At 2 of 3 seeds the evolved path is the linear probe itself, a candidate here; so is the choice of random "
        "search at 1."
    ) in lines
    against = {line.partition(" and ")[2].partition(" is shown")[0]: line for line in lines[:3]}
    assert against["random search"].endswith("; at 1 of 3 seeds both are the linear probe.")
    assert against["the linear probe"].endswith("; at 2 of 3 seeds both are the linear probe.")
    assert "both" not in against["nearest neighbours"]


def test_where_no_probe_was_chosen_nothing_is_said_of_it():
    lines = verdict(chosen_at(evolved=["0|1"], ladder=["0|2"], linear_probe=["probe"]))
    assert "itself" not in " ".join(lines)
    assert "both" not in " ".join(lines)
    said = " ".join(verdict(chosen_at(evolved=["0|1"], ladder=["probe"], linear_probe=["probe"])))
    assert (
        "At 0 of 1 seeds the evolved path is the linear probe itself, a candidate here; so is the choice of ladder"
        in said
    )


def in_words(difference: float, p: float | None) -> str:
    volumes = {"evolved": 0.5 + difference, "ladder": 0.5}
    rows = {name: {"hypervolume": {"test": {"mean": mean, "sd": None}}} for name, mean in volumes.items()}
    report = {"seeds": [0], "methods": {"evolved": {"test": {"accuracy": {"mean": 0.9}}}}, "against": {}}
    against = {"test": {"ladder": {"difference": difference, "p_holm": p}}}
    above = {name: {"test": {"mean": mean + 0.4, "sd": None}} for name, mean in volumes.items()}
    report["fronts"] = {"methods": rows, "against": against}
    report["fronts"]["above_largest_class"] = {"accuracy": {"test": 0.452}, "hypervolume": above, "against": against}
    test = {"difference": difference / 10, "ci90": [-0.001, 0.0015], "p": p}
    report["equivalence"] = {"margin": 0.002, "share": {"mean": 0.043}, "test": test}
    report["rank_fidelity"] = {"tau": {"mean": None}}
    return " ".join(verdict(report))


def test_the_verdict_speaks_of_size():
    said = in_words(0.01, 0.02)
    assert (
        "on test: the evolved front's hypervolume, 0.510, is larger than that of the ladder (0.500, p = 0.02)." in said
    )
    assert "Counted from 0.452, the largest class's share of test, in place of the linear probe's accuracy, " in said
    assert "that hypervolume, 0.910, is larger than that of the ladder (0.900, p = 0.02)." in said
    assert "is within 0.2 points of the full grid: +0.10 points on test, 4.3 % of the parameters" in said
    assert "(90 % interval -0.10 to +0.15, equivalence p = 0.02)" in said
    assert "is not shown to differ from that of the ladder" in in_words(-0.01, 0.2)
    assert "is smaller than that of the ladder" in in_words(-0.01, 0.02)
    assert "is not shown to be within 0.2 points of the full grid: -0.10" in in_words(-0.01, 0.2)
    assert "whether that is within 0.2 points was not tested" in in_words(0.01, None)
