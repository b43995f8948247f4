"""The ONNX file: ONNX Runtime gives the same answers, and the model card's own lines read it."""

from __future__ import annotations

import functools
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dense_bundles import dense_runs
from dense_bundles import images as dense_images
from dense_world import SIDE, dense_data
from PIL import Image
from small_world import CPU, ENCODER, SIZE, data_dir, finished, noise, refused, scratch, task

from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.pooled import pooled
from pathsearch.encoders.split import Standardiser
from pathsearch.encoders.views import load_images
from pathsearch.experts import bundle
from pathsearch.experts.expert import Expert, ExpertFacts
from pathsearch.experts.export import export
from pathsearch.experts.model import Model
from pathsearch.experts.router import Router, Territory
from pathsearch.grid.grid import Grid
from pathsearch.run.teller import Silent

onnxruntime = pytest.importorskip("onnxruntime", reason="pip install '.[onnx]'")
pytest.importorskip("onnxscript", reason="pip install '.[onnx]'")

TASKS = ("stripes", "blobs")


@functools.cache
def bundle_dir() -> Path:
    out = scratch() / "onnx-bundle"
    bundle.write([finished(name) for name in TASKS], data_dir(), out, Silent(), bundle.Extras(onnx=True))
    return out


def run(file: Path, images: torch.Tensor) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(file)
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, {"images": images.float().numpy()}), strict=True))


def check(model: Model, images: torch.Tensor, found: dict[str, np.ndarray], close: float = 2e-3) -> None:
    """Assert that the runtime's outputs are the model's answers."""
    tasks = list(model.router.tasks)
    for i, said in enumerate(model.answer(images, range(len(images)))):
        task_index = -1 if said.unknown else tasks.index(said.task)
        assert found["task"][i] == task_index, i
        assert found["distance"][i] == pytest.approx(said.distance, rel=close)
        if said.unknown:
            assert found["class"][i] == -1
            continue
        classes = model.experts[said.task].facts.classes
        assert classes[found["class"][i]] == said.label
        assert found[f"probabilities_{said.task}"][i] == pytest.approx(list(said.probabilities.values()), abs=close)


def samples() -> torch.Tensor:
    files = [task(name).files()[row] for name in TASKS for row in task(name).rows("test")[:8]]
    return torch.cat([load_images(files, SIZE), noise(3, SIZE)])


def test_onnx_runtime_gives_the_same_answers():
    model = Model.of([finished(name) for name in TASKS], CPU)
    for images in (samples(), samples()[:1]):  # any batch size
        check(model, images, run(bundle_dir() / "model.onnx", images))


def test_check_sees_another_answer():
    model = Model.of([finished(name) for name in TASKS], CPU)
    found = run(bundle_dir() / "model.onnx", samples())
    for name in ("task", "class", "distance", "probabilities_stripes", "probabilities_blobs"):
        with pytest.raises(AssertionError):
            check(model, samples(), found | {name: found[name][::-1]})


def made_up(threshold: float | None, distance: float, precision: str = "float32") -> Model:
    """A model whose trunk's 5 × 5 maps are averaged to 2 × 2, which does not divide, with thresholds as given."""
    encoder = Encoder(replace(ENCODER, image_size=96, map_size=2, precision=precision))
    assert encoder.maps(noise(1, 96))[0].shape[-1] == 5
    maps = encoder(noise(24, 96))
    grid = Grid(encoder.feature_shape, finished("blobs").settings().grid, 0)
    grid.add_head("t", "linear", (2,))
    path = grid.space.full_path() if hasattr(grid.space, "full_path") else None
    assert path is not None
    layers = [[grid.specifications[n][i] for i in layer] for n, layer in enumerate(path.layers)]
    shapes = [list(shape) for shape in grid.shapes]
    facts = ExpertFacts("t", ["no", "yes"], str(path), layers, shapes, encoder.identity, threshold, "random", 0)
    expert = Expert(facts, grid.network(path, "t"), Standardiser.fit(maps.numpy(), np.arange(24)))
    here = Territory.fit(pooled(maps), torch.arange(24) % 2, pooled(maps))
    return Model(encoder, {"t": expert}, Router({"t": replace(here, threshold=distance)}))


@pytest.mark.parametrize(("threshold", "distance"), [(0.5, 1e6), (None, 1e-3)])
def test_thresholds_and_averages_are_in_the_graph(tmp_path, threshold, distance):
    model = made_up(threshold, distance)
    if threshold is not None:  # between two of the answers, so that the threshold, not the larger one, decides
        p = sorted(a.probabilities["yes"] for a in model.answer(noise(8, 96), range(8)))
        own = model.experts["t"]
        facts = replace(own.facts, threshold=(p[1] + p[2]) / 2)
        model.experts["t"] = Expert(facts, own.network.network, own.standardise)
        assert sum(a.label == "yes" for a in model.answer(noise(8, 96), range(8))) == 6
    export(model, tmp_path / "m.onnx")
    found = run(tmp_path / "m.onnx", noise(8, 96))
    assert (found["task"] == (0 if threshold else -1)).all()
    check(model, noise(8, 96), found)
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


def test_a_graph_that_would_compute_something_else_is_refused(tmp_path):
    model = made_up(None, 1e6, "bfloat16")
    with refused("--onnx: expected an encoder of precision float32, got bfloat16, .* leave --onnx out, or evolve with"):
        export(model, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []
    # what it would have said: the same graph without the refusal is not this model
    object.__setattr__(model.encoder.settings, "precision", "float32")
    export(model, tmp_path / "m.onnx")
    found = run(tmp_path / "m.onnx", noise(8, 96))
    object.__setattr__(model.encoder.settings, "precision", "bfloat16")
    with pytest.raises(AssertionError):
        check(model, noise(8, 96), found)


def test_networks_from_pixels_and_masks_are_in_the_graph(tmp_path, monkeypatch, capsys):
    runs = list(dense_runs().values())
    bundle.write(runs, dense_data(), tmp_path / "m", Silent(), bundle.Extras(onnx=True))
    session = onnxruntime.InferenceSession(tmp_path / "m" / "model.onnx")
    assert [one.name for one in session.get_outputs()] == [
        "task",
        "class",
        "distance",
        "mask_discs",
        "probabilities_sizes",
    ]
    about = json.loads(session.get_modelmeta().custom_metadata_map["pathsearch"])
    assert about["targets"] == {"discs": "mask"}
    model = bundle.load(tmp_path / "m", CPU).model
    files = [file for name in ("discs", "sizes") for file in dense_images(name, "test")]
    pixels = torch.cat([load_images(files, SIDE), noise(3, SIDE)])
    found = run(tmp_path / "m" / "model.onnx", pixels)
    said = model.answer(pixels, range(len(pixels)))
    tasks = list(model.router.tasks)
    assert {one.task for one in said} == {None, "discs", "sizes"}
    for i, one in enumerate(said):
        assert found["task"][i] == (-1 if one.unknown else tasks.index(one.task))
        assert found["distance"][i] == pytest.approx(one.distance, rel=1e-4)
        assert (found["class"][i] == -1) == (one.label is None)
    (mask,) = model.stream(pixels[:1], [0], given="discs")
    assert found["mask_discs"].shape[1:] == (2, SIDE, SIDE)
    assert found["mask_discs"].sum(1) == pytest.approx(1, abs=1e-5)
    assert ((found["mask_discs"][0].argmax(0) * 255) == mask.mask).mean() > 0.995, "but for ties"
    code = re.findall(r"```python\n(.*?)```", (tmp_path / "m" / "MODEL_CARD.md").read_text(), re.DOTALL)[-1]
    with Image.open(files[0]) as image:
        image.save(tmp_path / "m" / "image.png")
    monkeypatch.chdir(tmp_path / "m")
    exec(code, {})
    assert capsys.readouterr().out.split()[0] in ("unknown", *tasks)


def test_the_lines_on_the_card_work(tmp_path, monkeypatch, capsys):
    code = re.findall(r"```python\n(.*?)```", (bundle_dir() / "MODEL_CARD.md").read_text(), re.DOTALL)[-1]
    file = task("blobs").files()[task("blobs").rows("test")[0]]
    with Image.open(file) as image:
        image.save(tmp_path / "image.png")
    (tmp_path / "model.onnx").write_bytes((bundle_dir() / "model.onnx").read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    (said,) = bundle.load(bundle_dir(), CPU).predict(file)
    words = ["unknown"] if said.unknown else [said.task, said.label]
    assert capsys.readouterr().out.split()[: len(words)] == words


def test_names_are_in_the_metadata():
    about = onnxruntime.InferenceSession(bundle_dir() / "model.onnx").get_modelmeta().custom_metadata_map["pathsearch"]
    tasks = {name: list(task(name).classes) for name in TASKS}
    assert json.loads(about) == {"image_size": SIZE, "tasks": tasks, "routed": list(TASKS)}


def test_without_the_packages_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with refused("--onnx: expected the packages onnx and onnxscript, got none; pip install 'pathsearch\\[onnx\\]'"):
        bundle.write([finished("blobs")], data_dir(), tmp_path / "out", Silent(), bundle.Extras(onnx=True))
    assert list(tmp_path.iterdir()) == []
