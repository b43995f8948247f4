"""Encode once, keep, verify: every image once, the cache hit or missed for the right reasons, kills survived."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from command_world import start
from PIL import Image
from safetensors.torch import save_file
from small_world import ENCODER, SIZE, encoder, prepare, refused, registered

from data_prep import image_digests
from data_prep.errors import PathsearchError
from data_prep.manifest import Task, load_task
from data_prep.whole_files import file_sha256
from pathsearch.encoders import features
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import encode
from pathsearch.encoders.split import Standardiser
from pathsearch.encoders.views import load_images
from pathsearch.run.settings import EncoderSettings

N = 30  # images of the task below: enough for 8 batches of 4


class Counting:
    """An encoder that counts the images it runs for, and can fail after some batches."""

    def __init__(self, inner: Encoder | None = None, fail_after: int | None = None, kill: bool = False) -> None:
        self.inner, self.fail_after, self.kill = inner or encoder(), fail_after, kill
        self.images = self.batches = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        if self.batches == self.fail_after:
            if self.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("stopped")
        self.images += len(images)
        self.batches += 1
        return self.inner(images)


@pytest.fixture
def task(tmp_path) -> Task:
    return prepare(tmp_path / "data", "blobs", N)


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of 4 images, a save after every second one."""
    monkeypatch.setattr(features, "batch_size", lambda image_size: 4)
    monkeypatch.setattr(features, "CHUNK_BATCHES", 2)


def run(task: Task, cache: Path, trunk: Any = None, n_views: int = 1) -> tuple[features.Features, int]:
    """The features, and how many images the encoder ran for."""
    counting = Counting(trunk)
    return encode(task, counting, cache, n_views), counting.images  # type: ignore[arg-type]


def arrays(cache: Path) -> dict[str, bytes]:
    """Bytes of all finished arrays of a cache, by file name."""
    return {file.name: file.read_bytes() for file in sorted(cache.glob("*/*.npy"))}


# --- the cache ------------------------------------------------------------------------------------------------------


def test_each_image_is_encoded_once(task, tmp_path):
    told: list[tuple[int, int]] = []
    counting = Counting()
    first = encode(task, counting, tmp_path, 3, lambda done, total: told.append((done, total)))  # type: ignore[arg-type]
    n_train = len(task.rows("train"))
    assert counting.images == first.encoded == N + 2 * n_train
    assert told[-1] == (N + 2 * n_train, N + 2 * n_train)
    assert sorted(told) == told
    second, images = run(task, tmp_path, n_views=3)
    assert (images, second.encoded) == (0, 0)
    assert all(np.array_equal(a, b) for a, b in zip(first.views, second.views, strict=True))


def test_features_are_those_of_the_encoder(task, tmp_path):
    found, _ = run(task, tmp_path)
    assert np.array_equal(found.views[0], encoder()(load_images(task.files(), SIZE)).numpy())


def test_more_views_encode_only_the_new_ones(task, tmp_path):
    run(task, tmp_path)
    before = arrays(tmp_path)["view0.npy"]
    n_train = len(task.rows("train"))
    assert run(task, tmp_path, n_views=2)[1] == n_train
    assert run(task, tmp_path)[1] == 0
    assert arrays(tmp_path)["view0.npy"] == before


def test_another_augmentation_encodes_its_views_alone(task, tmp_path):
    """The images as they are do not depend on it, and a joint evaluation asks for them without it."""
    n_train = len(task.rows("train"))
    one = encode(task, encoder(), tmp_path, 2, augmentation="strong")
    assert one.encoded == N + n_train
    other = encode(task, encoder(), tmp_path, 2)
    assert other.encoded == n_train
    assert np.array_equal(one.views[0], other.views[0])
    assert not np.array_equal(one.views[1], other.views[1])
    assert encode(task, encoder(), tmp_path).encoded == 0


@pytest.mark.parametrize(
    "options", [{"random_seed": 1}, {"image_size": 64}, {"map_size": 1}, {"name": "squeezenet1_0"}], ids=str
)
def test_another_encoder_misses_the_cache(task, tmp_path, options):
    run(task, tmp_path)
    other = Encoder(EncoderSettings(**({"name": ENCODER.name, "weights": "random", "image_size": SIZE} | options)))
    assert run(task, tmp_path, other)[1] == N
    assert run(task, tmp_path)[1] == 0, "the first encoder's features are still there"


def test_one_changed_weight_misses_the_cache(task, tmp_path):
    weights = {name: tensor.contiguous() for name, tensor in encoder().trunk.network.state_dict().items()}
    for name in ("same", "changed"):
        save_file(weights, tmp_path / f"{name}.safetensors")
        weights["0.weight"].view(-1)[5] += 1e-3
    trunks = {n: Encoder(replace(ENCODER, weights=str(tmp_path / f"{n}.safetensors"))) for n in ("same", "changed")}
    run(task, tmp_path)
    assert run(task, tmp_path, trunks["same"])[1] == 0
    assert run(task, tmp_path, trunks["changed"])[1] == N


def test_a_changed_manifest_misses_the_cache(task, tmp_path):
    run(task, tmp_path)

    def swap(table: pd.DataFrame) -> None:
        first, last = table.index[table["label"].eq("small")][0], table.index[table["label"].eq("large")][0]
        table.loc[[first, last], "label"] = ["large", "small"]

    assert run(registered(task, swap), tmp_path)[1] == N


def test_changed_image_bytes_are_refused(task, tmp_path):
    run(task, tmp_path)
    file = task.files()[3]
    pixels = np.array(Image.open(file))
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(file)
    with refused(f"{file.name}: expected the image that was prepared, .* put it back, or prepare the task again"):
        run(task, tmp_path)


@pytest.mark.parametrize("damage", ["a flipped bit", "cut short", "no digest", "another digest"])
def test_a_damaged_array_is_found_and_made_again(task, tmp_path, damage):
    run(task, tmp_path, n_views=2)
    before = arrays(tmp_path)
    (file,) = tmp_path.glob("*/view1.npy")
    if damage == "a flipped bit":
        content = bytearray(file.read_bytes())
        content[-7] ^= 4
        file.write_bytes(content)
    elif damage == "cut short":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "no digest":
        file.with_suffix(".sha256").unlink()
    else:
        file.with_suffix(".sha256").write_text("0" * 64)
    assert run(task, tmp_path, n_views=2)[1] == len(task.rows("train")), "view 0 was whole"
    assert arrays(tmp_path) == before


# --- interrupted -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batches", [0, 1, 2, 5, 7])
def test_an_interrupted_encoding_goes_on_where_it_stopped(task, tmp_path, small_batches, batches):
    run(task, tmp_path / "whole")
    with pytest.raises(RuntimeError, match="stopped"):
        encode(task, Counting(fail_after=batches), tmp_path / "broken")  # type: ignore[arg-type]
    assert not arrays(tmp_path / "broken"), "an unfinished array has no name"
    saved = batches // 2 * 2 * 4  # whole chunks of 2 batches of 4
    assert run(task, tmp_path / "broken")[1] == N - saved
    assert arrays(tmp_path / "broken") == arrays(tmp_path / "whole")


def test_several_interruptions_cost_only_their_unsaved_rows(task, tmp_path, small_batches):
    run(task, tmp_path / "whole")
    for _ in range(3):
        with pytest.raises(RuntimeError, match="stopped"):
            encode(task, Counting(fail_after=2), tmp_path / "broken")  # type: ignore[arg-type]
    assert run(task, tmp_path / "broken")[1] == N - 3 * 8
    assert arrays(tmp_path / "broken") == arrays(tmp_path / "whole")


def test_a_note_of_rows_never_vouches_for_another_array(task, tmp_path, small_batches):
    run(task, tmp_path / "whole")
    with pytest.raises(RuntimeError, match="stopped"):
        encode(task, Counting(fail_after=6), tmp_path / "broken")  # type: ignore[arg-type]
    # killed after the array took its name, before its digest: the note is left, the array is made again …
    (part,) = (tmp_path / "broken").glob("*/view0.part")
    part.replace(part.with_suffix(".npy"))
    with pytest.raises(RuntimeError, match="stopped"):  # … and that is killed at once
        encode(task, Counting(fail_after=0), tmp_path / "broken")  # type: ignore[arg-type]
    run(task, tmp_path / "broken")
    assert arrays(tmp_path / "broken") == arrays(tmp_path / "whole")


def _encode_and_die(data_dir: Path, cache: Path) -> None:
    torch.set_num_threads(1)
    features.CHUNK_BATCHES, features.batch_size = 2, lambda image_size: 4  # type: ignore[assignment]
    encode(load_task(data_dir, "blobs"), Counting(fail_after=5, kill=True), cache)  # type: ignore[arg-type]


def test_a_killed_encoding_goes_on_where_it_stopped(task, tmp_path, small_batches):
    process = start(_encode_and_die, task.task_dir.parent, tmp_path / "broken")
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    run(task, tmp_path / "whole")
    assert run(task, tmp_path / "broken")[1] == N - 16
    assert arrays(tmp_path / "broken") == arrays(tmp_path / "whole")


# --- damaged images -------------------------------------------------------------------------------------------------


def test_an_image_that_does_not_decode_is_named(task):
    for content in (b"", b"no image", task.files()[5].read_bytes()[:80]):
        task.files()[5].write_bytes(content)
        with refused(f"image .*{task.files()[5].name}: .* does not decode .*prepare the task again"):
            load_images(task.files(), SIZE)


def test_any_damage_to_an_image_is_one_line_or_an_image(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(tmp_path / "good.png")
    good = (tmp_path / "good.png").read_bytes()
    for place in range(8, len(good)):  # Pillow's plugins raise errors of many kinds
        (tmp_path / "bad.png").write_bytes(good[:place] + bytes([good[place] ^ 255]) + good[place + 1 :])
        with contextlib.suppress(PathsearchError):
            load_images([tmp_path / "bad.png"], 8)


def test_a_missing_image_is_named(task, tmp_path):
    task.files()[2].unlink()
    with refused(f"{task.files()[2].name}: expected a prepared image, got No such file .*; prepare the task again"):
        run(task, tmp_path)


# --- a second start -------------------------------------------------------------------------------------------------


@pytest.fixture
def read(monkeypatch):
    """The names of all files that were read for their digest."""
    names: list[str] = []

    def watched(file: Path) -> str:
        names.append(file.name)
        return file_sha256(file)

    monkeypatch.setattr(image_digests, "file_sha256", watched)
    monkeypatch.setattr(image_digests, "SETTLED", 0)
    return names


def test_a_later_start_reads_no_image_and_no_array_again(task, tmp_path, read):
    run(task, tmp_path, n_views=2)
    assert len(read) == N
    run(task, tmp_path, n_views=2)
    del read[:]
    run(task, tmp_path, n_views=2)
    assert read == []
    (array,) = tmp_path.glob("*/view1.npy")
    array.touch()
    run(task, tmp_path, n_views=2)
    assert read == ["view1.npy"]


def test_the_kept_standardiser_is_the_fitted_one(task, tmp_path, monkeypatch):
    fitted = run(task, tmp_path)[0].standardise
    again = Standardiser.fit(np.load(next(tmp_path.glob("*/view0.npy"))), task.rows("train"), encoder().taps)
    with monkeypatch.context() as patch:
        patch.setattr(Standardiser, "fit", None)  # it would be called
        kept = run(task, tmp_path)[0].standardise
    for one in (kept, again):
        assert torch.equal(one.mean, fitted.mean)
        assert torch.equal(one.std, fitted.std)


@pytest.mark.parametrize("damage", ["a flipped bit", "cut short", "of another array", "no digest"])
def test_a_damaged_standardiser_is_fitted_again(task, tmp_path, damage):
    fitted = run(task, tmp_path)[0].standardise
    (file,) = tmp_path.glob("*/standardise.safetensors")
    content = bytearray(file.read_bytes())
    if damage == "a flipped bit":
        content[-3] ^= 1
        file.write_bytes(content)
    elif damage == "cut short":
        file.write_bytes(content[:50])
    elif damage == "of another array":
        save_file({"mean": fitted.mean + 1, "std": fitted.std}, file, {"view0": "0" * 64})
        file.with_suffix(".sha256").write_text(file_sha256(file))
    else:
        file.with_suffix(".sha256").unlink()
    kept = run(task, tmp_path)[0].standardise
    assert torch.equal(kept.mean, fitted.mean)
    assert torch.equal(kept.std, fitted.std)
