"""Better, worse, no difference shown: words never contradict p and sign, in any report."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathsearch.experts.run_verdict import answer, run_verdict
from pathsearch.measures.standing import evidence, p_in_words, standing, told, too_few

P = st.one_of(st.none(), st.floats(0, 1), st.floats(0.0499, 0.0501))


@pytest.mark.parametrize(
    ("difference", "p", "words"),
    [
        (0.05, 0.0026, "better"),
        (0.05, 0.12, "no difference shown"),  # above it, but not shown
        (-0.05, 0.0026, "worse"),  # not only "not better"
        (-0.05, 0.12, "no difference shown"),
        (0.0, 1.0, "no difference shown"),
        (0.0, 0.0, "no difference shown"),
        (0.3, 0.05, "no difference shown"),
        (0.3, 0.0499, "better"),
        (0.3, None, "no difference shown"),  # without a test nothing is shown
    ],
)
def test_the_three_answers(difference, p, words):
    assert standing(difference, p) == words


def agrees(text: str, difference: float, p: float | None) -> bool:
    """Whether a clause says what sign and p say, and only that."""
    better, worse, neither = (word in text for word in ("is better than", "is worse than", "no difference"))
    sure = p is not None and p < 0.05
    return (better, worse, neither) == (sure and difference > 0, sure and difference < 0, not sure or difference == 0)


@given(st.floats(-1, 1), P)
def test_the_clause_agrees_with_sign_and_p(difference, p):
    assert agrees(told("the path", "the probe", difference, p), difference, p)


def test_a_contradiction_would_be_seen():
    assert not agrees("the path is better than the probe", 0.1, 0.12)
    assert not agrees("no difference between the path and the probe is shown", -0.1, 0.0026)
    assert not agrees("the path is better than the probe", -0.1, 0.001)


@given(st.floats(0, 1))
def test_p_in_words_stays_on_its_side_of_the_limit(p):
    words = p_in_words(p)
    shown = float(words.split()[-1])
    assert (shown < 0.05) == (p < 0.05)
    assert words.startswith("p < ") == (p < 1e-4)


def test_p_near_the_limit_shows_the_digits_that_matter():
    assert p_in_words(0.0499) == "p = 0.0499"
    assert p_in_words(0.04996) == "p = 0.04996"
    assert p_in_words(0.05) == "p = 0.05"
    assert p_in_words(0.123) == "p = 0.12"
    assert p_in_words(0.00014) == "p = 0.00014"


def test_few_groups_say_what_they_allow():
    row = {"p": 0.125, "test": "sign flips by group", "groups": 4}
    assert evidence(row) == "p = 0.12, sign flips by group of 4; of 4 groups p is 0.12 at the least"
    assert "at the least" not in evidence({**row, "groups": 22})
    assert evidence({"p": None}) == "not tested"
    assert too_few([]) == too_few([{"p": 0.5}]) == too_few([row, {**row, "groups": 6}]) == ""
    assert too_few([row, {**row, "groups": 5}]) == "; of 5 groups p is 0.062 at the least"


# --- a run's report -------------------------------------------------------------------------------------------------


def report(own: float, other: float, p: float | None, form: str = "new", measure: str = "accuracy") -> dict[str, Any]:
    """A report on one probe; `form` is new, old (McNemar's test alone), or older (no test at all)."""

    def tested(value: float) -> dict[str, Any]:
        rates = {"accuracy": 0.5, "balanced_accuracy": 0.5, measure: value}
        return {**rates, "n": 1000, "ci95": {name: [v - 0.05, v + 0.05] for name, v in rates.items()}}

    found: dict[str, Any] = {
        "path": "0|1",
        "test": tested(own),
        "baselines": {"linear_probe": {"test": tested(other)}},
    }
    gap = round(1000 * (own - other))
    if form in ("new", "old"):
        found["mcnemar"] = {"linear_probe": {"n": 1000, "b": max(gap, 0) + 3, "c": max(-gap, 0) + 3, "p": p}}
    if form == "new":
        row = {"difference": own - other, "p": p, "test": "sign flips by group", "groups": 22}
        found |= {"measure": measure, "paired": {"linear_probe": row}}
    return found


@given(st.integers(300, 900), st.integers(300, 900), st.floats(0, 1), st.sampled_from(["new", "old"]))
def test_the_verdict_of_a_run_never_contradicts_its_test(own, other, p, form):
    found = report(own / 1000, other / 1000, p, form)
    (line,) = run_verdict(found)
    assert agrees(line, round(own - other), p)
    assert f"{own / 1000:.4f}" in line
    assert p_in_words(p) in line
    assert answer(found, "linear_probe") == standing(own - other, p)


def test_what_today_s_words_said_against_their_own_test():
    assert "is worse than the linear probe" in run_verdict(report(0.80, 0.84, 0.0026, "old"))[0]
    assert "no difference" in run_verdict(report(0.90, 0.80, 0.12, "old"))[0]
    assert "is better than the linear probe" in run_verdict(report(0.90, 0.87, 0.00014, "old"))[0]


def test_a_report_without_a_test_says_so():
    (line,) = run_verdict(report(0.9, 0.5, None, "older"))
    assert "no difference" in line
    assert "no paired test" in line
    found = report(0.9, 0.5, None, "older")
    found["baselines"]["linear_probe"]["test"]["accuracy"] = None
    assert run_verdict(found) == []


def test_the_measure_that_was_maximised_is_judged():
    new = report(0.7, 0.6, 0.01, "new", "balanced_accuracy")
    assert "balanced accuracy 0.7000 (95 % 0.6500 to 0.7500) against 0.6000; p = 0.01" in run_verdict(new)[0]
    old = report(0.5, 0.5, 0.9, "old", "balanced_accuracy")
    lines = run_verdict(old, "balanced_accuracy")
    assert "accuracy 0.5000" in lines[0]
    assert lines[-1].startswith("The search maximised balanced accuracy; this report, of an earlier form")


def test_of_several_random_paths_it_says_how_many():
    found = report(0.8, 0.7, 0.5)
    rows = [(0.1, 0.01), (0.1, 0.02), (0.1, 0.3), (-0.1, 0.01), (-0.1, 0.4)]
    each = [{"difference": d, "p": p, "test": "McNemar's exact test"} for d, p in rows]
    found["paired"] = {"random_path": {"each": each}}
    found["baselines"] = {"random_path": {"test": {"accuracy": 0.7}, "each": []}}
    (line,) = run_verdict(found)
    assert "better than 2 of 5 random paths and worse than 1; no difference is shown from 2: accuracy 0.8000" in line
    assert "against 0.7000 on average" in line
    assert answer(found, "random_path") == "no difference shown"
    assert "at the least" not in line
    found["paired"] = {"random_path": {"each": [{**one, "p": 0.0625, "groups": 5} for one in each]}}
    (line,) = run_verdict(found)
    assert "better than 0 of 5" in line
    assert line.endswith("McNemar's exact test of each, p < 0.05; of 5 groups p is 0.062 at the least.")
