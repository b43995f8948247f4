"""Encode once, keep, verify: feature maps on disk, one array a view, memory-mapped; the search sees no image."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from data_prep.errors import PathsearchError
from data_prep.image_digests import check_images, whole_digest
from data_prep.manifest import Task
from data_prep.whole_files import file_sha256, write_json, write_text
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.noise import Noise
from pathsearch.encoders.own import encoded
from pathsearch.encoders.pooled import STAGE, Sight, pooled
from pathsearch.encoders.split import Split, Standardiser
from pathsearch.encoders.views import PLAIN, Style, load_image, stacked
from pathsearch.run.ahead import ahead
from pathsearch.run.growing import growing
from pathsearch.run.settings import TrainingSettings
from pathsearch.run.streams import derive
from pathsearch.run.tensor_file import load_tensors, save_tensors
from pathsearch.targets.target import target_of

Progress = Callable[[int, int], None]
CHUNK_BATCHES = 8  # batches between two saves of a growing array: what a kill can cost
PARTS = 8  # of a batch, that threads decode: handing over single images would cost as much as decoding small ones
AHEAD = 2  # batches that are being decoded, or are decoded and wait


@dataclass(frozen=True)
class Features:
    """All encoded views of a task. Training and validation data are at hand; test data must be asked for."""

    task: Task
    views: tuple[np.ndarray, ...]
    standardise: Standardiser
    encoded: int  # images that the encoder had to run for now; 0 when all came from the cache
    taps: tuple[int, ...] = ()  # parts of the features along their first axis, one a map
    few: dict[str, np.ndarray] = field(default_factory=dict)  # by split, the only images of it that are used
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # of the source's places
    style: Style = PLAIN  # of the views
    noise: Noise | None = None
    sees: Sight = pooled  # what the router sees of them

    def asked(self, training: TrainingSettings, seed: int) -> Features:
        """The same with as few images and as much noise as the settings of a training say."""
        return self.limited(training.images_per_class, seed).noisy(training.noise)

    def noisy(self, setting: str) -> Features:
        """The same with noise on all images, as `training.noise` says it.

        Raises:
            PathsearchError: these are no pixels.
        """
        noise = Noise.of(setting)
        if noise is not None and self.views[0].dtype != np.uint8:
            raise PathsearchError(
                f"training.noise: expected none on the features of a frozen encoder, got {setting!r}; give --encoder "
                "pixels, or leave it out"
            )
        return replace(self, noise=noise)

    def limited(self, images_per_class: int | None, seed: int) -> Features:
        """The same with few training and validation images, drawn by `seed`, whatever their groups; None: with all.

        As many of each class for training, and for validation as many or all that there are: who has few labels for
        training has few for validation too. The standardiser is fitted on what is drawn; test images stay all.

        Raises:
            PathsearchError: a class has too few training images.
        """
        if images_per_class is None:
            return self
        if not self.task.classes:
            raise PathsearchError(
                f"training.images_per_class: expected a task of classes, got {self.task.name}, which has none; "
                "leave it out"
            )
        labels = self.task.labels("train")
        for k, name in enumerate(self.task.classes):
            if (there := int((labels == k).sum())) < images_per_class:
                raise PathsearchError(
                    f"training.images_per_class: expected at most {there}, the training images of class {name!r}, "
                    f"got {images_per_class}; choose fewer"
                )
        few = {split: _draw(self.task.labels(split), images_per_class, seed, split) for split in ("train", "val")}
        rows = self.task.rows("train")[few["train"]]
        standardise = Standardiser.fit(self.views[0], rows, self.taps, _stages(self.shapes))
        return replace(self, standardise=standardise, few=few)

    def train(self) -> Split:
        """The training images, with all their views."""
        return self._split("train", self.views)

    def validation(self) -> Split:
        """The validation images."""
        return self._split("val", self.views[:1])

    def test(self) -> Split:
        """The test images: called once a run, after its path, weights and threshold are fixed."""
        return self._split("test", self.views[:1])

    def files(self, split: str) -> list[Path]:
        """The image files of a split that are used, in its order."""
        rows, files = self.task.rows(split), self.task.files()
        return [files[row] for row in rows[self.few.get(split, np.arange(len(rows)))]]

    def _split(self, name: str, views: tuple[np.ndarray, ...]) -> Split:
        rows, target = self.task.rows(name), target_of(self.task)
        used = self.few.get(name, np.arange(len(rows)))
        truth = target.truth(self.task, name)[torch.from_numpy(used)]
        places = (rows[used], *[used] * (len(views) - 1))
        groups = self.task.groups(name)[used]
        warps = [[self.style.warp(view, i) for i in used] for view in range(1, len(views))]
        warped = target.in_views(self.task, name, used, truth, warps)
        return Split(name, truth, views, places, self.standardise, groups, self.shapes, warped, self.noise, self.sees)


def split_in_words(task: Task, images_per_class: int | None) -> str:
    """How the split was made and how many of its images are used: a phrase to print next to every number."""
    if images_per_class is None:
        return task.split_in_words
    return (
        f"{task.split_in_words}; of these only {images_per_class} training images and at most {images_per_class} "
        "validation images of each class, drawn by the seed"
    )


def _draw(labels: np.ndarray, number: int, seed: int, split: str) -> np.ndarray:
    """Positions, ascending, of `number` images of each class, or of all of a class that has fewer."""
    rng = np.random.default_rng(derive(seed, "few", split))
    drawn = [rng.permutation(np.flatnonzero(labels == k))[:number] for k in np.unique(labels)]
    return np.sort(np.concatenate(drawn))


def encode(
    task: Task,
    encoder: Encoder,
    cache_dir: Path,
    n_views: int = 1,
    progress: Progress | None = None,
    augmentation: str = "paper",
) -> Features:
    """Features of every image of a task, from the cache where it holds them.

    Args:
        task: a prepared task.
        encoder: frozen; its weights, sizes and preprocessing are part of the cache's key, as are the manifest
            and the bytes of the images.
        cache_dir: where arrays are kept.
        n_views: 1 for the images as they are; each further one is an augmented view of every training image.
        progress: called with images done and images to do, if any must be encoded.
        augmentation: of the views, as `training.augmentation` names it.

    Returns:
        The features, memory-mapped. An interrupted call goes on where it stopped; a file whose digest is wrong
        is made again.

    Raises:
        PathsearchError: an image is no longer the one that was prepared or does not decode, or the disk is full.
    """
    verify(task, cache_dir)
    files = task.files()
    style = Style.of(task, augmentation)
    plain = _folder(task, encoder, cache_dir, Style.of(task, "paper"))  # of the images as they are, whatever the style
    augmented = _folder(task, encoder, cache_dir, style) if n_views > 1 else plain
    places = [(augmented if view else plain) / f"view{view}.npy" for view in range(n_views)]
    wanted = [files if view == 0 else [files[row] for row in task.rows("train")] for view in range(n_views)]
    with ExitStack() as locks:  # of two processes that want the same features one encodes, the other waits
        for folder in sorted({plain, augmented}):
            locks.enter_context(FileLock(folder / ".lock"))
        missing = [view for view in range(n_views) if not _is_whole(places[view])]
        to_do, done = sum(len(wanted[view]) for view in missing), 0
        for view in missing:
            for rows in _encode_view(places[view], wanted[view], view, encoder, style):
                done += rows
                if progress:
                    progress(done, to_do)
        arrays = tuple(np.load(place, mmap_mode="r") for place in places)
        standardise = _standardiser(plain, arrays[0], task, encoder)
    found = Features(task, arrays, standardise, to_do, encoder.parts, shapes=encoder.places, style=style)
    return replace(found, sees=encoder.sees)


def _folder(task: Task, encoder: Encoder, cache_dir: Path, style: Style) -> Path:
    """Where a task's features by an encoder lie, with views of one style; beside them `key.json`, what they are of."""
    own = {"encoder": encoder.key, "manifest": task.digest, "images": task.images_digest}
    own["augmentation"] = style.in_words
    key = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()
    folder = cache_dir / f"{task.folder}-{key[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "key.json", own)
    return folder


def verify(task: Task, cache_dir: Path) -> None:
    """Refuse a task whose images are not those that were prepared; what was found right before is not read again.

    Raises:
        BadData: an image is missing or changed; names the first.
    """
    task.verify_images(cache_dir / f"{task.folder}.verified.json")


def _is_whole(file: Path) -> bool:
    """Whether a file is the one whose digest stands beside it; read only if it is not known to be so."""
    try:
        whole = whole_digest([file.with_suffix(".sha256").read_text().strip()])
        check_images(file.parent, [file.name], whole, file.with_suffix(".verified.json"))
    except (OSError, ValueError):
        return False
    return True


def _encode_view(file: Path, images: list[Path], view: int, encoder: Encoder, style: Style) -> Iterator[int]:
    """Fill `file` with one view of `images`, yielding the number of rows as they are done."""
    size, image_size = batch_size(encoder.settings.image_size), encoder.settings.image_size

    def load(part: range) -> Tensor:
        return stacked([load_image(images[row], image_size, view, row, style) for row in part])

    with growing(file, (len(images), *encoder.feature_shape), encoder.dtype) as array:
        if array.rows:
            yield array.rows
        rows = range(array.rows, len(images))
        batches = [_parts(rows[start : start + size], PARTS) for start in range(0, len(rows), size)]
        decoded = ahead(load, itertools.chain.from_iterable(batches), AHEAD * PARTS)
        for count, parts in enumerate(batches, 1):
            array.append(encoded(encoder, torch.cat(list(itertools.islice(decoded, len(parts))))).numpy())
            if count % CHUNK_BATCHES == 0:
                array.save()
            yield sum(map(len, parts))


def _parts(rows: range, number: int) -> list[range]:
    """`rows` in at most `number` parts, in order: what one thread decodes at a time."""
    step = math.ceil(len(rows) / number)
    return [rows[start : start + step] for start in range(0, len(rows), step)]


def _standardiser(folder: Path, maps: np.ndarray, task: Task, encoder: Encoder) -> Standardiser:
    """The fitted standardiser of `maps`, view 0 of the features in `folder`; kept beside them once it is fitted."""
    if maps.dtype == np.uint8:  # of pixels, for which nothing is fitted
        return Standardiser.fit(maps, task.rows("train"))
    file, stages = folder / "standardise.safetensors", _stages(encoder.places)
    own = {"view0": (folder / "view0.sha256").read_text().strip(), **({"by": "channel"} if stages else {})}
    if _is_whole(file):
        tensors, about = load_tensors(file, "standardiser")
        if about == own:
            return Standardiser(tensors["mean"], tensors["std"])
    fitted = Standardiser.fit(maps, task.rows("train"), encoder.parts, stages)
    save_tensors(file, {"mean": fitted.mean, "std": fitted.std}, own)
    write_text(file.with_suffix(".sha256"), file_sha256(file) + "\n")
    return fitted


def _stages(places: Mapping[str, tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Shapes of the places that are stages at their own sizes."""
    return [shape for name, shape in places.items() if name.startswith(STAGE)]


def batch_size(image_size: int) -> int:
    """Images in an encoder batch: as many as keep the first layers' maps in reach of the caches."""
    return max(8, min(128, 128 * 64**2 // image_size**2))
