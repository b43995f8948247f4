"""What a comparison says in words."""

from __future__ import annotations

from typing import Any

from pathsearch.verdict import verdict


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


def test_the_verdict_says_what_is_not_beaten():
    assert "beats the ladder on test: 0.9100 ± 0.0010" in judged(0.01, 0.02)
    assert "favours it on 5 of 5 seeds" in judged(0.01, 0.02)
    assert "is above, but not beyond the luck of seeds, the ladder" in judged(0.01, 0.2)
    assert "does not beat the ladder" in judged(-0.01, 0.2)
    assert "does not beat the ladder" in judged(0.0, None)
    assert "is worse than the ladder" in judged(-0.01, 0.02)
    assert "3 seeds are too few" in judged(0.01, None, 3)
    assert "too few" not in judged(0.01, 0.02)


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
    assert "on test: the evolved front's hypervolume, 0.510, beats that of the ladder (0.500, p = 0.02)." in said
    assert "Counted from 0.452, the largest class's share of test, in place of the linear probe's accuracy, " in said
    assert "that hypervolume is 0.910, and it beats that of the ladder (0.900, p = 0.02)." in said
    assert "is within 0.2 points of the full grid: +0.10 points on test, 4.3 % of the parameters" in said
    assert "(90 % interval -0.10 to +0.15, equivalence p = 0.02)" in said
    assert "does not beat that of the ladder" in in_words(-0.01, 0.2)
    assert "is not shown to be within 0.2 points of the full grid: -0.10" in in_words(-0.01, 0.2)
    assert "whether that is within 0.2 points was not tested" in in_words(0.01, None)
