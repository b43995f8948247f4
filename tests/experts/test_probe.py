"""The linear probe as a finalist: a path without a layer, which becomes the expert where nothing smaller is as good."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from command_world import pathsearch
from hypothesis import given
from hypothesis import strategies as st
from page_checks import Page
from small_world import (
    CPU,
    data_dir,
    encoder,
    evolve,
    finished,
    options,
    outcome,
    place,
    prepare,
    refused,
    registered,
    settings,
    task,
)

from data_prep.whole_files import write_json
from pathsearch.encoders.features import encode
from pathsearch.experts.bundle import load
from pathsearch.experts.expert import Expert
from pathsearch.experts.explain import heat_map
from pathsearch.grid.path import PROBE, Space
from pathsearch.grid.path import Path as ModulePath
from pathsearch.reports import figures
from pathsearch.reports.page_statistics import statistics
from pathsearch.reports.page_tables import results
from pathsearch.reports.report_page import write_page
from pathsearch.run.runs import Run
from pathsearch.search.choice import Ballot
from pathsearch.training.bench import Bench
from pathsearch.training.folds import ENOUGH, choice_folds

FOLDED = {"probe": True, "choice_folds": None}  # as users have it


@pytest.fixture(scope="module")
def probed(tmp_path_factory) -> Run:
    """A run whose expert is the probe, with figures and page."""
    folder = tmp_path_factory.mktemp("probed")
    run, report = evolve(folder / "run", settings("stripes", **FOLDED))
    assert report["path"] == "probe", "the small world has changed: here the probe was better than all paths"
    return run


@pytest.fixture(scope="module")
def whole() -> Bench:
    return bench(**FOLDED)


def bench(**changes: object) -> Bench:
    of = settings("stripes", **changes)
    features = encode(task("stripes"), encoder(), data_dir() / "features")
    return Bench.of(of, encoder(), features, place())


# --- the path -------------------------------------------------------------------------------------------------------


def test_it_is_printed_read_back_and_in_every_space():
    assert (str(PROBE), ModulePath.parse("probe")) == ("probe", PROBE)
    assert ModulePath.parse("probe@0.002,3,0.5").is_probe
    for space in (Space(1, 1, 1), Space(3, 10, 3), Space(2, 4, 2, recipes=True)):
        assert space.check(PROBE) is PROBE
    assert not ModulePath.parse("0|1").is_probe
    for text in ("", "Probe", "probe|0", "0|probe", "probe@"):
        with refused("^(path|recipe): expected"):
            ModulePath.parse(text)


@given(st.integers(1, 5))
def test_it_has_no_module_in_any_layer(n_layers):
    assert PROBE.over(n_layers) == ((),) * n_layers
    assert ModulePath.of([[0]] * n_layers).over(n_layers) == ((0,),) * n_layers


def test_a_grid_does_not_count_what_is_not_its_own():
    with pytest.raises(ValueError, match="zip"):
        bench().grid().count_parameters(PROBE, "stripes")


# --- the choice -----------------------------------------------------------------------------------------------------


def test_the_parts_hold_every_image_once_and_train_on_none_of_theirs():
    of = bench(**FOLDED)
    parts = choice_folds(of).parts
    assert len(parts) == 3
    rows = [part.validation.rows[0].tolist() for part in parts]
    whole = [*of.training.rows[0].tolist(), *of.validation.rows[0].tolist()]
    assert sorted(row for part in rows for row in part) == sorted(whole)
    for part in parts:
        assert not set(part.training.rows[0].tolist()) & set(part.validation.rows[0].tolist())
    assert len({part.seed for part in parts} | {of.seed}) == 4


def test_who_asks_for_one_part_or_has_enough_images_chooses_on_validation(monkeypatch):
    assert choice_folds(bench(choice_folds=1)) == ([], "")
    assert len(choice_folds(bench(choice_folds=2)).parts) == 2
    few = bench(**FOLDED)
    assert len(few.validation) < ENOUGH
    monkeypatch.setattr("pathsearch.training.folds.ENOUGH", len(few.validation))
    assert choice_folds(few) == ([], "")


def test_too_many_parts_are_refused_if_asked_for_and_else_left():
    tiny = bench()
    keep = np.concatenate([np.flatnonzero(tiny.training.truth.numpy() == k)[:1] for k in (0, 1)])
    one = np.flatnonzero(tiny.validation.truth.numpy() == 0)[:1]
    tiny = tiny.on(tiny.training.only(keep), tiny.validation.only(one))
    why = "3 parts are too many: class number 0 has 2 images"
    left = tiny.trained_by(settings("stripes", **FOLDED).training)
    assert choice_folds(left) == ([], why)
    assert Ballot.of(left).why == why
    with refused("^training.choice_folds: 3 are too many: class number 0 has 2 images; .* training.choice_folds=1"):
        choice_folds(tiny.trained_by(settings("stripes", choice_folds=3).training))


def of_groups(train: Sequence[str], validation: Sequence[str], **changes: object) -> Bench:
    """Of a task whose images, whatever their class, are of these groups in turn."""
    whole = bench(**changes)
    pairs = zip((whole.training, whole.validation), (train, validation), strict=True)
    return whole.on(*(replace(one, groups=np.resize(np.array(names), len(one))) for one, names in pairs))


@pytest.mark.parametrize(
    ("train", "validation", "why"),
    [
        ("a", "a", ""),  # in both: the task's own split divides groups, and so do the parts
        ("a", "b", "3 parts are too many: the images have 2 groups"),
        ("ab", "c", ""),
    ],
)
def test_a_task_of_few_groups_is_chosen_on_validation(train, validation, why):
    found = choice_folds(of_groups([*train], [*validation], **FOLDED))
    assert (len(found.parts), found.why) == (0 if why else 3, why)
    asked = of_groups([*train], [*validation], choice_folds=3)
    if not why:
        assert len(choice_folds(asked).parts) == 3
        return
    with refused(
        "^training.choice_folds: 3 are too many: the images have 2 groups; choose fewer, or training.choice_folds=1$"
    ):
        choice_folds(asked)
    assert len(choice_folds(of_groups([*train], [*validation], choice_folds=2)).parts) == 2


@given(st.data())
def test_any_few_images_and_groups_are_cut_or_left_with_a_reason(whole, data):
    names = st.sampled_from(["a", "b", "c", "d", ""])
    some = []
    for split in (whole.training, whole.validation):
        rows = np.array(data.draw(st.lists(st.integers(0, len(split) - 1), min_size=1, max_size=9, unique=True)))
        groups = np.array(data.draw(st.lists(names, min_size=len(rows), max_size=len(rows))))
        some.append(replace(split.only(rows), groups=groups))
    of = whole.on(*some)
    parts, why = choice_folds(of)
    assert len(parts) == (0 if why else 3)
    assert sum(len(part.validation) for part in parts) == (0 if why else sum(map(len, some)))
    assert all(len(part.validation) for part in parts)


def test_a_ballot_says_what_it_stands_on_and_why(whole):
    n = len(whole.validation)
    few = Ballot(whole, (), "3 parts are too many: the images have 2 groups")
    assert few.in_words == f"{n} validation images (3 parts are too many: the images have 2 groups)"
    assert replace(few, why="").in_words == f"{n} validation images"
    folded = Ballot.of(whole).in_words
    assert folded.startswith(f"{n + len(whole.training)} training and validation images in 3 parts, each scored by")
    assert folded.endswith("trained on the others and stopped where that part was best")


def test_a_run_on_two_groups_is_chosen_on_validation_or_refused_and_leaves_nothing(tmp_path):
    """It was an unexpected ValueError, after which the same command was told to go on with --resume."""

    def two(table: pd.DataFrame) -> None:
        table["group"] = table["split"].map({"train": "a", "val": "b", "test": "c"})

    few = registered(prepare(tmp_path / "data", "blobs"), two)
    given = [*options(settings("blobs", generations=2, choice_folds=None)), "--run-name", "two"]
    where = ["--data-dir", tmp_path / "data", "--runs-dir", tmp_path / "runs"]
    bad = pathsearch("evolve", *given, *where, "--set", "training.choice_folds=3")
    assert bad.code == 2, bad
    last = bad.err.splitlines()[-1]
    assert last.startswith("error: training.choice_folds: 3 are too many: the images have 2 groups; choose fewer")
    assert not (tmp_path / "runs" / "two").exists()
    done = pathsearch("evolve", *given, *where)
    assert done.code == 0, done
    n = len(few.rows("val"))
    words = f"{n} validation images (3 parts are too many: the images have 2 groups)"
    assert Run(tmp_path / "runs" / "two").report()["choice"] == {"folds": 1, "images": n, "in_words": words}


def test_the_report_says_what_chose(probed):
    report = probed.report()
    n = len(bench().training) + len(bench().validation)
    assert (report["choice"]["folds"], report["choice"]["images"]) == (3, n)
    assert "3 parts" in report["choice"]["in_words"]
    assert report["refit"].endswith(
        "after the path was fixed by cross-validation over them, epochs and threshold on validation"
    )
    refit = finished("stripes").report()["refit"]
    assert refit.startswith("on training and validation images together along a cosine that ends at the best epoch, ")
    assert refit.endswith("after path, epochs and threshold were fixed on validation")
    rows = report["finalists"]
    assert [row["path"] for row in rows if row["chosen"]] == ["probe"]
    assert rows[0]["path"] == "probe"
    scores, errors = ([row[name] for row in rows] for name in ("score", "below_best_error"))
    near = [i for i, row in enumerate(rows) if max(scores) - scores[i] <= errors[i]]
    assert min(near, key=lambda i: rows[i]["parameters"]) == 0
    alone = finished("stripes").report()
    assert alone["choice"] == {**alone["choice"], "folds": 1, "images": alone["validation"]["n"]}


def test_expert_and_baseline_are_one_network_and_the_verdict_says_so(probed):
    report = probed.report()
    for rate in ("accuracy", "auc", "ci95"):
        assert report["test"][rate] == report["baselines"]["linear_probe"]["test"][rate]
    assert "The linear probe was chosen itself" in report["verdict"][0]
    assert not any("the linear probe:" in line for line in report["verdict"][1:])
    assert report["parameters"]["expert"] == report["baselines"]["linear_probe"]["parameters"]


# --- the expert -----------------------------------------------------------------------------------------------------


def test_the_expert_is_one_linear_layer_on_standardised_features(probed):
    expert = Expert.load(probed.expert_file)
    maps = bench().validation.raw(torch.arange(5))
    weight, bias = (tensor for name, tensor in sorted(expert.network.state_dict().items(), reverse=True))
    by_hand = expert.standardise(maps).flatten(1) @ weight.T + bias
    assert torch.allclose(expert.outputs(maps), by_hand, atol=1e-5)
    assert expert.n_parameters() == math.prod(maps.shape[1:]) * len(expert.facts.classes) + len(expert.facts.classes)
    assert expert.facts.shapes == [list(maps.shape[1:])]
    assert np.allclose(expert.probabilities(maps).sum(1), 1)


def test_the_same_run_again_is_the_same(probed, tmp_path):
    again, _ = evolve(tmp_path / "run", settings("stripes", **FOLDED))
    assert outcome(again) == outcome(probed)


def test_a_damaged_probe_is_refused(probed, tmp_path):
    raw = bytearray(probed.expert_file.read_bytes())
    at = raw.index(b"probe")
    raw[at : at + 5] = b"prebo"
    (tmp_path / "expert.safetensors").write_bytes(raw)
    with refused("path: expected a form like"):
        Expert.load(tmp_path / "expert.safetensors")


@pytest.mark.parametrize(
    "said",
    [
        {"specifications": [["skip-0"]]},
        {"wiring": {"places": [["features", [8]]], "layers": [], "head": "features"}},
        {"shapes": [[128, 2, 2], [16]]},
    ],
)
def test_facts_that_a_probe_cannot_have_are_refused(probed, tmp_path, said):
    whole = Expert.load(probed.expert_file)
    shapes = [whole.facts.shapes[0], *said.pop("shapes", [])[1:]]
    facts = replace(whole.facts, **{**said, "shapes": shapes})
    Expert(facts, whole.network.network, whole.standardise).save(tmp_path / "expert.safetensors")
    with refused("expected no module, .* with path probe, got .*; restore|weights do not fit its path .*; restore"):
        Expert.load(tmp_path / "expert.safetensors")


def test_it_is_drawn_told_and_explained(probed):
    card = json.loads(probed.path_file.read_text())
    assert (card["path"], card["layers"]) == ("probe", [[]] * len(card["modules"]))
    drawn = {file.stem for file in figures.plot_run(probed.folder)}
    assert {"path_on_grid", "finalists"} <= drawn
    page = write_page(probed.folder, data_dir()).read_text()
    assert "No module: it is the linear probe" in page
    assert "Cross-validated accuracy" in page


def test_one_network_has_one_row_and_is_not_tested_against_itself(probed):
    report = probed.report()
    folder = probed.folder
    figures.plot_run(folder)
    page = Page(write_page(folder, data_dir()).read_text())
    assert [row[0] for row in results(report).rows] == [
        *("evolved path, the linear probe", "full grid", "random paths (mean)")
    ]
    against = {title: {row[0] for row in table.rows} for title, _, table in statistics(report) if table}
    for title in ("Paired test against each baseline", "McNemar's test against each baseline"):
        assert "linear probe" not in against[title]
        assert "full grid" in against[title]
    svg = (folder / "baselines.svg").read_text(encoding="utf-8")
    assert "Evolved path, the linear probe" in svg
    assert ">Linear probe<" not in svg
    (alt,) = (one["alt"] for one in page.all("img") if str(one["alt"]).startswith("Test accuracy, n ="))
    assert str(alt).count("linear probe") == 1


def test_beside_a_given_probe_there_is_nothing(probed, tmp_path):
    report = probed.report() | {"given": "probe"}
    for key in ("baselines", "paired", "mcnemar"):
        report[key] = {"linear_probe": report[key]["linear_probe"]}
    assert [row[0] for row in results(report).rows] == ["given path, the linear probe"]
    assert not [title for title, *_ in statistics(report) if "baseline" in title]
    write_json(tmp_path / "report.json", report)
    assert figures.baselines(tmp_path / "report.json") is None


def test_a_grid_grown_from_it_is_a_fresh_one(probed):
    run, report = evolve(probed.folder.parent / "grown", settings("blobs", grown_from="run"))
    assert report["earlier_experts"][0]["logits_identical"]
    assert report["reuse"]["stripes"]["modules"] == 0
    assert not any(json.loads(run.path_file.read_text())["frozen"])
    assert {file.stem for file in figures.plot_run(run.folder)} >= {"paths"}
    alone = finished("blobs")
    assert report["path"] == alone.report()["path"]


def test_a_model_of_it_answers_and_explains(probed):
    done = pathsearch(
        "bundle", probed.folder.name, "--out", probed.folder.parent / "bundle",
        "--runs-dir", probed.folder.parent, "--data-dir", data_dir(),
    )  # fmt: skip
    assert done.code == 0, done
    card = (probed.folder.parent / "bundle" / "MODEL_CARD.md").read_text()
    assert ", a linear probe |" in card
    rows = [line for line in card.splitlines() if "linear probe |" in line and line.count("|") == 5 and "(" in line]
    assert [row.split(" | ")[0] for row in rows] == ["| this expert, the linear probe"], "one network, one row"
    model = load(probed.folder.parent / "bundle", CPU).model
    image = torch.zeros(3, 48, 48, dtype=torch.uint8) + torch.arange(48, dtype=torch.uint8)
    heat = heat_map(model, image, "stripes", task("stripes").classes[0])
    assert heat.shape == (48, 48)
    assert np.isfinite(heat).all()
