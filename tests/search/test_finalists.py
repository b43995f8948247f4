"""Which paths are trained to the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from benches import labelled
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pathsearch.grid.path import Path, Space
from pathsearch.run.settings import RunSettings
from pathsearch.search.finalists import finalists
from pathsearch.search.search import Ground, SearchState
from pathsearch.targets.classes import ClassTarget
from pathsearch.targets.target import Fitness
from pathsearch.training.bench import Bench

# --- finalists on a planted evaluator -----------------------------------------------------------------------

SPACE = Space(1, 8, 3)
N = 100  # validation images
LABELS = torch.arange(N) % 2


def size_of(path: Path) -> int:
    """Powers of two, so that sizes stand at even places of their logarithm: modules 0, 1, 2 … have 1, 2, 4 …"""
    return sum(2**index for index in path.layers[0])


def settings_of(weights: str = "fresh", wanted: int = 6, pareto: bool = False) -> RunSettings:
    plain = RunSettings("t", "random")
    search, training = replace(plain.search, weights=weights, pareto=pareto), replace(plain.training, finalists=wanted)
    return replace(plain, search=search, training=training)


def bench(of: RunSettings, labels: Tensor = LABELS) -> Bench:
    return Bench(of, ClassTarget(["a", "b"]), (1, 1, 1), labelled(labels), labelled(labels))


def chosen(planted, scores: dict[str, Any], hall: list[str] | None = None, **options: Any) -> list[str]:
    def worth(path: Path, generation: int) -> Fitness:
        found = scores.get(str(path), 0.0)
        return Fitness(found, -1.0) if isinstance(found, float) else Fitness(*found)

    evaluator = planted(worth)
    best_first = sorted(scores, key=lambda text: worth(Path.parse(text), 0), reverse=True)
    state = SearchState([], hall_of_fame=hall or best_first[:2], visited=list(scores))
    found = finalists(bench(settings_of(**options)), Ground(SPACE, size_of), evaluator, state)
    assert len(evaluator.scored) == 1  # everything in one pass
    return list(map(str, found))


def test_the_front_by_hand(planted):
    # Sizes 1, 2, 4, 8, 16. Module 2 is larger than 1 and no better; 4 is larger than 3 and worse.
    scores = {"0": 0.80, "1": 0.85, "2": 0.85, "3": 0.90, "4": 0.89}
    assert chosen(planted, scores) == ["0", "1", "3"]


def test_likelihood_breaks_ties_on_the_front(planted):
    scores = {"0": (0.9, -0.5), "1": (0.9, -0.4), "2": (0.9, -0.6)}
    assert chosen(planted, scores) == ["0", "1"]


def test_of_equal_sizes_the_better_is_on_the_front(planted):
    evaluator = planted(lambda path, _: Fitness({"0": 0.8, "1": 0.9}.get(str(path), 0.0), -1.0))
    state = SearchState([], hall_of_fame=["1"], visited=["0", "1"])
    assert list(map(str, finalists(bench(settings_of()), Ground(SPACE, lambda path: 5), evaluator, state))) == ["1"]


def test_too_few_near_the_best_are_filled_up_from_the_front(planted):
    # Two standard errors of 0.90 are 0.063: only 0.88 and 0.90 are near, but three are wanted.
    scores = {"0": 0.5, "1": 0.6, "2": 0.7, "3": 0.88, "4": 0.90}
    assert chosen(planted, scores, wanted=3) == ["2", "3", "4"]


def test_many_near_the_best_are_spread_over_their_sizes(planted):
    # All eight are within 0.063 of 0.895; sizes 1 … 128 are evenly spaced, so three of them stand at both ends and
    # in the middle, log2 = 3.5, where the first of two equally near ones is taken.
    scores = {str(i): 0.86 + 0.005 * i for i in range(8)}
    assert chosen(planted, scores, wanted=3) == ["0", "3", "7"]
    assert chosen(planted, scores, wanted=8) == list(scores)
    assert chosen(planted, scores, wanted=1) == ["7"]  # alone, it is the best


def test_those_far_below_the_best_are_left_out_where_enough_are_near(planted):
    scores = {"0": 0.3, "1": 0.4, **{str(i): 0.86 + 0.005 * i for i in range(2, 8)}}
    assert chosen(planted, scores, wanted=2) == ["2", "7"]


def test_under_pareto_the_whole_front_is_spread_over(planted):
    # Sizes 1 … 128: three are the ends and, of the two about the middle, the smaller; far below the best or not.
    scores = {"0": 0.3, "1": 0.4, **{str(i): 0.86 + 0.005 * i for i in range(2, 8)}}
    assert chosen(planted, scores, wanted=3, pareto=True) == ["0", "3", "7"]
    assert chosen(planted, scores, wanted=8, pareto=True) == list(scores)


def test_a_perfect_score_still_has_neighbours(planted):
    # With two images more on either side 1 is 102 of 104: 2 · sqrt(0.0192 · 0.9808 / 104) = 0.0269.
    scores = {"0": 0.97, "1": 0.981, "2": 0.985, "3": 1.0}
    assert chosen(planted, scores, wanted=2) == ["1", "3"]


def test_subpaths_of_the_best_compete_under_shared_weights(planted):
    scores = {"0+3": 0.9, "3": 0.89, "0": 0.5}

    def run(weights: str) -> list[str]:
        evaluator = planted(lambda path, _: Fitness(scores[str(path)], -1.0))
        state = SearchState([], hall_of_fame=["0+3"], visited=["0+3"])
        return list(map(str, finalists(bench(settings_of(weights)), Ground(SPACE, size_of), evaluator, state)))

    assert run("shared") == ["0", "3", "0+3"]
    assert run("fresh") == ["0+3"]  # under fresh weights a score would cost a training


@pytest.mark.parametrize(("tasks", "found"), [(1, True), (2, False)])
def test_all_subpaths_of_one_task_compete_as_ever(planted, tasks, found):
    """29,791 of them; those of several tasks, each of whose parts is asked, are fewer."""
    whole = "|".join(["0+1+2+3+4"] * 3)
    evaluator = planted(lambda path, _: Fitness(0.9 if str(path) == "0|1|2" else 0.5, -1.0))
    ground = Ground(Space(3, 5, 5, tasks=tasks), lambda path: sum(map(len, path.layers)))
    state = SearchState([], hall_of_fame=[whole], visited=[whole])
    assert ("0|1|2" in map(str, finalists(bench(settings_of("shared")), ground, evaluator, state))) == found


def test_the_hall_of_fame_competes_even_if_it_was_not_visited(planted):
    evaluator = planted(lambda path, _: Fitness({"0": 0.5, "7": 0.9}[str(path)], -1.0))
    state = SearchState([], hall_of_fame=["7"], visited=["0"])
    assert list(map(str, finalists(bench(settings_of()), Ground(SPACE, size_of), evaluator, state))) == ["0", "7"]


def test_todays_scores_decide_not_those_of_the_search(planted):
    evaluator = planted(lambda path, generation: Fitness(0.9 if str(path) == "5" else 0.5, -1.0))
    state = SearchState([], hall_of_fame=["1"], visited=["1", "5"], log=[{"best_path": "1", "best": 1.0}])
    found = finalists(bench(settings_of()), Ground(SPACE, size_of), evaluator, state)
    assert str(found[-1]) == "5"


@given(st.dictionaries(st.sampled_from(SPACE.all_paths()), st.integers(0, N), min_size=1, max_size=30), st.data())
def test_finalists_rise_in_size_and_score_and_hold_the_best(planted, rights, data):
    wanted = data.draw(st.integers(1, 8))
    evaluator = planted(lambda path, _: Fitness(rights[path] / N, -1.0))
    visited = [str(path) for path in rights]
    state = SearchState([], hall_of_fame=visited[:1], visited=visited)
    found = finalists(bench(settings_of(wanted=wanted)), Ground(SPACE, size_of), evaluator, state)
    assert 1 <= len(found) <= wanted
    sizes, scores = [size_of(path) for path in found], [rights[path] for path in found]
    assert sizes == sorted(set(sizes))
    assert scores == sorted(set(scores))
    assert scores[-1] == max(rights.values())
    for path in found:  # none is beaten by a smaller one
        assert not any(size_of(other) <= size_of(path) and rights[other] > rights[path] for other in rights)


def test_a_rare_class_makes_more_neighbours_under_balanced_accuracy(planted):
    # 4 of 100 images are of one class: an error of that class's recall moves the mean by far more than one in 100.
    scores = {"0": 0.70, "1": 0.75, "2": 0.895, "3": 0.90}
    labels = (torch.arange(N) < 4).long()

    def found(fitness: str) -> list[str]:
        evaluator = planted(lambda path, _: Fitness(scores[str(path)], -1.0))
        state = SearchState([], hall_of_fame=["3"], visited=list(scores))
        chosen = settings_of(wanted=2)
        chosen = replace(chosen, search=replace(chosen.search, fitness=fitness))
        return list(map(str, finalists(bench(chosen, labels), Ground(SPACE, size_of), evaluator, state)))

    assert found("accuracy") == ["2", "3"]
    # 2 · sqrt(0.7 · 0.3 / 8 + 0.884 · 0.116 / 100) / 2, about 0.165: the bar is 0.735
    assert found("balanced_accuracy") == ["1", "3"]
