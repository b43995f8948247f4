"""What every source must do, from images to standardised batches: call `check_source` with an encoder and a task."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from command_world import start
from torch import Tensor

from data_prep.errors import PathsearchError
from data_prep.manifest import Task
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import Features, encode
from pathsearch.encoders.split import PIXEL, Split
from pathsearch.encoders.views import Style, load_image
from pathsearch.targets.target import target_of

Read = Callable[[Task, Encoder, Path, int], Features]

VIEWS, N = 2, 8  # the images as they are and once augmented; images that are looked at one by one


@dataclass
class Source:
    """An encoder on a task, and how its features are read from a folder that keeps them."""

    encoder: Encoder
    task: Task
    folder: Path
    read: Read = encode

    def again(self, folder: Path | None = None) -> Features:
        """Read, from this folder or another."""
        return self.read(self.task, self.encoder, folder or self.folder, VIEWS)

    @cached_property
    def features(self) -> Features:
        """As they were read first."""
        return self.again()

    @property
    def splits(self) -> list[Split]:
        """All three."""
        return [self.features.train(), self.features.validation(), self.features.test()]

    def by_hand(self, split: str, i: int, view: int = 0) -> Tensor:
        """What the encoder says to one image of a split, in the order of the manifest."""
        row = int(self.task.rows(split)[i])
        number = i if view else row  # an augmented view is drawn by the image's number among the training ones
        image = load_image(
            self.task.files()[row], self.encoder.settings.image_size, view, number, Style(self.task.mirror)
        )
        return self.encoder(image[None])[0]


def check_source(encoder: Encoder, task: Task, folder: Path, read: Read = encode) -> None:
    """All promises, with a folder to keep features in; raises what the first broken one says."""
    for promise in PROMISES:
        promise(Source(encoder, task, folder, read))


def all_of(split: Split) -> Tensor:
    return torch.arange(len(split))


def near(found: Tensor, expected: Tensor) -> None:
    """To float16's rounding, since other images stood beside; pixels to the bit."""
    tolerance = 2e-3 if expected.is_floating_point() else 0.0
    scale = float(expected.float().abs().max())
    torch.testing.assert_close(found.float(), expected.float(), rtol=tolerance, atol=tolerance * scale)


def bytes_of(features: Features) -> str:
    """A digest of all views."""
    sha = hashlib.sha256()
    for view in features.views:
        sha.update(np.ascontiguousarray(view).tobytes())
    return sha.hexdigest()


def holds_the_manifests_images_in_its_order(source: Source) -> None:
    for split in source.splits:
        assert len(split) == len(source.task.rows(split.name)) > 0
        assert torch.equal(split.truth, target_of(source.task).truth(source.task, split.name))
        assert split.groups is not None
        assert split.groups.tolist() == source.task.groups(split.name).tolist()
        raw = split.raw(all_of(split))
        for i in range(min(N, len(split))):
            near(raw[i], source.by_hand(split.name, i))


def has_the_shape_that_its_encoder_announces(source: Source) -> None:
    for split in source.splits:
        raw = split.raw(all_of(split))
        assert tuple(raw.shape[1:]) == source.encoder.feature_shape
        assert raw.numpy().dtype == source.encoder.dtype
        batch = split.batch(all_of(split))
        assert batch.shape == raw.shape
        assert batch.dtype == torch.float32
        assert torch.isfinite(batch).all()
        assert dict(split.places) == source.encoder.places
        assert sum(map(prod, split.places.values())) == prod(raw.shape[1:])


def any_part_is_a_slice_of_the_whole(source: Source) -> None:
    for split in source.splits:
        whole, raw = split.batch(all_of(split)), split.raw(all_of(split))
        for chosen in ([0], [len(split) - 1, 0], [2, 2, 1], list(range(len(split)))[::-1], []):
            positions = torch.tensor(chosen, dtype=torch.int64)
            assert torch.equal(split.raw(positions), raw[positions])
            assert torch.equal(split.batch(positions), whole[positions])
            assert torch.equal(split.only(positions.numpy()).batch(torch.arange(len(chosen))), whole[positions])
        given = list(split.batches(7))
        assert torch.equal(torch.cat([x for x, _ in given]), whole)
        assert torch.equal(torch.cat([truth for _, truth in given]), split.truth)
        torch.testing.assert_close(split.pooled(), source.encoder.seen(raw))


def joins_one_split_after_another(source: Source) -> None:
    train, validation, _ = source.splits
    both = train.joined(validation)
    assert torch.equal(both.batch(all_of(both)), torch.cat([one.batch(all_of(one)) for one in (train, validation)]))
    assert torch.equal(both.truth, torch.cat([train.truth, validation.truth]))


def has_further_views_of_training_images_alone(source: Source) -> None:
    train, *others = source.splits
    assert [len(split.views) for split in (train, *others)] == [VIEWS, 1, 1]
    positions, views = torch.arange(N), torch.arange(N) % 2
    mixed = train.batch(positions, views)
    for i in range(N):
        near(mixed[i], train.standardise(source.by_hand("train", i, i % 2)[None])[0])
    assert not torch.equal(mixed, train.batch(positions))


def is_standardised_by_the_training_images(source: Source) -> None:
    train, *others = source.splits
    if train.views[0].dtype == np.uint8:  # pixels, which mean the same to every task
        assert ((train.standardise.mean == PIXEL[0]) & (train.standardise.std == PIXEL[1])).all()
    else:
        assert train.batch(all_of(train)).double().mean().abs() < 1e-3
    for split in others:
        own = split.standardise
        assert torch.equal(own.mean, train.standardise.mean)
        assert torch.equal(own.std, train.standardise.std)
        assert torch.equal(split.batch(all_of(split)), own(split.raw(all_of(split))))


def is_read_from_its_folder_the_second_time(source: Source) -> None:
    first, second = bytes_of(source.features), source.again()
    assert second.encoded == 0
    assert bytes_of(second) == first


def goes_to_another_process_by_name(source: Source) -> None:
    """With its truth and its numbers, but without the features themselves."""
    for split in source.splits:
        own = split.standardise
        parts = (split.truth.numpy(), own.mean.numpy(), own.std.numpy(), *split.rows)
        size = sum(part.nbytes for part in parts) + 30 * len(split)  # for their groups
        assert len(pickle.dumps(split)) < size + 4000
        assert sum(view.nbytes for view in split.views) > 4000, "few images show nothing here"


def is_the_same_in_another_process(source: Source) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "digests"
        process = start(tell, source.splits, file)  # which sends them
        process.join(120)
        assert process.exitcode == 0
        assert file.read_text().split() == [digest_of(split) for split in source.splits]


def digest_of(split: Split) -> str:
    """Of everything that a network is given."""
    sha = hashlib.sha256(split.name.encode())
    views = torch.arange(len(split)) % len(split.views)
    for part in (split.batch(all_of(split)), split.batch(all_of(split), views), split.truth):
        sha.update(part.numpy().tobytes())
    return sha.hexdigest()


def tell(splits: Sequence[Split], file: Path) -> None:
    """In the other process."""
    torch.set_num_threads(1)
    file.write_text("\n".join(map(digest_of, splits)))


def says_in_one_line_that_a_file_is_gone_or_short(source: Source) -> None:
    for length in (None, 200):
        with tempfile.TemporaryDirectory() as folder:
            split = copied(source, Path(folder)).features.train()
            sent = pickle.dumps(split)
            for file in Path(folder).rglob("view*.npy"):
                start = file.read_bytes()[:length]
                file.unlink()
                if length:
                    file.write_bytes(start)
            with pytest.raises(PathsearchError) as caught:
                pickle.loads(sent)  # noqa: S301 (our own)
            assert "\n" not in str(caught.value)
            assert folder in str(caught.value), "it names the file"


def makes_a_damaged_file_again(source: Source) -> None:
    wanted = bytes_of(source.features)
    for damage in (turn_a_bit, cut_short, Path.unlink):
        with tempfile.TemporaryDirectory() as folder:
            other = copied(source, Path(folder))
            damage(next(Path(folder).rglob("view0.npy")))
            found = other.again()
            assert found.encoded > 0
            assert bytes_of(found) == wanted


def copied(source: Source, folder: Path) -> Source:
    """The same with a copy of its folder, which may be damaged."""
    assert source.features  # they are there
    shutil.copytree(source.folder, folder, dirs_exist_ok=True)
    return Source(source.encoder, source.task, folder, source.read)


def turn_a_bit(file: Path) -> None:
    held = bytearray(file.read_bytes())
    held[-1] ^= 1
    file.write_bytes(held)


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])


PROMISES: tuple[Callable[[Source], None], ...] = (
    holds_the_manifests_images_in_its_order,
    has_the_shape_that_its_encoder_announces,
    any_part_is_a_slice_of_the_whole,
    joins_one_split_after_another,
    has_further_views_of_training_images_alone,
    is_standardised_by_the_training_images,
    is_read_from_its_folder_the_second_time,
    goes_to_another_process_by_name,
    is_the_same_in_another_process,
    says_in_one_line_that_a_file_is_gone_or_short,
    makes_a_damaged_file_again,
)


def broken(source: Source) -> Iterator[str]:
    """The promises that a source breaks, by name."""
    for promise in PROMISES:
        try:
            promise(source)
        except (Exception, pytest.fail.Exception):
            yield promise.__name__
