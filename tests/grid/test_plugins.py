"""Module kinds of a user's own: named by the user, known by their digest, run for no other reason."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from command_world import pathsearch
from small_world import data_dir, evolve, finished, options, refused, settings, task
from torch import nn

import pathsearch as package
from pathsearch.experts.expert import Expert
from pathsearch.grid import modules, plugins, vocabulary
from pathsearch.grid.grid import Grid
from pathsearch.run.settings import GridSettings

MINE = """
from torch import nn
from pathsearch import modules, vocabulary

@modules.register("tanh")
def tanh(in_shape, out_shape, size):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_shape[0], size), nn.Tanh(), nn.Linear(size, out_shape[0]))

@vocabulary.register("mine")
def mine(n_layers):
    return [vocabulary.MIXED_FIRST, *[("tanh-8", "tanh-16")] * (n_layers - 1)]
"""


@pytest.fixture
def mine(tmp_path) -> Iterator[Path]:
    """The file of a plug-in; what it registers is forgotten after the test."""
    registries = (modules.KINDS, vocabulary.VOCABULARIES, plugins._loaded, plugins._origins, plugins._named)
    before = [dict(registry) for registry in registries]
    (tmp_path / "mine.py").write_text(MINE)
    yield tmp_path / "mine.py"
    for registry, known in zip(registries, before, strict=True):
        registry.clear()
        registry.update(known)


def test_from_a_file_to_a_prediction(tmp_path, mine):
    where = ["--data-dir", data_dir(), "--runs-dir", tmp_path / "runs"]
    small = [*options(settings("blobs", generations=2)), "--modules", "mine", "--run-name", "toy"]
    refused_first = pathsearch("evolve", *small, *where)
    assert refused_first.code == 2
    assert "blueprint: expected one of mixed, paper, ums-rep, unet; got 'mine'" in refused_first.err

    (tmp_path / "of.toml").write_text('[grid]\nmodules = "mien"\n')
    misspelt = pathsearch("evolve", *small[:-4], *where, "--plugin", mine, "--config", tmp_path / "of.toml")
    assert (
        f"error: {tmp_path / 'of.toml'}: grid.modules: expected one of mixed, paper, mine, ums-rep, unet; got 'mien'"
        in misspelt.err
    )
    assert "did you mean 'mine'?" in misspelt.err

    made = pathsearch("evolve", *small, *where, "--plugin", mine)
    assert made.code == 0, made
    config = json.loads((tmp_path / "runs" / "toy" / "config.json").read_text())
    (note,) = config["grid"]["plugins"]
    assert note.startswith("mine.py=")
    described = json.loads((tmp_path / "runs" / "toy" / "path.json").read_text())
    assert {kind for layer in described["modules"][1:] for kind in layer} == {"tanh-8", "tanh-16"}

    # what was made with it is refused without it, and with another file of its name
    other = tmp_path / "other" / "mine.py"
    other.parent.mkdir()
    other.write_text(MINE + "\n# changed")
    for command in (
        ("joint-eval", "toy", *where),
        ("bundle", "toy", *where, "--out", tmp_path / "model"),
        ("evolve", *options(settings("stripes")), *where, "--grid", "toy", "--modules", "mixed"),
    ):
        bare = pathsearch(*command)
        assert bare.code == 2, bare
        assert "expected the plug-in mine.py" in bare.err
        assert "add --plugin mine.py" in bare.err
    changed = pathsearch("joint-eval", "toy", *where, "--plugin", other)
    assert changed.code == 2
    assert "got " in changed.err
    assert "give the file as it was" in changed.err
    resumed = pathsearch("evolve", *small, *where, "--plugin", other, "--resume")
    assert resumed.code == 2
    assert "grid.plugins was" in resumed.err

    # with it everything goes on
    assert pathsearch("joint-eval", "toy", *where, "--plugin", mine).code == 0
    packed = pathsearch("bundle", "toy", *where, "--out", tmp_path / "model", "--plugin", mine)
    assert packed.code == 0, packed
    assert not list((tmp_path / "model").rglob("*.py")), "a bundle carries no code"
    image = task("blobs").files()[0]
    bare = pathsearch("predict", tmp_path / "model", image)
    assert (bare.code, bare.out) == (2, "")
    assert "expected the plug-in mine.py" in bare.err
    said = pathsearch("predict", tmp_path / "model", image, "--plugin", mine)
    assert said.code == 0, said
    assert said.out.count("\n") == 2
    with refused("expected the plug-in mine.py"):
        package.load(tmp_path / "model")
    (answer,) = package.load(tmp_path / "model", plugins=[mine]).predict(image)
    assert answer.task in ("blobs", None)


# --- loading --------------------------------------------------------------------------------------------------------


def entered() -> list[set[str]]:
    return [set(modules.KINDS), set(vocabulary.VOCABULARIES), set(plugins._loaded)]


def test_a_plugin_runs_once(mine):
    note = plugins.load_plugins([mine])
    assert plugins.load_plugins([str(mine), mine]) == note
    assert plugins.plugins_of(["tanh-8", "tanh-8@0:4", "gelu-16"]) == list(note)
    assert plugins.plugins_of(["gelu-16", "skip"]) == []
    plugins.check_plugins(note, "a bundle")


def test_the_bytes_that_are_hashed_are_run_and_nothing_is_left_beside_them(mine):
    plugins.load_plugins([mine])
    assert [file.name for file in mine.parent.iterdir()] == ["mine.py"], "no byte code"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "x = 1",
            "--plugin mine.py: it registers no module kind, no vocabulary, no blueprint, no target and no encoder",
        ),
        ("import nowhere_at_all", "--plugin mine.py: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("def f(:", "--plugin mine.py: SyntaxError"),
        ("from pathsearch import modules\nmodules.register('gelu')(1)", "module kind 'gelu' is registered twice"),
        ("from pathsearch import modules\nmodules.register('a-b')(1)", "expected a name without -, @ and :, got 'a-b'"),
        (MINE + "1 / 0", "--plugin mine.py: ZeroDivisionError: division by zero"),
    ],
)
def test_a_plugin_that_fails_enters_nothing(mine, monkeypatch, source, message):
    monkeypatch.chdir(mine.parent)
    mine.write_text(source)
    before = entered()
    with refused(message):
        plugins.load_plugins(["mine.py"])
    assert entered() == before


def test_another_file_of_the_same_name_is_refused(mine):
    plugins.load_plugins([mine])
    mine.write_text(MINE + "# changed")
    with refused(r"--plugin .*mine.py: expected the mine.py that is loaded .*, got another one .*; rename one"):
        plugins.load_plugins([mine])


def test_what_is_no_plugin_is_refused(tmp_path):
    with refused(r"--plugin .*none.py: No such file or directory; expected a Python file"):
        plugins.load_plugins([tmp_path / "none.py"])
    with refused(r"--plugin mine: expected a file ending in .py, or an installed plug-in .*did you mean mine.py\?"):
        plugins.load_plugins(["mine"])


@pytest.mark.parametrize("notes", [3, "mine.py=1", [1], {"a": "b"}])
def test_damaged_notes_are_one_line(notes):
    with refused("a bundle: plugins: expected a list of NAME=SHA-256"):
        plugins.check_plugins(notes, "a bundle")


def test_processes_beside_this_one_load_what_the_run_needs(mine, tmp_path, monkeypatch):
    """And nothing else that this process was told to load, such as a file that is gone since."""
    (tmp_path / "gone.py").write_text(MINE.replace("tanh", "sinh").replace('"mine"', '"theirs"'))
    plugins.load_plugins([tmp_path / "gone.py"])
    (tmp_path / "gone.py").unlink()
    of = settings("blobs", generations=1)
    of = replace(of, grid=replace(of.grid, modules="mine", plugins=plugins.load_plugins([mine])))
    alone, _ = evolve(tmp_path / "alone", of)
    monkeypatch.setattr("pathsearch.experts.trainings.processes_for", lambda *_: 2)
    beside, _ = evolve(tmp_path / "beside", of)
    assert beside.expert_file.read_bytes() == alone.expert_file.read_bytes()


def test_an_installed_plugin_is_named_by_its_entry_point(mine, tmp_path, monkeypatch):
    folder = tmp_path / "site" / "toy_plugin"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("from toy_plugin import kinds")
    (folder / "kinds.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path / "site")
    point = EntryPoint("toy", "toy_plugin", plugins.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == plugins.GROUP else [])
    (note,) = plugins.load_plugins(["toy"])
    assert note.startswith("toy=")
    assert plugins.plugins_of(["tanh-8"]) == [note]
    assert "toy_plugin.kinds" in sys.modules
    before = plugins._installed("toy")[1]
    (folder / "kinds.py").write_text(MINE + "# another version")
    assert plugins._installed("toy")[1] != before, "every file of the module counts"


# --- what a plug-in may get wrong ------------------------------------------------------------------------------------


def kind(monkeypatch, make) -> None:
    monkeypatch.setitem(modules.KINDS, "odd", make)


class Free(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * self.factor


class Drawn(Free):
    def draw(self, generator: torch.Generator) -> None:
        self.factor.uniform_(1, 2, generator=generator)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda i, o, s: nn.Linear(i[0], 3), r"module kind 'odd': expected an output of shape \(2, 6\) .*got \(2, 3\)"),
        (lambda i, o, s: nn.Linear(9, 6), "module kind 'odd': fails on an input of shape .*mat1 and mat2"),
        (lambda i, o, s: nn.BatchNorm1d(6), "no rule draws its parameter 'weight'"),
        (lambda i, o, s: nn.BatchNorm1d(6, affine=False), "expected no buffers, .*got running_mean"),
        (lambda i, o, s: Free(6), "module part Free: no rule draws its parameter 'factor'; give the class a method"),
    ],
)
def test_a_faulty_kind_is_named_before_a_search(monkeypatch, make, message):
    kind(monkeypatch, make)
    with refused(message):
        modules.build("odd-3", (6,), (6,), torch.Generator())


def test_a_part_may_draw_its_own_parameters(monkeypatch):
    kind(monkeypatch, lambda i, o, s: Drawn(6))
    first, again = (modules.build("odd", (6,), (6,), torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first.factor, again.factor)
    assert first.factor.min() >= 1
    assert len(set(first.factor.tolist())) == 6


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([["gelu-8"]], r"expected at least one module for each of 3 layers, got \[1\]"),
        ([["pool"], [], ["skip"]], r"got \[1, 0, 1\]"),
        ([["pool"], ["gulu-8"], ["skip"]], "expected KIND or KIND-SIZE of a registered kind, got 'gulu-8'"),
        ([["pool"], ["gelu-x"], ["skip"]], "got 'gelu-x'"),
    ],
)
def test_a_faulty_vocabulary_is_named(monkeypatch, layers, message):
    monkeypatch.setitem(vocabulary.VOCABULARIES, "odd", lambda n_layers: layers)
    with refused(f"vocabulary 'odd': .*{message}"):
        vocabulary.chain("odd", 3, 4, {"features": (8, 2, 2)}, 8)


def test_two_vocabularies_of_one_name_are_refused():
    with pytest.raises(ValueError, match="vocabulary 'mixed' is registered twice"):
        vocabulary.register("mixed")(list)


def test_an_expert_notes_only_the_plugins_on_its_path(mine):
    note = plugins.load_plugins([mine])
    grid = Grid((8, 2, 2), GridSettings(modules="mine", plugins=note), 0)
    assert grid.specifications[1][:2] == ["tanh-8", "tanh-16"]
    assert plugins.plugins_of(grid.specifications[0]) == []
    assert plugins.plugins_of(grid.specifications[1]) == list(note)
    assert Expert.load(finished("blobs").expert_file).facts.plugins == []


def test_only_a_file_that_the_user_names_is_run(mine, monkeypatch):
    """A bundle's or run's note is compared, never followed."""
    ran = []
    monkeypatch.setattr(plugins, "_load", ran.append)
    with refused("expected the plug-in"):
        plugins.check_plugins([f"{mine}=00"], "a bundle")
    assert not ran
