"""Taps: maps of earlier stages beside the last one, each module on its own; one tap changes nothing."""

from __future__ import annotations

import functools
from itertools import accumulate

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_world import CPU, ENCODER, SIZE, data_dir, encoder, evolve, noise, refused, scratch, settings, task

from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.split import Standardiser
from pathsearch.encoders.views import load_images
from pathsearch.experts import bundle, joint
from pathsearch.experts.explain import heat_map
from pathsearch.experts.heritage import Heritage
from pathsearch.experts.model import Model
from pathsearch.grid.grid import Grid
from pathsearch.grid.modules import build
from pathsearch.grid.path import Path
from pathsearch.grid.population import forward, plan
from pathsearch.grid.vocabulary import MIXED_FIRST, chain
from pathsearch.run.place import Place
from pathsearch.run.runs import Run
from pathsearch.run.settings import EncoderSettings, GridSettings
from pathsearch.run.teller import Silent

TAPS = (512, 256, 128)  # of SqueezeNet, the last map first


@functools.cache
def tapped(taps: int = 3) -> Encoder:
    return Encoder(EncoderSettings(ENCODER.name, "random", SIZE, map_size=4, taps=taps))


@functools.cache
def finished() -> Run:
    """A run of the blobs on a grid over three taps."""
    return evolve(scratch() / "tapped" / "blobs", settings("blobs", taps=3, n_modules=6), trunk=tapped())[0]


# --- the encoder ----------------------------------------------------------------------------------------------------


def test_the_maps_of_the_stages_stand_one_after_another():
    trunk, images = tapped(), noise(2, SIZE)
    x = trunk.normalised(images.float())
    # SqueezeNet halves at layers 0, 2, 5 and 8: its stages end at 0 (and 1, the ReLU), 4, 7 and 12
    oracle = [trunk.trunk.network[:end](x) for end in (13, 8, 5)]
    assert [one.shape[1] for one in oracle] == list(trunk.taps) == list(TAPS)
    assert [one.shape[-1] for one in oracle] == [2, 5, 11]
    for own, other in zip(trunk.maps(images), oracle, strict=True):
        torch.testing.assert_close(own, other)
    side = min(4, 2)  # no more positions than the last map has
    assert trunk.feature_shape == (sum(TAPS), side, side)
    expected = torch.cat([F.adaptive_avg_pool2d(one, side) for one in oracle], dim=1)
    torch.testing.assert_close(trunk(images).float(), expected, rtol=2e-3, atol=2e-3)
    assert torch.equal(trunk(images)[:, :512], encoder()(images)), "the first tap is what one tap gives"


@pytest.mark.parametrize(
    ("name", "taps"),
    [
        ("alexnet", (256, 192, 64)),  # the pooling that ends the trunk opens no stage
        ("resnet18", (512, 256, 128, 64)),
        ("mobilenet_v3_small", (576, 48, 24, 16)),
    ],
)
def test_stages_of_other_trunks(name, taps):
    assert Encoder(EncoderSettings(name, "random", 64, taps=len(taps))).taps == taps


def test_one_tap_is_the_encoder_as_it_was():
    assert encoder().taps == (512,)
    assert "taps" not in encoder().identity, "what was encoded before stays valid"
    assert len({encoder().key, tapped(2).key, tapped(3).key}) == 3
    assert tapped().weights_sha256 == encoder().weights_sha256
    known = Encoder(EncoderSettings("squeezenet1_1", "random", 64, map_size=1)).identity
    assert set(known) == {
        "name", "weights", "weights_sha256", "image_size", "map_size", "preprocessing", "feature_shape"
    }  # fmt: skip


def test_more_taps_than_stages_are_refused():
    with refused("encoder.taps: expected at most 4, the stages of squeezenet1_1 at 48 px, got 5; choose fewer"):
        tapped(5)


def test_each_tap_has_its_own_floor_of_the_spread():
    # tap 0: spreads 100 and 0, floor 0.05 × 50; tap 1: spreads 1 and 0, floor 0.05 × 0.5: not drowned by tap 0
    maps = np.array([[-100, 7, -1, 7], [100, 7, 1, 7]], np.float16)[:, :, None, None]
    fitted = Standardiser.fit(maps, np.arange(2), (2, 2))
    assert fitted.std.flatten().tolist() == pytest.approx([100, 2.5, 1, 0.025])


# --- the grid -------------------------------------------------------------------------------------------------------


def test_modules_take_the_taps_in_turn():
    places = {"features": (896, 2, 2)}
    plain = chain("mixed", 3, 30, places, 8)
    assert chain("mixed", 3, 30, places, 8, (896,)) == plain, "one tap: as without"
    made = chain("mixed", 3, 30, places, 8, TAPS)
    assert (made.shapes, made.layers[1:]) == (plain.shapes, plain.layers[1:])
    layers = made.specifications
    assert layers[0][:4] == ["pool-4@0:512", "conv3x3-16@512:768", "conv1x1-4@768:896", "bottleneck-16@0:512"]
    wanted = {
        f"{kind}@{end - own}:{end}" for kind in MIXED_FIRST for own, end in zip(TAPS, accumulate(TAPS), strict=True)
    }
    assert set(layers[0]) == wanted, "three rounds have every kind on every tap"
    assert {one.split("@")[1] for one in chain("paper", 2, 3, places, 8, TAPS).specifications[0]} == {
        "0:512", "512:768", "768:896"
    }  # fmt: skip


@pytest.mark.parametrize("kind", MIXED_FIRST)
def test_a_module_sees_its_tap_and_nothing_else(kind):
    def stream() -> torch.Generator:
        return torch.Generator().manual_seed(1)

    module = build(f"{kind}@3:8", (10, 3, 3), (6,), stream())
    alone = build(kind, (5, 3, 3), (6,), stream())
    x = torch.randn(4, 10, 3, 3, generator=stream()).requires_grad_()
    assert torch.equal(module(x), alone(x[:, 3:8]))
    (gradient,) = torch.autograd.grad(module(x).square().sum(), x)
    seen = gradient.abs().sum((0, 2, 3)) > 0
    assert seen.tolist() == [False] * 3 + [True] * 5 + [False] * 2


@pytest.mark.parametrize("vocabulary", ["mixed", "paper"])
def test_the_pass_of_a_population_is_the_loop_over_its_paths(vocabulary):
    grid = Grid((8, 2, 2), GridSettings(n_layers=2, n_modules=9, modules=vocabulary, width=8), 0, (4, 3, 1))
    grid.add_head("t", "linear", (2,))
    x = torch.randn(5, 8, 2, 2, generator=torch.Generator().manual_seed(0))
    paths = [Path.of(layers) for layers in ([[0, 1, 2], [0]], [[1, 4], [2, 3]], [[3, 6], [0]], [[5], [8]])]
    together = forward(grid, "t", plan(paths), x)
    for path, own in zip(paths, together, strict=True):
        torch.testing.assert_close(own, grid.network(path, "t")(x), rtol=1e-5, atol=1e-6)


# --- the whole flow -------------------------------------------------------------------------------------------------


def test_a_run_names_the_taps_of_its_modules():
    run = finished()
    assert run.report()["encoder"]["taps"] == list(TAPS)
    assert run.settings().encoder.taps == 3
    expert = Model.of([run], CPU).experts["blobs"]
    assert all("@" in kind for kind in expert.facts.specifications[0])
    assert tuple(expert.facts.shapes[0]) == tapped().feature_shape


def test_a_bundle_answers_as_its_run_does(tmp_path):
    bundle.write([finished()], data_dir(), tmp_path / "b", Silent())
    loaded, images = bundle.load(tmp_path / "b", CPU).model, noise(4, SIZE)
    assert loaded.encoder.identity == tapped().identity
    assert loaded.answer(images, "abcd") == Model.of([finished()], CPU).answer(images, "abcd")
    assert "maps of the last 3 stages averaged" in (tmp_path / "b" / "MODEL_CARD.md").read_text()


def test_the_router_knows_its_task_by_all_taps():
    cached = data_dir() / "features"
    report = joint.joint_evaluate([finished()], data_dir(), Place(cached), 0)
    assert report["routing"]["unknown_share"] < 0.5
    model = Model.of([finished()], CPU)
    assert model.router.territories["blobs"].means.shape[1] == sum(TAPS)
    assert all(one.unknown for one in model.answer(noise(4, SIZE), range(4)))


def test_the_whole_model_is_in_one_onnx_file(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install '.[onnx]'")
    pytest.importorskip("onnxscript", reason="pip install '.[onnx]'")
    bundle.write([finished()], data_dir(), tmp_path / "b", Silent(), bundle.Extras(onnx=True))
    files = [task("blobs").files()[row] for row in task("blobs").rows("test")[:6]]
    images = load_images(files, SIZE)
    session = onnxruntime.InferenceSession(tmp_path / "b" / "model.onnx")
    found = session.run(None, {"images": images.float().numpy()})
    for i, said in enumerate(Model.of([finished()], CPU).answer(images, range(6))):
        assert found[0][i] == (-1 if said.unknown else 0)
        assert found[2][i] == pytest.approx(said.distance, rel=2e-3)
        if not said.unknown:
            assert found[3][i] == pytest.approx(list(said.probabilities.values()), abs=2e-3)


@pytest.mark.parametrize("tap", [0, 1, 2])
def test_a_heat_map_shows_the_map_that_the_path_reads(tap):
    """A path on one tap has the Grad-CAM of that tap's map, on its own finer places."""
    grid = Grid(tapped().feature_shape, GridSettings(n_layers=1, n_modules=3, width=8), 0, TAPS)
    grid.add_head("blobs", "linear", (2,))
    own = Model.of([finished()], CPU)
    network = grid.network(Path.of([[tap]]), "blobs").eval()

    class Alone(torch.nn.Module):
        facts = own.experts["blobs"].facts

        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return network(maps)

    (image,) = load_images(task("blobs").files()[:1], SIZE)
    heat = heat_map(Model(tapped(), {"blobs": Alone()}, own.router), image, "blobs", "small")  # type: ignore[dict-item]
    maps = [one.requires_grad_() for one in tapped().maps(image[None])]
    logit = network(tapped().averaged(maps))[0, list(task("blobs").classes).index("small")]
    gradients = torch.autograd.grad(logit, maps)
    assert [bool(one.abs().sum() > 0) for one in gradients] == [place == tap for place in range(3)]
    warm = (gradients[tap].mean((2, 3), keepdim=True) * maps[tap].detach()).sum(1, keepdim=True).relu()
    expected = F.interpolate(warm, size=(SIZE, SIZE), mode="bilinear", align_corners=False)[0, 0]
    assert heat.max() == 1
    np.testing.assert_allclose(heat, (expected / expected.max()).numpy(), atol=1e-5)


def test_a_grid_grows_on_the_same_taps_only(tmp_path):
    line = Heritage.of(finished().folder.parent, "blobs")
    line.check("stripes", tapped(), finished().settings().grid)
    with refused(r"its encoder has taps \[512, 256, 128\], this one the last; one grid needs one encoder"):
        line.check("stripes", encoder(), finished().settings().grid)


def test_another_task_grows_on_a_tapped_grid():
    grown = settings("stripes", taps=3, n_modules=6, grown_from="blobs")
    _, report = evolve(finished().folder.parent / "stripes", grown, trunk=tapped())
    assert [row["logits_identical"] for row in report["earlier_experts"]] == [True]
