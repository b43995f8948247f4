"""Rules over answers: the grammar, Kleene's logic, and what is refused in one line."""

from __future__ import annotations

import itertools
import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_world import refused

from data_prep.errors import PathsearchError
from pathsearch.experts.answer import Answer
from pathsearch.experts.rules import DEEPEST, LONGEST, derived, read_rules
from pathsearch.targets import BoxTarget, ClassTarget, MaskTarget
from pathsearch.targets.decoded import Area

EXPERTS: Any = {
    name: SimpleNamespace(target=target)
    for name, target in {
        "quality": ClassTarget(["good", "bad"]),
        "flow": ClassTarget(["TR", "no flow", "not"]),
        "lungs": MaskTarget(["ground", "lung", "left lobe"]),
        "lungs:class": ClassTarget(["TB", "none"]),
        "lungs:box": BoxTarget(),
    }.items()
}
KNOWN = {
    "quality": Answer("a", "quality", "good", 0.7, 0.25, False, {}),
    "flow": Answer("a", "flow", "no flow", 0.9, 2.5, True, {}),
    "lungs": Answer(
        "a", "lungs", "TB", 0.6, 0.5, False, {},
        areas={"lung": Area(250, 0.25), "left lobe": Area(0, 0.0)}, box=(1.0, 2.0, 30.126, 40.0),
    ),
}  # fmt: skip


def value(expression: str, *tasks: str) -> bool | None:
    """What an expression is for the answers of these tasks, of all unless told."""
    rules = read_rules([f"r = {expression}"], EXPERTS)
    return derived(rules, [KNOWN[task] for task in tasks or KNOWN])["r"]


# --- what rules say -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("quality is good", True),
        ("quality is bad", False),
        ("quality is not bad", True),
        ("flow is 'no flow'", True),
        ('flow is "TR"', False),
        ("flow is not 'not'", True),
        ("flow is 'not'", False),
        ("lungs is TB", True),
        ("lungs:class is TB", True),
        ("lung_share > 0.2", True),
        ("lung_share>0.25", False),
        ("lung_share>=0.25", True),
        ("lung_pixels < 251", True),
        ("'left lobe_pixels' <= 0", True),
        ("x_max >= 30.13", True),
        ("probability of quality > 7e-1", False),
        ("probability of lungs:class > .5", True),
        ("distance of flow > +1.", True),
        ("distance of 'quality' > -1", True),
        ("not quality is bad", True),
        ("not not quality is bad", False),
        ("quality is bad and flow is TR or lungs is TB", True),
        ("quality is bad and (flow is TR or lungs is TB)", False),
        ("lungs is TB or quality is bad and flow is TR", True),
        ("not quality is good or lungs is TB", True),
        ("not (quality is good or lungs is TB)", False),
        ("(((quality is good)))", True),
    ],
)
def test_by_hand(expression, expected):
    assert value(expression) is expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("flow is TR", None),
        ("flow is not TR", None),
        ("not flow is TR", None),
        ("probability of flow > 0", None),
        ("lung_share > 0", None),
        ("quality is good and flow is TR", None),
        ("quality is bad and flow is TR", False),
        ("flow is TR and quality is bad", False),
        ("quality is good or flow is TR", True),
        ("quality is bad or flow is TR", None),
    ],
)
def test_what_nobody_said_is_not_known(expression, expected):
    assert value(expression, "quality") is expected


def test_an_unknown_image_has_no_value():
    rules = read_rules(["r = quality is good or not quality is good"], EXPERTS)
    assert derived(rules, [Answer("a", None, None, None, 3.0, True, {})]) == {"r": None}


LEAVES = {
    "quality is good": 1.0,
    "quality is bad": 0.0,
    "flow is TR": 0.5,
    "lung_share > 0.1": 0.5,
    "distance of quality < 1": 1.0,
}
TREES = st.recursive(
    st.sampled_from(list(LEAVES)),
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=12,
)


def written(tree) -> str:
    """A tree as an expression, everything in parentheses."""
    if isinstance(tree, str):
        return f"({tree})"
    word, inside = tree
    return f"(not {written(inside)})" if word == "not" else f"({f' {word} '.join(map(written, inside))})"


def sparing(tree, weight: int = 0) -> str:
    """The same with the parentheses that it needs: `not` binds before `and`, `and` before `or`."""
    if isinstance(tree, str):
        return tree
    word, inside = tree
    if word == "not":
        return f"not {sparing(inside, 3)}"
    own = {"or": 1, "and": 2}[word]
    text = f" {word} ".join(sparing(one, own + 1) for one in inside)
    return f"({text})" if weight > own else text


def kleene(tree) -> float:
    """Its value on the scale of 0, a half and 1: `and` is the least, `or` the greatest."""
    if isinstance(tree, str):
        return LEAVES[tree]
    word, inside = tree
    return 1 - kleene(inside) if word == "not" else {"and": min, "or": max}[word](map(kleene, inside))


@given(TREES)
def test_all_trees_are_what_kleene_says(tree):
    expected = {0.0: False, 0.5: None, 1.0: True}[kleene(tree)]
    assert value(sparing(tree), "quality") is expected
    if len(written(tree)) < LONGEST and deep(written(tree)) <= DEEPEST:
        assert value(written(tree), "quality") is expected


def deep(text: str) -> int:
    """How many parentheses and `not` are within each other, at most, where each part has its parentheses."""
    return max(
        itertools.accumulate(text.count("(", i, i + 1) - text.count(")", i, i + 1) for i in range(len(text)))
    ) + (text.count("not "))


# --- what is no rule ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "--rule: expected NAME = EXPRESSION, got the end; write it as in"),
        ("usable", "--rule usable: expected NAME = EXPRESSION, got the end"),
        ("is usable = quality is good", "--rule: expected NAME = EXPRESSION, got 'is'"),
        (
            "so usable = quality is good",
            "--rule so: expected NAME = EXPRESSION, got 'usable'; quote a name with spaces",
        ),
        ("'' = quality is good", "expected a name of 1 to 60 characters before =, got ''"),
        ("a" * 61 + " = quality is good", "expected a name of 1 to 60 characters"),
        ("r = ", "--rule r: expected a task, a column, not or (, got the end"),
        ("r = qualty is good", "expected a task that answers with classes, got 'qualty'; did you mean quality?"),
        ("r = quality is god", "expected a class of quality, got 'god'; did you mean good?"),
        ("r = flow is no flow", "got 'no'; did you mean \"no flow\"?"),
        ("r = flow is nott", "got 'nott'; did you mean \"not\"?"),
        ("r = left lobe_pixels > 1", "got 'left'; did you mean \"left lobe_pixels\"?"),
        ("r = flow is xyz", 'there are: TR, "no flow", "not"'),
        ("r = lungs:box is TB", "expected a task that answers with classes, got 'lungs:box'; did you mean"),
        ("r = quality is xyz", "expected a class of quality, got 'xyz'; there are: good, bad"),
        ("r = quality = good", "expected quality is CLASS, got '='; write it as in"),
        ("r = quality is", "expected a class, got the end"),
        ("r = quality is not", "expected a class, got the end"),
        ("r = quality is good flow is TR", "expected and, or, or the end, got 'flow'"),
        ("r = quality is good and", "expected a task, a column, not or (, got the end"),
        ("r = quality is good)", "expected and, or, or the end, got ')'"),
        ("r = (quality is good", "expected and, or, or ), got the end"),
        ("r = ()", "expected a task, a column, not or (, got ')'"),
        (
            "r = lung_shar > 0.2",
            "expected a task before `is`, or a column of numbers, got 'lung_shar'; did you mean lung_share?",
        ),
        ("r = mask > 0.2", "expected a task before `is`, or a column of numbers, got 'mask'"),
        ("r = lung_share of flow > 0.2", "expected a column of numbers of flow, got 'lung_share'"),
        ("r = lung_share of flo > 0.2", "expected a task, got 'flo'; did you mean flow?"),
        ("r = probability > 0.2", "expected probability of one of quality, flow, lungs, got probability alone"),
        ("r = lung_share > many", "expected a number such as 0.2, got 'many'"),
        ("r = lung_share > nan", "expected a number such as 0.2, got 'nan'"),
        ("r = lung_share > '1'", "expected a number such as 0.2, got '1'"),
        ("r = lung_share > ٣", "expected a number such as 0.2"),
        ("r = lung_share == 1", "expected is, of, <, <=, > or >= after lung_share, got '='"),
        (
            "r = lung_share != 1",
            "expected names, numbers, <, <=, >, >= and parentheses, got",
        ),
        ("r = quality is 'good", "expected names, numbers"),
        ("r = 'quality is good", "expected names, numbers"),
        ("r = __import__('os').system('x')", "expected a task before `is`, or a column of numbers, got '__import__'"),
        ("r = ｑuality is good", "did you mean quality?"),
        ("r = quality is good\nand flow is TR", "printable characters in one line"),
        ("r = quality is g\u0000ood", "printable characters in one line"),
        ("r = quality is \ud800", "printable characters in one line"),
        ("r = " + "x" * LONGEST, f"expected at most {LONGEST} printable characters"),
        ("r = " + "(" * 900, f"expected at most {DEEPEST} parentheses and `not` within each other"),
        ("r = " + "not " * 240 + "quality is good", f"expected at most {DEEPEST} parentheses and `not`"),
        ("class = quality is good", "--rule class: expected a name of its own, got that of a column of answers"),
        ("lung_share = quality is good", "got that of a column of answers"),
        ("heat_map = quality is good", "got that of a column of answers"),
    ],
)
def test_what_is_no_rule_is_one_line(text, words):
    with refused(re.escape(words)) as caught:
        read_rules([text], EXPERTS)
    assert len(str(caught.value)) < 400


def test_two_rules_of_one_name_are_refused():
    with refused("^--rule r: expected a name of its own, got that of another rule; rename it$"):
        read_rules(["r = quality is good", "r = quality is bad"], EXPERTS)


@given(st.text(max_size=80) | st.text("()'\"=<>notadrisf quality good", max_size=60).map(lambda text: f"r = {text}"))
def test_any_text_is_a_rule_or_refused_in_a_line(text):
    said = ""
    try:
        rules = read_rules([text], EXPERTS)
        assert set(derived(rules, list(KNOWN.values())).values()) <= {True, False, None}
    except PathsearchError as error:
        said = str(error)
    assert said.isprintable()
