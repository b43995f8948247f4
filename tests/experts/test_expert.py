"""Experts: a file that rebuilds the same network bit for bit, and a network that nothing wakes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from small_world import encoder, finished, refused, task
from torch import nn

from pathsearch.encoders.split import Standardiser
from pathsearch.encoders.views import load_images
from pathsearch.experts.expert import Expert, ExpertFacts, file_sha256
from pathsearch.grid.grid import Grid, PathNetwork
from pathsearch.grid.path import Path as ModulePath
from pathsearch.run.settings import GridSettings

SHAPE = (6, 2, 2)


def make(threshold: float | None = None, path: str = "0+2|1|0+3", n_classes: int = 2) -> Expert:
    """An expert of random weights on a small grid."""
    grid = Grid(SHAPE, GridSettings(n_modules=4, width=8), seed=5)
    grid.add_head("t", "linear", (n_classes,))
    chosen = ModulePath.parse(path)
    facts = ExpertFacts(
        task="t",
        classes=[f"c{k}" for k in range(n_classes)],
        path=path,
        specifications=[[grid.specifications[n][i] for i in layer] for n, layer in enumerate(chosen.layers)],
        shapes=[list(shape) for shape in grid.shapes],
        encoder={"name": "vgg16", "image_size": 64},
        threshold=threshold,
        split="random",
        seed=5,
    )
    maps = np.random.default_rng(0).normal(2, 3, (50, *SHAPE)).astype(np.float16)
    return Expert(facts, grid.network(chosen, "t"), Standardiser.fit(maps, np.arange(50)))


def maps(n: int = 7) -> torch.Tensor:
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(3)).half()


# --- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["0|0|0", "0+2|1|0+3", "0+1+2+3|0+1+2+3|0+1+2+3"])
def test_save_and_load_give_the_same_logits_and_bytes(tmp_path, path):
    expert = make(path=path)
    sha = expert.save(tmp_path / "a.safetensors")
    loaded = Expert.load(tmp_path / "a.safetensors")
    assert loaded.facts == expert.facts
    assert torch.equal(loaded.outputs(maps()), expert.outputs(maps()))
    assert loaded.save(tmp_path / "b.safetensors") == sha == file_sha256(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert loaded.n_parameters() == expert.n_parameters()


def test_every_weight_counts_in_the_file(tmp_path):
    expert = make()
    before = expert.save(tmp_path / "a.safetensors")
    for parameter in expert.network.parameters():
        parameter.data.view(-1)[-1] += 1e-3
        after = expert.save(tmp_path / "a.safetensors")
        assert after != before
        before = after


def test_an_evolved_expert_needs_its_file_alone(tmp_path):
    run = finished("stripes")
    (tmp_path / "alone.safetensors").write_bytes(run.expert_file.read_bytes())
    expert = Expert.load(tmp_path / "alone.safetensors")
    assert expert.facts.classes == list(task("stripes").classes)
    assert expert.n_parameters() == run.report()["parameters"]["expert"]
    rows = task("stripes").rows("test")
    answers = expert.probabilities(encoder()(load_images([task("stripes").files()[row] for row in rows], 48)))
    right = (expert.classify(answers) == task("stripes").labels("test")).mean()
    assert right == pytest.approx(run.report()["test"]["accuracy"])


# --- frozen --------------------------------------------------------------------------------------------------------


def awake(network: nn.Module) -> bool:
    """Whether a parent's training mode reaches any part of `network`, or a step of an optimiser changes it."""
    parent = nn.ModuleList([network, nn.Linear(1, 1)])
    parent.train()
    before = [tensor.clone() for tensor in network.state_dict().values()]
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if learning:
        optimiser = torch.optim.AdamW(learning, lr=0.1)
        sum(parameter.sum() for parameter in learning).backward()
        optimiser.step()
    moved = any(not torch.equal(a, b) for a, b in zip(before, network.state_dict().values(), strict=True))
    return moved or any(part.training for part in network.modules() if part is not network)


def test_nothing_wakes_an_expert():
    expert = make()
    first = expert.outputs(maps())
    assert not awake(expert)
    assert torch.equal(expert.outputs(maps()), first)


def test_awake_sees_a_network_that_is():
    grid = Grid(SHAPE, GridSettings(n_modules=4, width=8), seed=5)
    grid.add_head("t", "linear", (2,))
    assert awake(grid.network(ModulePath.parse("0|1|2"), "t"))


def test_a_loaded_expert_is_frozen_too(tmp_path):
    make().save(tmp_path / "a.safetensors")
    assert not awake(Expert.load(tmp_path / "a.safetensors"))


# --- answers -------------------------------------------------------------------------------------------------------


def test_probabilities_are_the_softmax_of_the_standardised_path():
    expert = make(n_classes=3)
    network: PathNetwork = expert.network.network  # type: ignore[assignment]
    with torch.no_grad():
        expected = network(expert.standardise(maps())).double().softmax(1).numpy()
    found = expert.probabilities(maps())
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(found.sum(1), 1)


def test_the_threshold_decides():
    # The second class is answered from its threshold on: 0.3 ≥ 0.3, though the first class is more probable.
    rows = np.array([[0.8, 0.2], [0.7, 0.3], [0.1, 0.9]])
    assert make(threshold=0.3).classify(rows).tolist() == [0, 1, 1]
    assert make(threshold=None).classify(rows).tolist() == [0, 0, 1]


def test_features_of_another_shape_are_refused():
    with refused(
        r"expert t: expected feature maps \(6, 2, 2\), got \(6, 3, 3\); encode with vgg16 at 64 px",
    ):
        make().outputs(torch.zeros(2, 6, 3, 3))


# --- damaged and foreign files -------------------------------------------------------------------------------------


def rewrite(file: Path, change) -> None:
    """Change the tensors or the metadata of a safetensors file."""
    with safe_open(file, "pt") as opened:
        note = json.loads(opened.metadata()["pathsearch"])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    note = change(note, tensors) or note
    save_file(tensors, file, metadata={"pathsearch": note if isinstance(note, str) else json.dumps(note)})


@pytest.fixture
def file(tmp_path) -> Path:
    make().save(tmp_path / "expert.safetensors")
    return tmp_path / "expert.safetensors"


def test_rewrite_alone_does_no_harm(file):
    rewrite(file, lambda note, tensors: None)
    assert torch.equal(Expert.load(file).outputs(maps()), make().outputs(maps()))


def test_a_missing_file_asks_whether_the_run_has_finished(tmp_path):
    with refused("no such file; has its run finished"):
        Expert.load(tmp_path / "none.safetensors")


def test_a_damaged_file_is_not_readable(file):
    content = file.read_bytes()
    for damaged in (b"", b"not tensors", content[:50], content[:-1], b"\xff" * 8 + content[8:]):
        file.write_bytes(damaged)
        with refused("expert .*: cannot be read"):
            Expert.load(file)


def test_a_folder_is_no_expert(tmp_path):
    with refused("expert .*: cannot be read"):
        Expert.load(tmp_path)


@pytest.mark.parametrize(
    "note", [{"format": 2}, {"format": 1}, {}, "[1]", "no json", {"format": 1, "wings": 2}], ids=str
)
def test_another_format_is_named(file, note):
    rewrite(file, lambda old, tensors: note if isinstance(note, str) else {**note, "x": 1})
    with refused("expected an expert file of format 1; it says"):
        Expert.load(file)


def test_a_foreign_file_of_tensors_is_refused(tmp_path):
    save_file({"w": torch.zeros(2)}, tmp_path / "w.safetensors")
    with refused("expected an expert file of format 1; it says None"):
        Expert.load(tmp_path / "w.safetensors")


def drop(name):
    def change(note, tensors):
        del tensors[name]

    return change


@pytest.mark.parametrize("name", ["standardise.mean", "head.1.weight", "layers.0.0.2.weight"])
def test_a_missing_tensor_is_named(file, name):
    rewrite(file, drop(name))
    with refused(f"weights do not fit its path .*{name}"):
        Expert.load(file)


def test_other_weights_than_the_paths_are_refused(file):
    rewrite(file, lambda note, tensors: {**note, "classes": ["a", "b", "c"]})
    with refused("weights do not fit its path .*head"):
        Expert.load(file)


def test_nonsense_facts_are_refused(file):
    rewrite(file, lambda note, tensors: {**note, "path": "0-2"})
    with refused("path: expected a form like"):
        Expert.load(file)
    make().save(file)
    rewrite(file, lambda note, tensors: {**note, "specifications": [["wave-3", "pool"], ["skip"], ["skip", "skip"]]})
    with refused("expected a registered name, got 'wave'"):
        Expert.load(file)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classes": "ab"}, "field classes: expected a list"),
        ({"encoder": None}, "field encoder: expected an object"),
        ({"shapes": 3}, "field shapes: expected a list"),
        ({"shapes": []}, "weights do not fit its path"),
        ({"shapes": [[6, 2, 2]]}, "weights do not fit its path"),
        ({"specifications": [[3]]}, "weights do not fit its path"),
        ({"threshold": "high"}, "field threshold: expected a number or null"),
        ({"seed": []}, "field seed: expected a whole number"),
        ({"path": 3}, "field path: expected a text"),
    ],
    ids=str,
)
def test_facts_of_another_form_are_one_line(file, change, said):
    rewrite(file, lambda note, tensors: {**note, **change})
    with refused(f"{said}"):
        Expert.load(file)


def test_a_standardiser_of_another_shape_is_refused(file):
    rewrite(file, lambda note, tensors: tensors.update({"standardise.std": torch.ones(6)}))
    with refused("weights do not fit its path .*standardise is of another shape"):
        Expert.load(file)


def test_a_failed_write_leaves_the_old_file(file, monkeypatch):
    before = file.read_bytes()

    def full(part: Path, content: bytes) -> None:
        with part.open("wb") as stream:
            stream.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    changed = make()
    changed.facts = replace(changed.facts, seed=6)
    with pytest.raises(OSError, match="No space left"):
        changed.save(file)
    assert file.read_bytes() == before
    assert [one.name for one in file.parent.iterdir()] == [file.name]
