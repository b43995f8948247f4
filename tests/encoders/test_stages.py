"""Each stage at its own size: places of their own in one cached row, from evolve to an answer."""

from __future__ import annotations

import inspect
import json
import pickle
from collections.abc import Mapping

import pytest
import torch
from command_world import pathsearch
from small_world import ENCODER, SIZE, data_dir, options, place, refused, settings, task

from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import encode
from pathsearch.encoders.pixels import make_encoder
from pathsearch.encoders.pooled import pooled
from pathsearch.encoders.views import load_images
from pathsearch.grid import blueprint
from pathsearch.grid.blueprint import Blueprint, Layer
from pathsearch.grid.modules import Shape
from pathsearch.run.settings import EncoderSettings, GridSettings
from pathsearch.training.baselines import train_path
from pathsearch.training.bench import Bench

TWO = EncoderSettings("squeezenet1_1", "random", SIZE, taps=2, sizes="own")


@pytest.fixture(scope="module")
def stages() -> Encoder:
    return Encoder(TWO)


def test_stages_keep_their_sizes(stages):
    images = load_images(task("blobs").files()[:5], SIZE)
    maps = stages.maps(images)
    assert [tuple(one.shape[1:]) for one in maps] == list(stages.places.values())
    assert list(stages.places) == ["stage1", "stage2"]
    small, large = stages.places.values()
    assert small[1] < large[1]
    assert stages.feature_shape == (sum(one[0].numel() for one in maps),)
    assert torch.equal(stages(images), torch.cat([one.flatten(1) for one in maps], 1).half())


def test_the_last_alone_is_a_map_of_its_own_size():
    one = Encoder(EncoderSettings("squeezenet1_1", "random", 96, sizes="own"))
    assert one.places == {"stage1": one.feature_shape}
    assert one.feature_shape[1:] == (5, 5), "not the 4 that map_size would leave"
    assert one.key != Encoder(EncoderSettings("squeezenet1_1", "random", 96)).key


def test_what_is_one_size_is_what_it_was():
    assert "sizes" not in Encoder(ENCODER).identity
    assert Encoder(ENCODER).places == {"features": Encoder(ENCODER).feature_shape}


def test_the_first_stages_alone_are_those_of_the_whole_trunk():
    images, whole = (
        load_images(task("blobs").files()[:2], SIZE),
        Encoder(EncoderSettings("squeezenet1_1", "random", SIZE)),
    )
    first = Encoder(EncoderSettings("squeezenet1_1", "random", SIZE, taps=2, sizes="own", stages=2))
    x = whole.normalised(images.float())
    for own, end in zip(first.maps(images), (5, 2), strict=True):  # it halves at layers 0, 2, 5 and 8
        assert torch.equal(own, whole.trunk.network[:end](x))
    assert first.weights_sha256 == whole.weights_sha256
    assert (first.identity["stages"], "stages" in whole.identity) == (2, False)
    assert torch.equal(first.stages(x)[0], first.maps(images)[0])
    with refused(r"^encoder.stages: expected at most 4, the stages of squeezenet1_1 at 48 px, got 5; choose fewer"):
        Encoder(EncoderSettings("squeezenet1_1", "random", SIZE, stages=5))
    with refused(
        r"^encoder.taps: expected at most 2, the stages of squeezenet1_1 at 48 px that are kept, got 3; choose"
    ):
        Encoder(EncoderSettings("squeezenet1_1", "random", SIZE, taps=3, stages=2))


def test_settings_without_effect_are_refused():
    trunk = Encoder(EncoderSettings("squeezenet1_1", "random", SIZE, map_size=1, sizes="own"))
    with refused(r"^encoder.map_size: 1 has no effect with encoder.sizes=own"):
        trunk.refuse_idle_map_size()
    with refused(r"^encoder.sizes: expected one with encoder.name=pixels"):
        make_encoder(EncoderSettings("pixels", image_size=SIZE, sizes="own"))
    with refused(r"^encoder.stages: expected None with encoder.name=pixels"):
        make_encoder(EncoderSettings("pixels", image_size=SIZE, stages=2))


def test_rows_are_standardised_cut_pooled_and_pickled(stages, tmp_path):
    found = encode(task("blobs"), stages, tmp_path / "cache", n_views=2)
    split = found.train()
    whole = split.batch(torch.arange(len(split)))
    own = zip(whole.split(list(stages.parts), 1), split.standardise.std.split(list(stages.parts)), strict=True)
    for (maps, std), shape in zip(own, stages.places.values(), strict=True):
        by_channel = maps.unflatten(1, shape).mean((0, 2, 3))
        torch.testing.assert_close(by_channel, torch.zeros(shape[0]), atol=1e-3, rtol=0)
        assert maps.mean(0).abs().max() > 0.1, "what most images have at one place is still there"
        assert len(std.unique()) <= shape[0], "one spread a channel"
        assert std.min() / std.mean() > 0.04, "each stage has a floor of its own"
    again = pickle.loads(pickle.dumps(split))  # noqa: S301
    assert torch.equal(again.batch(torch.arange(4)), whole[:4])
    assert again.places == stages.places
    maps = stages.maps(load_images([task("blobs").files()[row] for row in task("blobs").rows("train")[:4]], SIZE))
    by_hand = torch.cat([one.mean((2, 3)) for one in maps], 1)
    torch.testing.assert_close(split.pooled()[:4], by_hand, rtol=2e-3, atol=2e-3)
    assert torch.equal(pooled(split.raw(torch.arange(4)), stages.places), split.pooled()[:4])
    assert split.joined(found.validation()).places == stages.places


def two_stages(places: Mapping[str, Shape], settings: GridSettings) -> Blueprint:
    """The large stage first, then both at the small one's size."""
    small, large = places.values()
    kinds = ("conv3x3-8", "osa-8", "conv1x1-8", "dilated-8")
    return Blueprint(
        dict(places),
        (
            Layer("fine", ("stage2",), (8, *large[1:]), kinds),
            Layer("coarse", ("fine", "stage1"), (8, *small[1:]), kinds),
            Layer("joined", ("coarse", "fine"), (settings.width,), ("pool", "pool-4", "conv1x1-4", "conv3x3-4")),
        ),
    )


def test_a_blueprint_reads_two_stages_and_learns(stages, tmp_path, monkeypatch):
    monkeypatch.setitem(blueprint.BLUEPRINTS, "two stages", two_stages)
    of = settings("blobs", encoder=TWO, plugins=("x=" + "0" * 64,), modules="two stages", epochs=12, patience=12)
    bench = Bench.of(of, stages, encode(task("blobs"), stages, tmp_path / "cache"), place())
    grid = bench.grid()
    assert grid.blueprint.places == stages.places
    trained = train_path(bench.without_refit(), grid, grid.space.full_path())
    assert trained.score > bench.target.blind(bench.validation.truth)


def test_the_command_line_goes_the_whole_way(tmp_path):
    where = ["--data-dir", data_dir(), "--runs-dir", tmp_path / "runs"]
    chosen = settings("blobs", encoder=TWO, epochs=2, generations=2, n_modules=10, random_paths=5)
    mine = tmp_path / "mine.py"
    head = "from pathsearch import blueprint\nfrom pathsearch.grid.blueprint import Blueprint, Layer\n"
    maker = inspect.getsource(two_stages).replace(
        "(places: Mapping[str, Shape], settings: GridSettings) -> Blueprint", "(places, settings)"
    )
    mine.write_text(f'{head}\n\n@blueprint.register("two")\n{maker}')
    for name in ("blobs", "stripes"):
        own = ["--task", name, "--plugin", mine, "--set", "grid.modules=two"]
        for command in ("evolve", "compare"):  # whose own n_modules and random_paths are the usual ones
            found = pathsearch(command, *own, "--set", "grid.n_layers=7", *options(chosen)[6:], *where)
            assert "error: grid.n_layers: 7 has no effect" in found.err, found
        found = pathsearch("evolve", *options(chosen)[2:], *own, *where)
        assert found.code == 0, found.err
    joint = pathsearch("joint-eval", "--json", "--plugin", mine, *where)
    assert joint.code == 0, joint.err
    report = json.loads(joint.out)
    for name in ("blobs", "stripes"):
        own = json.loads((tmp_path / "runs" / f"{name}-random-s0" / "report.json").read_text())
        assert report["tasks"][name]["oracle"]["accuracy"] == own["test"]["accuracy"]
    made = pathsearch(
        "bundle", "blobs-random-s0", "stripes-random-s0", "--out", tmp_path / "model", "--plugin", mine, *where
    )
    assert made.code == 0, made.err
    told = pathsearch("predict", tmp_path / "model", "--plugin", mine, *task("blobs").files()[:3])
    assert told.code == 0, told.err
    assert "blobs" in told.out
