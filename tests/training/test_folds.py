"""Cross-validated fitness: each image left out exactly once, groups together as the task keeps them, scores by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
import torch
from benches import bench, labelled
from evaluators import PATHS, SETTINGS, equal, fresh, snapshot
from hypothesis import given
from hypothesis import strategies as st
from small_world import encoder, refused, settings, task

from pathsearch.encoders.features import encode
from pathsearch.encoders.split import Split
from pathsearch.run.place import Place
from pathsearch.run.settings import SearchSettings
from pathsearch.run.streams import derive
from pathsearch.search import rivals
from pathsearch.search.arena import minibatches, most
from pathsearch.targets import MaskTarget
from pathsearch.training import fresh as module
from pathsearch.training.bench import Bench
from pathsearch.training.fitness import fitnesses
from pathsearch.training.folds import choice_folds, folds, truth_scored
from pathsearch.training.fresh import FreshWeights

FRESH = replace(SETTINGS, weights="fresh")
THREE = replace(FRESH, folds=3)


@pytest.fixture(scope="module")
def splits(make_splits):
    return make_splits(n_views=2)


def grouped(splits: Sequence[Split], train: Sequence[str], validation: Sequence[str]) -> list[Split]:
    """The splits with group names, over and over."""
    pairs = zip(splits, (train, validation), strict=True)
    return [replace(one, groups=np.resize(np.array(names, str), len(one))) for one, names in pairs]


def images(split: Split) -> list[int]:
    """Which images a split has, by their rows in the array that all splits share."""
    return split.rows[0].tolist()


def parted(splits: Sequence[Split], how: SearchSettings, seed: int) -> list[tuple[Split, Split]]:
    """What each part is trained on, and the part."""
    return [(one.training, one.validation) for one in folds(bench(splits, how, seed=seed))]


def assert_each_left_out_once(pairs: Sequence[tuple[Split, Split]], splits: Sequence[Split]) -> None:
    everything = sorted(image for one in splits for image in images(one))
    assert sorted(image for _, part in pairs for image in images(part)) == everything
    for rest, part in pairs:
        assert sorted(images(rest) + images(part)) == everything


def assert_groups_together(pairs: Sequence[tuple[Split, Split]]) -> None:
    for rest, part in pairs:
        shared_by_both = (set(rest.groups) & set(part.groups)) - {""}
        assert not shared_by_both, f"on both sides: {shared_by_both}"


# --- the parts ------------------------------------------------------------------------------------------------------


@given(number=st.integers(2, 6), seed=st.integers(0, 99))
def test_every_image_is_left_out_once_and_classes_keep_their_shares(make_splits, number, seed):
    splits = make_splits()
    pairs = parted(splits, replace(FRESH, folds=number), seed)
    assert len(pairs) == number
    assert_each_left_out_once(pairs, splits)
    sizes = np.array([np.bincount(part.truth, minlength=3) for _, part in pairs])
    assert np.ptp(sizes, axis=0).max() <= 1, "110 images of each class, dealt out"


@given(number=st.integers(2, 5), seed=st.integers(0, 99))
def test_groups_stay_together(make_splits, number, seed):
    splits = grouped(make_splits(), [f"t{i}" for i in range(40)], [f"v{i}" for i in range(15)])
    pairs = parted(splits, replace(FRESH, folds=number), seed)
    assert_each_left_out_once(pairs, splits)
    assert_groups_together(pairs)


def test_the_checks_reject_a_torn_group_and_a_lost_image(splits):
    split, other = grouped(splits, ["a", "b"], ["c"])
    pairs = [(split.only(np.arange(3)), split.only(np.arange(3, 6)))]
    with pytest.raises(AssertionError, match="on both sides"):
        assert_groups_together(pairs)
    assert_each_left_out_once([(split, other), (other, split)], [split, other])
    with pytest.raises(AssertionError):
        assert_each_left_out_once([(split, other.only(np.arange(5))), (other, split)], [split, other])


def test_folds_divide_groups_where_the_split_does(splits):
    """One name in both training and validation: the task's own validation divides groups, and so do the parts."""
    names = [f"p{i}" for i in range(20)]
    torn = grouped(splits, [*names, "both"], ["both", "q"])
    for (_, own), (_, plain) in zip(parted(torn, THREE, 5), parted(splits, THREE, 5), strict=True):
        assert images(own) == images(plain)


def test_images_without_a_group_are_groups_of_their_own(splits):
    nameless = grouped(splits, [""], [""])
    for (_, own), (_, plain) in zip(parted(nameless, THREE, 5), parted(splits, THREE, 5), strict=True):
        assert images(own) == images(plain)
    pairs = parted(grouped(splits, ["", "", "", "g"], [""]), THREE, 5)
    assert_groups_together(pairs)
    assert all("" in part.groups for _, part in pairs), "or all of the nameless would be one group"


def test_the_seed_shuffles(splits):
    first, again, other = ([images(part) for _, part in parted(splits, THREE, seed)] for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_what_is_trained_on_has_its_views_and_what_is_scored_does_not_show_them(splits):
    rest, part = parted(splits, THREE, 0)[0]
    train = set(images(splits[0]))
    for split in (rest, part):
        assert [row >= 0 for row in split.rows[1]] == [image in train for image in images(split)]
    shown, _ = next(part.batches(len(part)))
    assert torch.equal(shown, part.standardise(torch.from_numpy(part.views[0][part.rows[0]])))


def test_too_many_parts_are_refused(make_splits):
    few = make_splits(n_train=9, n_val=3)
    with refused(r"^search.folds: 5 are too many: class number 0 has 4 images; choose fewer"):
        parted(few, replace(FRESH, folds=5), 0)
    two = grouped(few, ["a", "b", "c"], ["x", "y", "z"])  # a class has two groups
    with refused("4 are too many: class number 0 has 2 groups"):
        parted(two, replace(FRESH, folds=4, fitness="auc"), 0)
    assert len(parted(two, replace(FRESH, folds=2), 0)) == 2
    one = two[1].only(np.flatnonzero(two[1].truth != 0))
    with refused("2 are too many: class number 0 has 1 groups"):
        parted((two[0], one), replace(FRESH, folds=2), 0)


@pytest.mark.parametrize("names", [None, ["a", "b", "c", "d"]])
def test_images_of_unknown_truth_are_in_no_part_and_are_no_class(splits, names):
    """Two of 24 have no mask: the choice is cross-validated over the others, each left out once."""
    masks = torch.zeros(24, 4, 4, dtype=torch.uint8)
    masks[:2] = 255
    few = [one.only(np.arange(n)) for one, n in zip(splits, (16, 8), strict=True)]
    few = grouped(few, names, [name.upper() for name in names]) if names else few
    few = [replace(one, truth=part, warped=()) for one, part in zip(few, masks.split([16, 8]), strict=True)]
    plain = replace(labelled(torch.tensor([0, 1])), views=few[0].views)
    of = replace(bench([plain, plain]), target=MaskTarget(["background", "lung"]), training=few[0], validation=few[1])
    found = choice_folds(of)
    assert (len(found.parts), found.why) == (3, "")
    scored = sorted(image for one in found.parts for image in images(one.validation))
    assert scored == sorted(images(few[0])[2:] + images(few[1]))
    masks[:23] = 255
    of = replace(of, training=replace(few[0], truth=masks[:16]), validation=replace(few[1], truth=masks[16:]))
    what = "groups" if names else "images"
    assert choice_folds(of).why == f"3 parts are too many: there are 1 {what} of known truth"


# --- the scores -----------------------------------------------------------------------------------------------------


def by_hand(
    make_grid, splits, how: SearchSettings
) -> tuple[list[list[tuple[float, ...]]], list[list[tuple[float, ...]]]]:
    """Fitness and progress of the paths in each of the trainings with one part left out, made one by one."""
    found, progress = [], []
    for number, (rest, part) in enumerate(parted(splits, how, 0)):
        one = FreshWeights(bench((rest, part), replace(how, folds=1), seed=derive(0, "fold", number)), make_grid())
        found.append(one.score(PATHS))
        progress.append([one.known[path][1] for path in PATHS])
    return found, progress


@pytest.mark.parametrize("measure", ["accuracy", "balanced_accuracy", "auc"])
def test_a_score_is_that_of_trainings_made_by_hand(make_grid, splits, measure):
    how = replace(THREE, fitness=measure)
    got = fresh(make_grid, splits, how)
    each, progress = by_hand(make_grid, splits, how)
    for place, fitness in enumerate(got.score(PATHS)):
        several = [own[place] for own in each]
        # 330 images in three parts of 110: the mean over parts is that over images; classes are dealt out nearly alike
        near = 0.01 if measure == "balanced_accuracy" else 1e-6
        assert fitness.score == pytest.approx(fmean(one.score for one in several), abs=near)
        assert fitness.log_likelihood == pytest.approx(fmean(one.log_likelihood for one in several), abs=1e-5)
        assert got.known[PATHS[place]][1] == pytest.approx(
            [fmean(v) for v in zip(*(p[place] for p in progress), strict=True)]
        )
    assert len({one[0].log_likelihood for one in each}) == 3, "the trainings differ, or this shows nothing"


def test_balanced_accuracy_is_over_all_images_together(make_grid, splits, monkeypatch):
    """Not the mean of the parts' own: a class may be rare in one of them."""
    seen = []
    monkeypatch.setattr(module, "fitnesses", lambda *given: seen.append(given) or fitnesses(*given))
    fresh(make_grid, splits, replace(THREE, fitness="balanced_accuracy")).score(PATHS)
    [(here, readings, paths)] = seen
    right = torch.cat([part for one in readings for part in one.right], 1)
    labels = torch.cat([part for one in readings for part in one.labels])
    assert right.shape == (len(PATHS), 330)
    assert torch.equal(labels.bincount(), torch.tensor([110, 110, 110]))
    assert here.measure == "balanced_accuracy"
    assert paths == PATHS


def test_one_fold_is_what_it_was(make_grid, splits):
    one = fresh(make_grid, splits, FRESH)
    assert one.parts == []
    reading, progress = one._answers(PATHS)
    assert one._evaluate(PATHS) == list(zip(fitnesses(one.bench, [reading], PATHS), progress, strict=True))
    assert one.score(PATHS) != fresh(make_grid, splits, THREE).score(PATHS)


def test_folds_train_once_and_leave_the_grid_alone(make_grid, splits, monkeypatch):
    trained = []
    real = FreshWeights._answers
    monkeypatch.setattr(
        FreshWeights, "_answers", lambda self, paths: trained.append(len(self.bench.validation)) or real(self, paths)
    )
    evaluator = fresh(make_grid, splits, THREE)
    before = snapshot(evaluator.grid.state_dict())
    first = evaluator.score(PATHS)
    assert trained == [110] * 3
    assert evaluator.score(PATHS[::-1]) == first[::-1]
    assert trained == [110] * 3, "looked up"
    assert equal(before, evaluator.grid.state_dict())
    again = fresh(make_grid, splits, THREE)
    again.load_state(snapshot(evaluator.state()))
    assert again.score(PATHS) == first
    assert trained == [110] * 3


# --- settings and budget --------------------------------------------------------------------------------------------


def test_shared_weights_have_no_folds():
    with refused(r"^folds: expected 1 with weights=shared, which have seen every part, got 2; give weights=fresh$"):
        SearchSettings(folds=2)


def test_the_budget_counts_every_training(tmp_path):
    """Population 4, 2 generations, 3 steps, 2 folds: 48 minibatches at most, and as many images as paths were seen."""
    small = {"population": 4, "generations": 2, "steps": 3, "warmup": 0, "hall_of_fame": 2, "elite": 1}
    of = settings("blobs", weights="fresh", folds=2, **small)
    features = encode(task("blobs"), encoder(), tmp_path)
    parts = features.train(), features.validation()
    here = Bench.of(of, encoder(), features, Place(tmp_path))
    assert minibatches(here) == 48
    assert most(here).search == 48 * of.search.batch_size
    each = {name: rivals.enter(here, name).facts for name in ("evolved", "random_search", "pathnet")}
    drawn, rest = divmod(each["evolved"]["path_images"]["search"], 2 * 3 * of.search.batch_size)
    assert rest == 0
    assert 4 <= drawn <= 8
    generations = each["evolved"]["images"]["search"] / (2 * 3 * of.search.batch_size)
    assert generations <= 2, "paths that train together draw an image once"
    for name in ("random_search", "pathnet"):
        assert 0 <= each[name]["path_images"]["search"] - most(here).search < 4 * 2 * 3 * of.search.batch_size
    assert truth_scored(here).tolist() == [*parts[0].truth.tolist(), *parts[1].truth.tolist()]
    alone = here.searched_by(replace(of.search, folds=1))
    assert truth_scored(alone).tolist() == parts[1].truth.tolist()


def test_a_task_gives_its_groups_to_its_splits(tmp_path):
    of, features = task("blobs"), encode(task("blobs"), encoder(), tmp_path)
    for name, split in (("train", features.train()), ("val", features.validation())):
        assert split.groups.tolist() == of.table["group"][of.table["split"] == name].tolist()
    few = features.limited(5, 0).train()
    assert len(few.groups) == len(few) == 10
