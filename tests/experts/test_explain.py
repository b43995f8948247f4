"""Heat maps: Grad-CAM worked by hand, maps that follow the image, and figures where they were asked for."""

from __future__ import annotations

import csv
import functools
import io
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from command_world import pathsearch
from PIL import Image
from small_world import CPU, SIZE, data_dir, encoder, finished, noise, scratch, task
from torch import nn

from pathsearch.encoders.frozen import frozen
from pathsearch.experts import bundle
from pathsearch.experts.answer_files import NamedFiles
from pathsearch.experts.explain import heat_map
from pathsearch.experts.model import Model
from pathsearch.experts.pictures import HEAT
from pathsearch.reports.figure_heat import draw
from pathsearch.reports.heat_files import explain
from pathsearch.run.teller import Silent


@functools.cache
def bundle_dir() -> Path:
    out = scratch() / "explain-bundle"
    bundle.write([finished("blobs")], data_dir(), out, Silent())
    return out


class Stub:
    """A model whose trunk is its input, whose average leaves 1 × 1, and whose logits are linear in that."""

    def __init__(self, weights: list[list[float]], map_size: int = 1) -> None:
        self.encoder, self.experts, self.facts = self, {"t": self}, self
        self.classes = ["first", "second"]
        self.map_size = map_size
        self.linear = nn.Linear(3, 2, bias=False)
        self.linear.weight.data = torch.tensor(weights)

    def maps(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (images.float(),)

    def averaged(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool2d(maps[0], self.map_size)

    def __call__(self, maps: torch.Tensor) -> torch.Tensor:
        return self.linear(maps.mean((2, 3)))


def test_grad_cam_by_hand():
    """Logit 0 is 2 r − g of the mean channels; each place's gradient is the weight over the 4 places.

    So alpha is (2, −1, 0)/4 and the heat relu(2 r − g)/4, scaled to a largest of 1.
    """
    red, green = [[8, 0], [2, 4]], [[0, 8], [2, 8]]
    image = torch.tensor([red, green, [[9, 9], [9, 9]]], dtype=torch.uint8)
    model = Stub([[2.0, -1.0, 0.0], [-2.0, 1.0, 0.0]])
    assert np.allclose(heat_map(model, image, "t", "first"), [[1, 0], [2 / 16, 0]])  # relu(16, −8, 2, 0) / 16
    assert np.allclose(heat_map(model, image, "t", "second"), [[0, 1], [0, 0]])  # relu(−16, 8, −2, 0) / 8


def test_where_nothing_speaks_for_a_class_the_map_is_empty():
    model = Stub([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
    assert not heat_map(model, noise(1, 8)[0], "t", "first").any()


def test_the_average_before_the_expert_changes_no_place():
    """Averaged down to 1 × 1 or not at all, a mean-pooling expert's gradient is the same."""
    image = noise(1, 8)[0]
    weights = [[1.0, -0.5, 0.2], [0.3, 0.1, -1.0]]
    one, all_of_it = (heat_map(Stub(weights, size), image, "t", "first") for size in (1, 8))
    assert np.allclose(one, all_of_it, atol=1e-6)


def test_the_maps_are_those_that_the_features_average():
    images = noise(3, SIZE)
    whole = encoder().maps(images)
    assert not whole[0].is_inference()
    assert torch.equal(encoder().averaged(whole).half(), encoder()(images))
    assert torch.is_grad_enabled()


def test_the_gradient_reaches_the_map_through_the_expert():
    """The slope of the logit along a channel is what the heat map's weights are: finite differences agree."""
    model = Model.of([finished("blobs")], CPU)
    expert = model.experts["blobs"]
    (image,) = [torch.from_numpy(np.array(Image.open(task("blobs").files()[0]).convert("RGB"))).permute(2, 0, 1)]
    maps = model.encoder.maps(image[None])[0].double().requires_grad_()
    network = frozen(expert.network.network).double()

    def logit(x):
        return network((model.encoder.averaged([x]) - expert.standardise.mean) / expert.standardise.std)[0, 0]

    (gradient,) = torch.autograd.grad(logit(maps), maps)
    step = torch.zeros_like(maps)
    step[0, gradient[0].abs().sum((1, 2)).argmax()] = 1e-4
    slope = (logit(maps.detach() + step) - logit(maps.detach() - step)) / 2e-4
    assert float(slope) == pytest.approx(float(gradient[0][step[0] > 0].sum()), rel=1e-3)
    network.float()


def test_a_heat_map_of_a_real_expert_is_a_share_of_the_image():
    model = Model.of([finished("blobs")], CPU)
    heats = [heat_map(model, noise(1, SIZE)[0], "blobs", label) for label in task("blobs").classes]
    for heat in heats:
        assert heat.shape == (SIZE, SIZE)
        assert heat.min() >= 0
        assert heat.max() in (0, 1)
    assert not np.array_equal(*heats), "classes differ"


# --- figures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(30, 60), (200, 40), (1, 1)])
def test_the_figure_shows_the_image_and_covers_what_is_hot(tmp_path, shape):
    image = np.full((*shape, 3), 90, np.uint8)
    heat = np.zeros((8, 8), np.float32)
    heat[:, 6:] = 1
    draw(image, heat, "a title", "large", tmp_path / "a.png")
    draw(image, 0 * heat, "a title", "large", tmp_path / "b.png")
    with Image.open(tmp_path / "a.png") as hot, Image.open(tmp_path / "b.png") as cold:
        assert hot.format == "PNG"
        assert hot.size == cold.size
        assert np.any(np.array(hot) != np.array(cold))
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["a.png", "b.png"]


def test_explain_writes_one_png_and_leaves_the_image(tmp_path):
    import pathsearch

    predictor = pathsearch.load(bundle_dir())
    source = tmp_path / "one.png"
    shutil.copy(task("blobs").files()[0], source)
    before = source.read_bytes()
    (answer,) = [a for a in predictor.predict([source]) if not a.unknown]
    explain(predictor, answer, tmp_path / "heat" / "one.heat.png")
    assert source.read_bytes() == before
    with Image.open(tmp_path / "heat" / "one.heat.png") as figure:
        assert figure.width == 1400


def test_heat_files_have_names_of_their_own():
    files = NamedFiles(Path("out"))
    names = [files.file(Path(source), HEAT).as_posix() for source in ("a/1.png", "b/1.png", "B/1.PNG", "c/1.jpg")]
    assert names == ["out/1.png.heat.png", "out/1.png~1.heat.png", "out/1.PNG~2.heat.png", "out/1.jpg.heat.png"]
    assert NamedFiles(None).file(Path("a/1.png"), HEAT).as_posix() == "a/1.png.heat.png"


def test_explain_as_a_command(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for row in task("blobs").rows("test")[:2]:
        shutil.copy(task("blobs").files()[row], images)
    done = pathsearch("predict", bundle_dir(), images, "--explain", tmp_path / "heat")
    assert done.code == 0, done
    rows = list(csv.DictReader(io.StringIO(done.out)))
    drawn = {row["heat_map"] for row in rows if row["unknown"] == "false"}
    assert drawn == {str(file) for file in (tmp_path / "heat").iterdir()}
    assert drawn
    assert len(list(images.iterdir())) == 2
    beside = pathsearch("predict", bundle_dir(), images, "--explain-beside")
    again = pathsearch("predict", bundle_dir(), images, "--explain-beside")
    assert beside.out == again.out, "heat maps are no images to be answered"
    assert len(list(images.glob("*.heat.png"))) == len(drawn)
    both = pathsearch("predict", bundle_dir(), images, "--explain", tmp_path / "heat", "--explain-beside")
    assert both.code == 2
    assert "expected one place for heat maps, got two" in both.err


def test_no_name_stops_the_batch(tmp_path):
    """Not UTF-8, no formula for a font, a formula for a spreadsheet, and a name too long for a heat map's."""
    images = tmp_path / "images"
    images.mkdir()
    source = task("blobs").files()[task("blobs").rows("test")[0]]
    names = [b"caf\xe9.png", rb"a$\frac$b.png", b"=1+1.png", b"x" * 250 + b".png", b"z.png"]
    for name in names:
        shutil.copy(source, images / os.fsdecode(name))
    done = pathsearch("predict", bundle_dir(), images, "--explain", tmp_path / "heat", "--out", tmp_path / "rows.csv")
    assert done.code == 2, "one heat map could not be written"
    assert "Traceback" not in done.err
    assert "5 images" in done.err
    assert "1 without a heat map" in done.err
    text = (tmp_path / "rows.csv").read_bytes().decode("utf-8", "surrogateescape")
    rows = {os.fsencode(Path(row["file"]).name): row for row in csv.DictReader(io.StringIO(text))}
    assert set(rows) == set(names)
    assert len({(row["task"], row["class"], row["probability"]) for row in rows.values()}) == 1
    for name, row in rows.items():
        if name.startswith(b"x"):
            assert row["heat_map"] == ""
            assert row["error"].startswith("heat map: ")
        else:
            assert Path(row["heat_map"]).is_file()
            assert row["error"] == ""
