"""Cross-validation inside a search: training and validation images in parts, of which each is left out once."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from torch import Tensor

from data_prep.errors import PathsearchError
from pathsearch.config import SearchSettings
from pathsearch.features import Split
from pathsearch.streams import derive


def folds(train: Split, validation: Split, settings: SearchSettings, seed: int) -> list[tuple[Split, Split]]:
    """Training and validation images together, cut into `settings.folds` parts with about equal class shares.

    Groups (patients) are kept together as the task's own split keeps them: where a group stands in both training
    and validation, as after a random split, parts divide groups too; otherwise a group's images share a part. An
    image whose group is unknown is a group of its own. Features stay standardised as the training images were.

    Args:
        train: with all its views; a validation image has only its unchanged one, and parts are scored on that.
        validation: of the same task.
        settings: the number of parts K, and the measure.
        seed: of the shuffle.

    Returns:
        K pairs: the images to train on, and those left out of them.

    Raises:
        PathsearchError: a class has too few images or groups for so many parts.

    Source: Stone 1974; the parts are scikit-learn's StratifiedKFold and StratifiedGroupKFold.
    """
    both, number = train.joined(validation), settings.folds
    labels, groups = both.labels.numpy(), _groups(train, validation)
    way = StratifiedKFold if groups is None else StratifiedGroupKFold
    needed = number if groups is None or settings.fitness == "auc" else 2  # what is trained on has every class
    for k in np.unique(labels):
        own = np.flatnonzero(labels == k)
        there = len(own) if groups is None else len(np.unique(groups[own]))
        if there < needed or len(own) < number:
            what = "images" if groups is None or there >= needed else "groups"
            raise _too_many(number, f"class number {k} has {len(own) if what == 'images' else there} {what}")
    cut = way(number, shuffle=True, random_state=derive(seed, "folds") % 2**32)
    pairs = []
    for rest, part in cut.split(np.zeros(len(labels)), labels, groups):
        scored = labels[part] if settings.fitness == "auc" else labels[rest]
        if missing := set(labels.tolist()) - set(scored.tolist()):
            raise _too_many(number, f"class number {min(missing)} stands in too few groups to be on both sides")
        pairs.append((both.only(rest), both.only(part)))
    return pairs


def labels_scored(settings: SearchSettings, train: Split, validation: Split) -> Tensor:
    """Classes of the images that a path's fitness stands on: validation, and with folds the training images too."""
    return torch.cat([train.labels, validation.labels]) if settings.folds > 1 else validation.labels


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


def _too_many(number: int, why: str) -> PathsearchError:
    return PathsearchError(f"search.folds: {number} are too many: {why}; choose fewer, or search.folds=1")
