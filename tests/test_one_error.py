"""One standard error: of the measure in question, never 0, right by simulation; and the rule that stands on it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathsearch.measure import measured
from pathsearch.one_error import choose_smallest, error, error_of_score, errors

RARE = np.repeat([0, 1], [980, 20])


def test_a_rate_by_hand():
    # two images more on either side: (0.9 · 100 + 2) / 104 = 0.8846, sqrt(0.8846 · 0.1154 / 104)
    assert error_of_score("accuracy", 0.9, np.zeros(100, int)) == pytest.approx(0.03133, abs=1e-5)


def test_a_rare_class_decides_the_error_of_balanced_accuracy():
    """980 and 20 images at a recall of 0.8: sqrt(0.16 / 980 + 0.16 / 20) / 2 = 0.045, not sqrt(0.16 / 1000) = 0.013."""
    assert error_of_score("balanced_accuracy", 0.8, RARE) == pytest.approx(0.0452, rel=0.05)
    assert error_of_score("accuracy", 0.8, RARE) == pytest.approx(0.0127, rel=0.05)


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "auc"])
@pytest.mark.parametrize("score", [0.0, 1.0])
def test_it_is_never_0(name, score):
    y = np.arange(60) % 2
    assert error_of_score(name, score, y) > 0.001
    perfect = np.eye(2)[y if score else 1 - y]
    own, gaps = errors(name, y, [perfect, perfect], None)
    assert min(own + gaps) > 1e-4


def drawn(rng: np.random.Generator, y: np.ndarray, groups: np.ndarray | None = None) -> list[np.ndarray]:
    """Two networks that fail at much the same images, and a little at the same patients."""
    hard = rng.normal(size=len(y))
    said = []
    for skill in (1.1, 1.0):
        luck = 0.0 if groups is None else 0.5 * rng.normal(size=groups.max() + 1)[groups]
        z = (4 * hard + rng.normal(size=len(y))) / math.sqrt(17) + (skill + luck) * (2 * y - 1)
        p = 1 / (1 + np.exp(-2 * z))
        said.append(np.stack([1 - p, p], 1))
    return said


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "auc"])
@pytest.mark.parametrize("labels", ["even", "rare"])
def test_the_errors_are_those_of_simulation(name, labels):
    """Own errors, errors of the difference, and those told from the score alone, beside the spread of 400 draws."""
    rng = np.random.default_rng(1)
    y = np.arange(300) % 2 if labels == "even" else RARE
    rows = []
    for _ in range(400):
        said = drawn(rng, y)
        one, two = (measured(name, y, p, p.argmax(1)) for p in said)
        told = error_of_score(name, one.value, y)
        rows.append([one.value, one.value - two.value, error(one, None), error(one, None, two), told])
    values = np.array(rows)
    own, gap = values[:, 0].std(), values[:, 1].std()
    assert values[:, 2].mean() == pytest.approx(own, rel=0.15)
    assert values[:, 3].mean() == pytest.approx(gap, rel=0.25)
    assert 0.8 * own < values[:, 4].mean() < (1.8 if name == "auc" else 1.25) * own  # Hanley's is the careful one
    assert gap < 0.8 * own, "what is hard for both is no error of their difference"


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "auc"])
def test_groups_make_the_error_that_of_groups(name):
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(25), 40)
    y = rng.integers(2, size=1000)
    gaps, by_group, by_image = [], [], []
    for _ in range(200):
        one, two = (measured(name, y, p, p.argmax(1)) for p in drawn(rng, y, groups))
        gaps.append(one.value - two.value)
        by_group.append(error(one, groups, two))
        by_image.append(error(one, None, two))
    assert np.mean(by_group) == pytest.approx(np.std(gaps), rel=0.15)
    assert np.mean(by_image) < 0.7 * np.std(gaps), "images as if independent are sure too soon"


# --- the rule -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "sizes", "gaps", "chosen"),
    [
        ([0.90, 0.88, 0.86], [300, 200, 100], [0.01, 0.03, 0.03], 1),
        ([0.90, 0.88], [300, 100], [0.01, 0.019], 0),
        ([0.86, 0.90, 0.89], [1, 300, 200], [0.03, 0.01, 0.03], 2),
        ([0.90, 0.89], [100, 200], [0.01, 0.03], 0),  # the best is also the smallest
        ([0.90, 0.90, 0.88], [200, 100, 100], [0.03] * 3, 1),  # equal sizes: the better
        ([0.90, 0.90], [100, 100], [0.03] * 2, 0),  # equal in all: the first
        ([0.5], [7], [0.1], 0),
    ],
)
def test_the_smallest_within_one_standard_error(scores, sizes, gaps, chosen):
    assert choose_smallest(scores, sizes, gaps) == chosen


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9), st.floats(0.001, 0.2)), min_size=1, max_size=8))
def test_the_rule_against_its_definition(rows):
    scores, sizes, gaps = [right / 60 for right, _, _ in rows], [size for _, size, _ in rows], [g for _, _, g in rows]
    chosen = choose_smallest(scores, sizes, gaps)
    near = [max(scores) - score <= gap for score, gap in zip(scores, gaps, strict=True)]
    assert near[chosen]
    assert not any(own and size < sizes[chosen] for own, size in zip(near, sizes, strict=True))


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "auc"])
def test_one_image_of_sixty_is_no_reason_for_a_million_parameters(name):
    """60 of 60 right with a million parameters, 59 of 60 with 100: the small one."""
    y = np.arange(60) % 2
    all_right, one_wrong = np.eye(2)[y] * 0.8 + 0.1, np.eye(2)[y] * 0.8 + 0.1
    one_wrong[7] = [0.95, 0.05]  # of class 1, below every image of class 0
    said = [all_right, one_wrong]
    scores = [measured(name, y, p, p.argmax(1)).value for p in said]
    assert scores[0] == 1
    assert scores[1] < 1
    assert choose_smallest(scores, [1_000_000, 100], errors(name, y, said, None)[1]) == 1


def test_more_images_make_the_rule_stricter():
    """A tenth of the images wrong beside none: not near, of 60 images and of 6,000."""
    for n in (60, 6000):
        y = np.arange(n) % 2
        said = [np.eye(2)[y], np.eye(2)[np.where(np.arange(n) % 10 == 0, 1 - y, y)]]
        assert choose_smallest([1.0, 0.9], [1_000_000, 100], errors("accuracy", y, said, None)[1]) == 0
