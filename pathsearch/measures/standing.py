"""Better, worse, or no difference shown: the three answers that a paired test allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from pathsearch.measures.statistics import SURE

BETTER, UNDECIDED, WORSE = "better", "no difference shown", "worse"


class Tested(TypedDict):
    """A difference (own less other) and the test of it; earlier reports may lack some of it."""

    groups: int | None  # of images that were tested; None: by image
    difference: float | None
    test: str | None
    p: float | None  # two-sided


def standing(difference: float, p: float | None) -> str:
    """What a difference (own less other) and the p of its test say; without a test, nothing is shown."""
    if p is None or p >= SURE or difference == 0:
        return UNDECIDED
    return BETTER if difference > 0 else WORSE


def told(subject: str, other: str, difference: float, p: float | None) -> str:
    """The answer as a clause: `the path is better than the probe`."""
    answer = standing(difference, p)
    if answer == UNDECIDED:
        return f"no difference between {subject} and {other} is shown"
    return f"{subject} is {answer} than {other}"


def p_in_words(p: float) -> str:
    """`p = 0.12`; a tiny one as a bound, and one just above the limit with the digits that show it."""
    if p < 1e-4:
        return "p < 0.0001"
    digits = next((n for n in range(2, 17) if (float(f"{p:.{n}g}") < SURE) == (p < SURE)), 17)
    return f"p = {p:.{digits}g}"


def how_many(answers: list[str]) -> dict[str, int]:
    """How often each answer was given."""
    return {answer: answers.count(answer) for answer in (BETTER, UNDECIDED, WORSE)}


def evidence(row: Tested) -> str:
    """The test of one row in words: `p = 0.12, McNemar's exact test`; of few groups, what p they allow at all."""
    p = row.get("p")
    if p is None:
        return "not tested"
    groups = row.get("groups")
    of = f" of {groups}" if groups else ""
    return f"{p_in_words(p)}, {row['test']}{of}{too_few([row])}"


def too_few(rows: Sequence[Tested]) -> str:
    """`; of 5 groups p is 0.062 at the least` where the tests of some rows can show nothing; else nothing."""
    groups = max((row.get("groups") or 0 for row in rows), default=0)
    least = 2.0 ** (1 - groups)  # all signs alike
    return f"; of {groups} groups p is {least:.2g} at the least" if groups and least >= SURE else ""
