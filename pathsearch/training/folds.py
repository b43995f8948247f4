"""Cross-validation, in a search and in the choice after it: images in parts, of which each is left out once."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from torch import Tensor

from data_prep.errors import PathsearchError
from pathsearch.encoders.split import Split
from pathsearch.run.streams import derive
from pathsearch.training.bench import Bench

ENOUGH = 2000  # validation images that tell finalists apart: an accuracy of 0.95 is known to half a point
PARTS = 3  # of the images where there are fewer: each network learns from two thirds, and all images count


def folds(bench: Bench) -> list[Bench]:
    """The parts that a path's fitness stands on, where `search.folds` asks for several."""
    return _cut(bench, bench.search.folds, "search.folds", "fold")


class ChoiceFolds(NamedTuple):
    """The parts that finalists are chosen on, with no refit; none where validation images alone choose."""

    parts: list[Bench]
    why: str = ""  # there are none, where nobody asked for that


def choice_folds(bench: Bench) -> ChoiceFolds:
    """What finalists are chosen on.

    Unless `training.choice_folds` says how many, these are `PARTS` where there are fewer than `ENOUGH` validation
    images, and none where there are too few for so many, or where nothing is chosen.
    """
    asked = bench.last.choice_folds
    if bench.settings.path or asked == 1 or (asked is None and len(bench.validation) >= ENOUGH):
        return ChoiceFolds([])
    number = asked or PARTS
    try:
        return ChoiceFolds(_cut(bench.without_refit(), number, "training.choice_folds", "choice"))
    except TooManyFolds as error:
        if asked is None:
            return ChoiceFolds([], f"{number} parts are too many: {error.why}")
        raise


class TooManyFolds(PathsearchError):
    """There are too few images or groups, of a class or at all, for so many parts."""

    def __init__(self, setting: str, number: int, why: str) -> None:
        super().__init__(f"{setting}: {number} are too many: {why}; choose fewer, or {setting}=1")
        self.why = why


def _cut(bench: Bench, number: int, setting: str, name: str) -> list[Bench]:
    """Training and validation images together, cut into parts with about equal class shares.

    Groups (patients) are kept together as the task's own split keeps them: where a group stands in both training
    and validation, as after a random split, parts divide groups too; otherwise a group's images share a part. An
    image whose group is unknown is a group of its own. Features stay standardised as the training images were.

    A validation image has only its unchanged view, and parts are scored on that. Images of unknown truth are in no
    part: nothing is learned from them or scored on them.

    Returns:
        K benches without folds, each at a seed of its own: one part is what validates, the others are trained on.

    Raises:
        TooManyFolds: there are too few images or groups, of a class or at all, for so many parts.

    Source: Stone 1974; the parts are scikit-learn's StratifiedKFold and StratifiedGroupKFold.
    """
    both, groups = bench.training.joined(bench.validation), _groups(bench.training, bench.validation)
    bench.target.some_known(both.truth, "training and validation")
    known = np.flatnonzero(bench.target.known(both.truth).cpu().numpy())
    if len(known) < len(both):
        both, groups = both.only(known), None if groups is None else groups[known]
    strata = bench.target.strata(both.truth)
    whole = len(np.unique(strata)) == 1
    way = StratifiedKFold if groups is None else StratifiedGroupKFold
    needed = number if groups is None or bench.measure == "auc" else 2  # what is trained on has every class
    for k in np.unique(strata):
        own = np.flatnonzero(strata == k)
        there = len(own) if groups is None else len(np.unique(groups[own]))
        if there < needed or len(own) < number:
            what = "images" if groups is None or there >= needed else "groups"
            number_of = f"{len(own) if what == 'images' else there} {what}"
            why = f"there are {number_of} of known truth" if whole else f"class number {k} has {number_of}"
            raise TooManyFolds(setting, number, why)
    if groups is not None and (there := len(np.unique(groups))) < number:  # a part would stay empty
        raise TooManyFolds(setting, number, f"the images have {there} groups")
    cut = way(number, shuffle=True, random_state=derive(bench.seed, f"{name}s") % 2**32)
    found: list[Bench] = []
    for rest, part in cut.split(np.zeros(len(strata)), strata, groups):
        scored = strata[part] if bench.measure == "auc" else strata[rest]
        if missing := set(strata.tolist()) - set(scored.tolist()):
            why = f"class number {min(missing)} stands in too few groups to be on both sides"
            raise TooManyFolds(setting, number, why)
        one = bench.on(both.only(rest), both.only(part)).searched_by(replace(bench.search, folds=1))
        found.append(one.at(derive(bench.seed, name, len(found))))
    return found


def truth_scored(bench: Bench) -> Tensor:
    """The truth of the images that a path's fitness stands on: validation, and with folds the training images too."""
    splits = (bench.training, bench.validation) if bench.search.folds > 1 else (bench.validation,)
    return torch.cat([split.truth for split in splits])


def _groups(train: Split, validation: Split) -> np.ndarray | None:
    """(n,) group numbers of training and validation images; None where nothing has to stay together."""
    if train.groups is None or validation.groups is None:
        return None
    named = [set(split.groups.tolist()) - {""} for split in (train, validation) if split.groups is not None]
    if named[0] & named[1] or not named[0] | named[1]:
        return None
    names = np.concatenate([train.groups, validation.groups])
    numbers = np.unique(names, return_inverse=True)[1]
    alone = names == ""
    numbers[alone] = numbers.max() + 1 + np.arange(alone.sum())
    return numbers
