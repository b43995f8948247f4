"""Pixels as a source: the images themselves, in the same cache, and a run from evolve to an answer."""

from __future__ import annotations

import csv
import io
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_world import pathsearch
from small_world import SIZE, data_dir, options, prepare, refused, settings, task

from data_prep.manifest import Task
from pathsearch.encoders import features
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import encode
from pathsearch.encoders.pixels import Pixels, make_encoder
from pathsearch.encoders.pooled import pooled, sketch
from pathsearch.encoders.views import Style, load_images
from pathsearch.experts.expert import Expert
from pathsearch.run.settings import EncoderSettings

ALL = EncoderSettings("pixels", image_size=SIZE)


@pytest.fixture
def small(tmp_path) -> Task:
    return prepare(tmp_path / "data", "blobs", 30)


def test_the_cache_holds_the_images(small, tmp_path):
    found = encode(small, Pixels(ALL), tmp_path / "cache", n_views=2)
    assert found.encoded == 30 + len(small.rows("train"))
    assert [view.dtype for view in found.views] == [np.uint8] * 2
    assert torch.equal(torch.from_numpy(np.array(found.views[0])), load_images(small.files(), SIZE))
    trained = [small.files()[row] for row in small.rows("train")]
    assert torch.equal(
        torch.from_numpy(np.array(found.views[1])), load_images(trained, SIZE, 1, 0, Style(small.mirror))
    )
    assert encode(small, Pixels(ALL), tmp_path / "cache", n_views=2).encoded == 0


def test_pixels_mean_the_same_to_every_task(small, tmp_path):
    split = encode(small, Pixels(ALL), tmp_path / "cache").train()
    maps = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    assert torch.unique(split.standardise(maps)).tolist() == [-2, 2]
    assert split.batch(torch.arange(2)).dtype == torch.float32


def test_a_split_goes_to_another_process_by_name(small, tmp_path):
    split = encode(small, Pixels(ALL), tmp_path / "cache").train()
    text = pickle.dumps(split)
    assert len(text) < 20_000 < split.views[0].nbytes
    again = pickle.loads(text)  # noqa: S301 (our own)
    assert torch.equal(again.batch(torch.arange(5)), split.batch(torch.arange(5)))


def test_an_interrupted_encoding_goes_on(small, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "batch_size", lambda image_size: 4)
    monkeypatch.setattr(features, "CHUNK_BATCHES", 2)

    class Stopping(Pixels):
        left, images = 5, 0

        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            self.images += len(images)
            return super().__call__(images)

    with pytest.raises(KeyboardInterrupt):
        encode(small, Stopping(ALL), tmp_path / "cache")
    rest = Stopping(ALL)
    rest.left = 100
    found = encode(small, rest, tmp_path / "cache")
    assert rest.images == 30 - 16, "four batches were saved, the fifth was not"
    assert torch.equal(torch.from_numpy(np.array(found.views[0])), load_images(small.files(), SIZE))


def test_the_router_sees_a_sketch(small, tmp_path):
    split = encode(small, Pixels(ALL), tmp_path / "cache").train()
    assert split.pooled().shape == (len(split), Pixels(ALL).sight) == (len(split), 70)
    images = torch.randint(256, (3, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(0)).byte()
    grey = images.double().mean(1)
    thumbnail = grey.unflatten(2, (8, -1)).unflatten(1, (8, -1)).mean((2, 4)).flatten(1)
    quarters = grey.unflatten(2, (2, -1)).unflatten(1, (2, -1)).std((2, 4), correction=0).flatten(1)
    red, green, blue = images.double().unbind(1)
    tint = torch.stack([(red - green).abs().mean((1, 2)), (green - blue).abs().mean((1, 2))], 1)
    by_hand = torch.cat([thumbnail, quarters.log1p(), tint.log1p()], 1)
    torch.testing.assert_close(sketch(images), by_hand.float())
    assert torch.equal(sketch(images.float()), sketch(images)), "as an exported model has them"
    maps = torch.randn(2, 5, 3, 3)
    assert torch.equal(pooled(maps), maps.mean((2, 3)))


def test_a_blank_image_has_neither_contrast_nor_colour():
    found = sketch(torch.full((1, 3, 20, 20), 77, dtype=torch.uint8))
    assert found.tolist() == [[77] * 64 + [0] * 6]
    assert sketch(torch.full((1, 1, 20, 20), 77, dtype=torch.uint8)).shape == (1, 68), "grey has no colour at all"
    assert sketch(torch.full((1, 4, 5, 3), 77, dtype=torch.uint8)).shape == (1, 71), "whatever the size"


def test_a_source_says_itself_what_the_router_sees(small, tmp_path):
    class Corner(Pixels):
        sees = staticmethod(corner)

    split = encode(small, Corner(ALL), tmp_path / "cache").train()
    assert Corner(ALL).sight == 3
    assert torch.equal(split.pooled(), split.raw(torch.arange(len(split)))[:, :, 0, 0].float())
    again = pickle.loads(pickle.dumps(split))  # noqa: S301 (our own)
    assert torch.equal(again.pooled(), split.pooled())


def corner(images: torch.Tensor, places: object) -> torch.Tensor:
    """The first pixel."""
    return images[:, :, 0, 0].float()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"taps": 2}, "encoder.taps: expected 1 with encoder.name=pixels, which has no maps, got 2; leave it out"),
        ({"map_size": 2}, "encoder.map_size: expected 4 with encoder.name=pixels"),
        ({"precision": "bfloat16"}, "encoder.precision: expected float32 with encoder.name=pixels"),
        (
            {"weights": "w.pth"},
            "encoder.weights: expected none with encoder.name=pixels, which has no weights",
        ),
    ],
)
def test_what_only_a_trunk_can_follow_is_refused(change, message):
    with refused(message):
        make_encoder(EncoderSettings("pixels", **change))


def test_names_lead_to_the_one_or_the_other():
    assert type(make_encoder(ALL)) is Pixels
    trunk = make_encoder(EncoderSettings("squeezenet1_1", "random", SIZE))
    assert type(trunk) is Encoder
    assert trunk.places == {"features": trunk.feature_shape}
    assert make_encoder(ALL).key != make_encoder(EncoderSettings("pixels", image_size=64)).key
    with refused("expected a torchvision classification model, got 'pixel'; "):
        make_encoder(EncoderSettings("pixel"))


def test_from_evolve_to_an_answer(tmp_path: Path):
    where = ["--data-dir", data_dir(), "--runs-dir", tmp_path / "runs"]
    for name in ("blobs", "stripes"):
        given = options(replace(settings(name, generations=2, views=2), encoder=EncoderSettings()))
        made = pathsearch("evolve", *given, "--encoder", "pixels", "--image-size", "32", "--run-name", name, *where)
        assert made.code == 0, made
    expert = Expert.load(tmp_path / "runs" / "blobs" / "expert.safetensors")
    assert expert.facts.wiring == {
        "places": [["pixels", [3, 32, 32]]],
        "layers": [["layer1", ["pixels"]], ["layer2", ["layer1"]], ["layer3", ["layer2"]]],
        "head": "layer3",
    }
    joint = pathsearch("joint-eval", "blobs", "stripes", *where, "--json")
    assert joint.code == 0, joint
    assert json.loads(joint.out)["routing"]["accuracy"] > 0.5

    bundled = pathsearch("bundle", "blobs", "stripes", *where, "--out", tmp_path / "model", "--with-encoder")
    assert bundled.code == 0, bundled
    card, index = (tmp_path / "model" / name for name in ("MODEL_CARD.md", "bundle.json"))
    for told in (bundled.out, card.read_text()):
        assert "no encoder: the networks read pixels" in told.lower()
        assert "downloaded" not in told
        assert "imagenet" not in told
    assert json.loads(index.read_text())["encoder_weights"] == "none"
    said = pathsearch("predict", tmp_path / "model", *task("blobs").files()[:3])
    assert said.code == 0, said
    assert len(list(csv.DictReader(io.StringIO(said.out)))) == 3
    onnx = pathsearch("bundle", "blobs", *where, "--out", tmp_path / "other", "--onnx")
    assert onnx.code == 0, onnx
