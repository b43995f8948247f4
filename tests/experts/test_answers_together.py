"""Experts of one folder answer together: one territory, one answer, each expert its own part of it."""

from __future__ import annotations

import csv
import functools
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_world import pathsearch
from dense_bundles import dense_runs, images
from dense_world import SIDE, dense_data, train
from page_checks import faults
from PIL import Image
from small_world import CPU, copied, refused, scratch

import pathsearch as package
from data_prep.table_words import by_folder
from pathsearch.encoders.views import load_images
from pathsearch.experts import bundle
from pathsearch.experts.answer_files import NamedFiles
from pathsearch.experts.joint import joint_evaluate
from pathsearch.experts.model import Model
from pathsearch.experts.predict import Predictor
from pathsearch.experts.router import Territory
from pathsearch.run.place import Place
from pathsearch.run.runs import Run, newest_finished
from pathsearch.run.teller import Silent
from pathsearch.targets.decoded import Area, Decoded, together

FOLDER, CLASS = "discs", "discs:class"


@functools.cache
def runs() -> dict[str, Run]:
    """Of masks and classes of the same discs, and of the classes of other discs."""
    folder = scratch() / "together-runs"
    done = train(folder, task=CLASS)
    assert done.code == 0, done
    return {FOLDER: dense_runs()[FOLDER], "sizes": dense_runs()["sizes"], CLASS: Run(folder / "discs-class-random-s0")}


@functools.cache
def together_bundle() -> Path:
    out = scratch() / "together-bundle"
    bundle.write(list(runs().values()), dense_data(), out, Silent())
    return out


@functools.cache
def predictor() -> Predictor:
    return package.load(together_bundle())


@functools.cache
def report() -> str:
    found = joint_evaluate(list(runs().values()), dense_data(), Place(dense_data() / "features", CPU), 0)
    return json.dumps(found, allow_nan=False)


# --- one answer -----------------------------------------------------------------------------------------------------


def test_tasks_by_folder():
    assert by_folder(["b:class", "a", "b", "a:box"]) == {"b": ["b:class", "b"], "a": ["a", "a:box"]}


def test_parts_of_an_answer_by_hand():
    mask = np.zeros((2, 2), np.uint8)
    parts = [Decoded("no", 0.0, {"no": 0.0}), Decoded(mask=mask, areas={"a": Area(0, 0.0)}), Decoded(box=(0, 0, 1, 1))]
    one = together(parts)
    assert (one.label, one.probability, one.probabilities) == ("no", 0.0, {"no": 0.0})
    assert one.mask is mask
    assert (one.areas, one.box, one.image) == ({"a": (0, 0.0)}, (0, 0, 1, 1), None)


def test_the_router_has_one_territory():
    model = predictor().model
    assert list(model.experts) == [FOLDER, "sizes", CLASS]
    assert list(model.router.tasks) == [FOLDER, "sizes"]
    own = Territory.load(runs()[FOLDER].router_file)
    assert torch.equal(model.router.territories[FOLDER].means, own.means), "that of the first run"
    index = json.loads((together_bundle() / bundle.INDEX).read_text())
    assert {task: entry["router"] for task, entry in index["tasks"].items()} == {
        FOLDER: "routers/discs.safetensors",
        "sizes": "routers/sizes.safetensors",
        CLASS: "routers/discs.safetensors",
    }


def test_one_answer_is_that_of_each_expert():
    files = images(FOLDER)
    both = predictor().predict(files, task=FOLDER)
    model = predictor().model
    for name in (FOLDER, CLASS):
        router = type(model.router)({FOLDER: model.router.territories[FOLDER]})
        levels = {FOLDER: model.levels[FOLDER]} if name == FOLDER else {}
        alone = Predictor(Model(model.encoder, {name: model.experts[name]}, router, levels), predictor().preparation)
        for one, all_of_it in zip(alone.predict(files, task=FOLDER), both, strict=True):
            assert (one.task, one.distance, one.unknown) == (FOLDER, all_of_it.distance, all_of_it.unknown)
            if name == CLASS:
                assert (one.label, one.probabilities) == (all_of_it.label, all_of_it.probabilities)
                assert all_of_it.probability == one.probability
            else:
                assert np.array_equal(one.mask, all_of_it.mask)
                assert one.areas == all_of_it.areas
    assert all(one.label in ("small", "large") and set(np.unique(one.mask)) <= {0, 255} for one in both)


def test_routed_images_are_answered_by_all_experts_of_their_folder():
    routed = predictor().predict([*images(FOLDER), *images("sizes")])
    assert {one.task for one in routed} <= {None, FOLDER, "sizes"}
    assert any(one.task == FOLDER for one in routed)
    for one in routed:
        assert (one.label is not None) == (one.task is not None)
        assert (one.mask is not None) == (one.task == FOLDER)


def test_a_task_is_asked_for_by_its_folder():
    with refused("^task: expected one of discs, sizes, got 'discs:class'; did you mean discs\\?$"):
        predictor().predict([], task=CLASS)
    with refused("got 'discs:segmentation'; did you mean discs\\?$"):
        predictor().predict([], task="discs:segmentation")


def test_a_bundle_whose_index_names_a_router_file_for_each_is_read(tmp_path):
    """As the first ones did that had two experts of a folder."""
    mine = tmp_path / "mine"
    shutil.copytree(together_bundle(), mine)
    shutil.copy(runs()[CLASS].router_file, mine / "routers" / "discs-class.safetensors")
    index = json.loads((mine / bundle.INDEX).read_text())
    index["tasks"][CLASS]["router"] = "routers/discs-class.safetensors"
    index["files"]["routers/discs-class.safetensors"] = bundle.file_sha256(runs()[CLASS].router_file)
    index[bundle.OWN] = bundle._own_digest(index)
    (mine / bundle.INDEX).write_text(json.dumps(index))
    found = bundle.load(mine, CPU).predict(images(FOLDER)[:2])
    assert found == predictor().predict(images(FOLDER)[:2])


# --- what does not go together --------------------------------------------------------------------------------------


def test_two_experts_of_one_form_are_refused():
    model = predictor().model
    experts = {FOLDER: model.experts[FOLDER], "discs:outline": model.experts[FOLDER]}
    with refused(
        "^task discs: expected experts that answer in different forms, got discs with mask and discs:outline with "
        "mask; leave one out$"
    ):
        replace(model, experts=experts)


def test_runs_on_other_images_are_refused(tmp_path):
    run = copied(runs()[CLASS], tmp_path)
    config = json.loads(run.config_file.read_text())
    run.config_file.write_text(json.dumps({**config, "data": "0" * 16 + "-" + "1" * 16}))
    run.seal()
    with refused("^run discs-class-random-s0: expected the images and splits of discs-random-s0, .* got others"):
        Model.of([runs()[FOLDER], run], CPU)


def test_files_of_one_name_are_refused(tmp_path):
    task = bundle.load_task(dense_data(), CLASS)
    target = predictor().model.experts[CLASS].target
    bundle._put(runs()[CLASS], task, target, tmp_path)
    with refused("expected a task whose file has a name of its own, got discs-class and another whose expert is "):
        bundle._put(runs()[CLASS], replace(task, name="discs-class"), target, tmp_path)


# --- as commands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_row_has_all_of_it(tmp_path, kind):
    files, out, why = images(FOLDER)[:2], tmp_path / "out", tmp_path / "why"
    given = [together_bundle(), *files, "--task", FOLDER, "--format", kind]
    done = pathsearch("predict", *given, "--out", out, "--explain", why)
    assert done.code == 0, done
    assert "2 discs, 0 sizes, 0 unknown" in done.err
    text = (out / f"answers.{kind}").read_text()
    rows = list(csv.DictReader(io.StringIO(text))) if kind == "csv" else [*map(json.loads, text.splitlines())]
    for row, answer in zip(rows, predictor().predict(files, task=FOLDER), strict=True):
        name = Path(row["file"]).name
        assert (row["task"], row["class"], row["error"] or "") == (FOLDER, answer.label, "")
        assert float(row["probability"]) == pytest.approx(answer.probability, rel=1e-5)
        assert float(row["disc_share"]) == pytest.approx(answer.areas["disc"].share, rel=1e-5)
        with Image.open(row["mask"]) as mask:
            assert np.array_equal(np.array(mask), answer.mask)
        assert (Path(row["heat_map"]), Path(row["overlay"])) == (why / f"{name}.heat.png", why / f"{name}.overlay.png")
        assert Path(row["heat_map"]).is_file()
        assert Path(row["overlay"]).is_file()


def test_files_about_one_image_have_one_name():
    names = NamedFiles(Path("out"))
    made = [names.file(Path(f"{folder}/1.png"), end) for folder in "ab" for end in (".mask.png", ".image.png")]
    assert [file.name for file in made] == [
        "1.png.mask.png",
        "1.png.image.png",
        "1.png~1.mask.png",
        "1.png~1.image.png",
    ]
    assert names.file(Path("a/1.png"), ".mask.png").name == "1.png~2.mask.png", "named twice"


@pytest.mark.parametrize("folder", [Path("out"), None])
def test_files_about_one_answer_have_one_name_whoever_else_answers(folder):
    pictures = NamedFiles(folder)
    over = NamedFiles(folder, pictures)
    boxed = over.file(Path("a/1.png"), ".overlay.png", "cells")  # a box has no picture of its own
    masked = [
        names.file(Path("a/1.png"), end, "lungs") for names, end in ((pictures, ".mask.png"), (over, ".overlay.png"))
    ]
    assert boxed.name == "1.png.overlay.png"
    assert [file.name for file in masked] == ["1.png~1.mask.png", "1.png~1.overlay.png"]


def test_the_card_says_who_answers_together():
    card = (together_bundle() / "MODEL_CARD.md").read_text()
    assert card.startswith("# Model card: discs, sizes\n")
    for words in (
        "one expert a task, of which discs and discs:class answer together",
        "| discs | background 0, disc 255 |",
        "| discs:class | small, large |",
    ):
        assert words in card
    assert card.count("\n**discs.** ") == 1, "the data are described once"


def test_as_one_graph(tmp_path, monkeypatch, capsys):
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install '.[onnx]'")
    out = tmp_path / "m"
    bundle.write(list(runs().values()), dense_data(), out, Silent(), bundle.Extras(onnx=True))
    session = onnxruntime.InferenceSession(out / "model.onnx")
    names = [one.name for one in session.get_outputs()]
    assert names == ["task", "class", "distance", "mask_discs", "probabilities_sizes", "probabilities_discs"]
    about = json.loads(session.get_modelmeta().custom_metadata_map["pathsearch"])
    assert (list(about["tasks"]), about["routed"]) == ([FOLDER, "sizes", CLASS], [FOLDER, "sizes"])
    assert about["targets"] == {FOLDER: "mask"}
    files = [*images(FOLDER, "test"), *images("sizes", "test")]  # the farthest validation image lies on the threshold
    pixels = load_images(files, SIDE)
    found = dict(zip(names, session.run(None, {"images": pixels.float().numpy()}), strict=True))
    model = predictor().model
    for i, one in enumerate(model.answer(pixels, files)):
        assert found["task"][i] == (-1 if one.unknown else list(model.router.tasks).index(one.task))
        if not one.unknown:
            assert found[f"probabilities_{one.task}"][i] == pytest.approx(list(one.probabilities.values()), abs=2e-3)
            assert list(one.probabilities)[found["class"][i]] == one.label
        if one.mask is not None:
            assert ((found["mask_discs"][i].argmax(0) * 255) == one.mask).mean() > 0.99
    shutil.copy(files[0], out / "image.png")
    monkeypatch.chdir(out)
    code = (out / "MODEL_CARD.md").read_text().rpartition("```python\n")[2].partition("```")[0]
    exec(code, {})
    assert capsys.readouterr().out.split()[0] in ("unknown", *model.router.tasks)


# --- the joint evaluation -------------------------------------------------------------------------------------------


def test_images_of_a_folder_are_in_the_stream_once():
    found = json.loads(report())
    assert list(found["tasks"]) == [FOLDER, "sizes", CLASS]
    routing, n = found["routing"], {name: row["routed"]["n"] for name, row in found["tasks"].items()}
    assert routing["tasks"] == [FOLDER, "sizes"]
    assert n[FOLDER] == n[CLASS]
    assert routing["n"] == n[FOLDER] + n["sizes"]
    assert np.sum(routing["confusion"], 1).tolist() == [n[FOLDER], n["sizes"]]
    assert found["overall"]["n"] == n["sizes"] + n[CLASS]
    assert found["confusion"]["columns"][-1] == "unknown", "every folder says a class"
    for key in ("thresholds", "calibration"):
        assert list(found[key]) == [FOLDER, "sizes"]
    for key in ("runs", "splits", "data", "sha256"):
        assert list(found[key]) == [FOLDER, "sizes", CLASS]


def test_each_expert_has_its_own_numbers():
    found = json.loads(report())["tasks"]
    for name in (FOLDER, CLASS):
        own, row = runs()[name].report()["test"], found[name]
        measure = (lambda part: part["mask"]["dice"]) if name == FOLDER else (lambda part: part["accuracy"])
        assert measure(row["oracle"]) == pytest.approx(measure(own), abs=1e-6)
        assert row["routed"]["unknown"] == found[FOLDER]["routed"]["unknown"]


def test_routed_counts_what_predict_answers():
    found = json.loads(report())
    answers = predictor().predict(images(FOLDER, "test"))
    row = found["routing"]["confusion"][0]
    counted = [sum(one.task == name for one in answers) for name in (FOLDER, "sizes", None)]
    assert row == counted


def test_joint_eval_as_a_command(tmp_path):
    for run in runs().values():
        copied(run, tmp_path)
    found, left_out = newest_finished(tmp_path)
    assert [run.name for run in found] == ["discs-random-s0", "discs-class-random-s0", "sizes-random-s0"]
    assert left_out == {}
    where = ["--data-dir", dense_data(), "--runs-dir", tmp_path]
    done = pathsearch("joint-eval", *where)
    assert done.code == 0, done
    (folder,) = tmp_path.glob("joint-*")
    assert folder.name.startswith("joint-discs+discs-class+sizes-")
    assert {"joint_accuracy.png", "routing.png", "rejection.png", "confusion_joint.png"} <= {
        file.name for file in folder.iterdir()
    }
    page = (folder / "report.html").read_text()
    assert faults(page) == []
    assert "<h3>discs and discs:class</h3>" in page, "the data are shown once"
    bundle.write(found, dense_data(), tmp_path / "m", Silent())
    assert "**All test images mixed**" in (tmp_path / "m" / "MODEL_CARD.md").read_text()
