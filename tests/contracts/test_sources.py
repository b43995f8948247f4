"""Every source keeps the promises; sources that break one are seen."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_world import data_dir, prepare, scratch, task
from test_encoders_keep import CASES
from torch import Tensor

from data_prep.manifest import Task
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import Features, encode
from pathsearch.encoders.pixels import make_encoder
from pathsearch.encoders.split import Split, Standardiser

from source_contract import PROMISES, Source, broken, check_source  # isort: skip

KEPT = ("one size", "two taps", "own size", "own sizes", "pixels")


@functools.cache
def few() -> Task:
    return prepare(scratch() / "few", "blobs", 60)


@pytest.mark.parametrize("name", KEPT)
def test_every_source_keeps_every_promise(name, tmp_path):
    check_source(make_encoder(CASES[name]), few(), tmp_path)


def test_a_task_of_three_classes_keeps_them_too(tmp_path):
    assert data_dir()
    check_source(make_encoder(CASES["pixels"]), task("stripes"), tmp_path)


# --- promises that are broken are seen ------------------------------------------------------------------------------


def splits_of(kind: type[Split]) -> Any:
    """How features are read whose splits are of this kind."""

    def read(*given: Any) -> Features:
        return _Other(**vars(encode(*given)), kind=kind) if kind is not Split else encode(*given)

    class _Other(Features):
        def __init__(self, kind: type[Split], **known: Any) -> None:
            super().__init__(**known)
            object.__setattr__(self, "kind", kind)

        def _split(self, name: str, views: tuple[np.ndarray, ...]) -> Split:
            plain = super()._split(name, views)
            return kind(**{one.name: getattr(plain, one.name) for one in fields(plain)})

    return read


class _Turned(Split):
    """Its last image first."""

    def raw(self, positions: Tensor) -> Tensor:
        return super().raw(len(self) - 1 - positions)


class _Double(Split):
    """float64, where float32 was said."""

    def batch(self, positions: Tensor, views: Tensor | None = None) -> Tensor:
        return super().batch(positions, views).double()


class _ByBatch(Split):
    """Standardised by whoever stands beside."""

    def batch(self, positions: Tensor, views: Tensor | None = None) -> Tensor:
        found = super().batch(positions, views)
        return found - found.mean(0) if len(found) else found


class _Dropping(Split):
    """Without the last batch, if it is no whole one."""

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        return (pair for pair in super().batches(size) if len(pair[1]) == size)


class _Swapped(Split):
    def joined(self, other: Split) -> Split:
        return Split.joined(other, self)


class _Plain(Split):
    """Never shows an augmented view."""

    def batch(self, positions: Tensor, views: Tensor | None = None) -> Tensor:
        return super().batch(positions)


class _Own(Split):
    """Each split is standardised by itself."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        object.__setattr__(self, "standardise", Standardiser.fit(self.views[0], self.rows[0]))


class _ByValue(Split):
    """Its features travel with it."""

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "views": [np.array(view) for view in self.views]}


class _Shifted(Split):
    """Opened one row too late."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        object.__setattr__(self, "rows", tuple(np.roll(rows, 1) for rows in self.rows))


class _Zeros(Split):
    """Nothing where there should be something."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        try:
            super().__setstate__(state)
        except ValueError:
            super().__setstate__({**state, "views": [np.zeros(view.shape, view.dtype) for view in state["views"]]})


def _afresh(task: Task, encoder: Encoder, folder: Path, n_views: int) -> Features:
    """Encodes each time."""
    number = len(list(folder.iterdir())) if folder.exists() else 0
    return encode(task, encoder, folder / str(number), n_views)


def _trusting(task: Task, encoder: Encoder, folder: Path, n_views: int) -> Features:
    """Takes what it finds."""
    kept = sorted(folder.rglob("view*.npy"))
    if len(kept) < n_views:
        return encode(task, encoder, folder, n_views)
    (note,) = folder.rglob("standardise.safetensors")
    assert note.exists()
    assert json.loads((note.parent / "key.json").read_text())
    views = tuple(np.load(file, mmap_mode="r") for file in kept)
    fitted = Standardiser.fit(views[0], task.rows("train"), encoder.parts)
    return Features(task, views, fitted, 0, encoder.parts, shapes=encoder.places)


def _leaking(*given: Any) -> Features:
    """Validation images are augmented too."""

    class _Leaking(Features):
        def validation(self) -> Split:
            return replace(self.train(), name="val")

    return _Leaking(**vars(encode(*given)))


FAULTS = [
    (splits_of(_Turned), "holds_the_manifests_images_in_its_order"),
    (splits_of(_Double), "has_the_shape_that_its_encoder_announces"),
    (splits_of(_ByBatch), "any_part_is_a_slice_of_the_whole"),
    (splits_of(_Dropping), "any_part_is_a_slice_of_the_whole"),
    (splits_of(_Swapped), "joins_one_split_after_another"),
    (splits_of(_Plain), "has_further_views_of_training_images_alone"),
    (_leaking, "has_further_views_of_training_images_alone"),
    (splits_of(_Own), "is_standardised_by_the_training_images"),
    (_afresh, "is_read_from_its_folder_the_second_time"),
    (splits_of(_ByValue), "goes_to_another_process_by_name"),
    (splits_of(_Shifted), "is_the_same_in_another_process"),
    (splits_of(_Zeros), "says_in_one_line_that_a_file_is_gone_or_short"),
    (_trusting, "makes_a_damaged_file_again"),
]


@pytest.mark.parametrize(("read", "promise"), FAULTS, ids=lambda one: one if isinstance(one, str) else "")
def test_a_broken_promise_is_seen(read, promise, tmp_path):
    found = list(broken(Source(make_encoder(CASES["one size"]), few(), tmp_path, read)))
    assert promise in found
    assert len(found) < len(PROMISES) / 2, "what cannot be read at all would show nothing"


def test_every_promise_can_be_broken():
    assert {promise for _, promise in FAULTS} == {promise.__name__ for promise in PROMISES}


def test_nothing_is_broken_without_a_fault(tmp_path):
    source = Source(make_encoder(CASES["one size"]), few(), tmp_path, splits_of(Split))
    assert list(broken(source)) == []
    assert torch.equal(source.splits[0].truth, source.features.train().truth)
