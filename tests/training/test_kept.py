"""What is kept of an interrupted run: trainings come back bit for bit, and only into the run that they are of."""

from __future__ import annotations

import functools
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from benches import bench
from small_world import copied, data_dir, encoder, evolve, finished, outcome, refused, settings, task

from pathsearch.encoders.features import encode
from pathsearch.experts import evolve as evolving
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path as ModulePath
from pathsearch.run.runs import GENERATION, Run, forget_trainings
from pathsearch.training import baselines
from pathsearch.training.kept import Kept
from pathsearch.training.last_training import Trained

PATH = ModulePath.parse("0+1|2|3")


@functools.cache
def grid() -> Grid:
    made = Grid(encoder().feature_shape, settings("blobs").grid, 0)
    made.add_head("blobs", "linear", (2,))
    return made


@functools.cache
def trained() -> Trained:
    split = encode(task("blobs"), encoder(), data_dir() / "features")
    return baselines.train_path(
        bench((split.train(), split.validation()), last=settings("blobs").training, task="blobs"), grid(), PATH
    )


def read_back(kept: Kept, what: str = "it", number: int = 1) -> Trained:
    def never() -> Trained:
        raise AssertionError("trained again")

    return kept.training(number, what, lambda: grid().network(PATH, "blobs"), never)


@pytest.fixture
def kept(tmp_path) -> Kept:
    one = Kept(tmp_path / "checkpoint", "me")
    one.training(1, "it", lambda: grid().network(PATH, "blobs"), trained)
    return one


def test_a_training_comes_back_bit_for_bit(kept):
    found = read_back(kept)
    before, after = trained().network.state_dict(), found.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(found.said["log_p"], trained().said["log_p"])
    assert not found.network.training
    for one in fields(Trained):
        if one.name not in ("network", "said"):
            assert getattr(found, one.name) == getattr(trained(), one.name), one.name


def test_the_untrained_network_is_not_what_comes_back(kept):
    fresh = grid().network(PATH, "blobs").state_dict()
    assert any(not torch.equal(fresh[name], tensor) for name, tensor in read_back(kept).network.state_dict().items())


def test_a_training_of_something_else_is_refused(kept):
    with refused("expected the training of another, got it; delete that file, or start the run again with --overwrite"):
        read_back(kept, "another")
    with refused("training-01.safetensors: belongs to other settings.*; delete that file"):
        read_back(Kept(kept.folder, "you"))


def test_a_damaged_training_is_refused(kept):
    file = kept.folder / "training-01.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with refused("checkpoint .*training-01.safetensors: damaged.*; delete that file, or start the run again"):
        read_back(kept)


def test_forgetting_leaves_the_generation_and_foreign_files(kept):
    kept.save_generation({}, {"w": torch.ones(1)})
    (kept.folder / "training-notes.txt").write_text("mine")
    forget_trainings(kept.folder)
    assert {file.name for file in kept.folder.iterdir()} == {GENERATION, "training-notes.txt"}
    forget_trainings(kept.folder / "nowhere")


# --- in a run -------------------------------------------------------------------------------------------------------


class Stopped(BaseException):
    """As good as a kill, within this process."""


def stopped_in_training(folder: Path, monkeypatch, number: int, **changes: object) -> Run:
    """A run that is stopped when its `number`-th last training begins."""
    train, calls = baselines.train, 0

    def counting(*arguments: object, **options: object) -> Trained:
        nonlocal calls
        calls += 1
        if calls == number:
            raise Stopped
        return train(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as context:
        context.setattr(baselines, "train", counting)
        with pytest.raises(Stopped):
            evolve(folder, settings("blobs", **changes))
    return Run(folder)


def test_no_training_is_made_twice(tmp_path, monkeypatch):
    run = stopped_in_training(tmp_path / "blobs", monkeypatch, 4)
    whole, made = baselines.train, []
    monkeypatch.setattr(baselines, "train", lambda *a, **o: made.append(1) or whole(*a, **o))
    evolve(run.folder, settings("blobs"), resume=True)
    # two finalists, two random paths, the full grid and the probe, of which three were finished
    assert len(made) == 3
    assert outcome(run) == outcome(finished("blobs"))
    assert [file.name for file in run.checkpoint_dir.iterdir()] == [GENERATION], "a finished run keeps no trainings"


def test_a_run_with_other_settings_goes_on_with_nothing_of_the_old(tmp_path, monkeypatch):
    run = stopped_in_training(tmp_path / "blobs", monkeypatch, 2)
    for file in (file for file in run.folder.iterdir() if file.is_file()):  # as a user's `rm RUN/*` leaves it
        file.unlink()
    with refused("checkpoint .*generation.safetensors: belongs to other settings, .*start the run again with --overw"):
        evolve(run.folder, settings("blobs", population=12))
    run.open(settings("blobs", population=12), resume=False, overwrite=True)
    assert list(run.checkpoint_dir.iterdir()) == []


@pytest.mark.parametrize("what", ["encoder", "data", "ancestors"])
def test_a_checkpoint_names_the_encoder_the_data_and_the_earlier_experts(tmp_path, monkeypatch, what):
    owners, chosen = [], settings("blobs")
    copied(finished("stripes"), tmp_path)

    def spy(folder: Path, owner: str) -> Kept:
        owners.append(owner)
        raise Stopped

    monkeypatch.setattr(evolving, "Kept", spy)

    def start(name: str) -> None:
        with pytest.raises(Stopped):
            evolve(tmp_path / name, chosen)

    if what == "ancestors":  # the settings name them by their run, which may have been made again
        chosen = replace(chosen, grown_from="stripes")
    start("first")
    if what == "encoder":
        monkeypatch.setattr(type(encoder()), "key", "another")
    elif what == "data":
        monkeypatch.setattr(type(task("blobs")), "fingerprint", "another")
    else:
        monkeypatch.setattr("pathsearch.experts.heritage.file_sha256", lambda file: "another")
    start("second")
    assert len(owners) == len(set(owners)) == 2
