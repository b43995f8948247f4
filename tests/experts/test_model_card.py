"""The model card: data, split, numbers with intervals and limits, as the runs have them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bundles import TASKS, write, written
from markdown_it import MarkdownIt
from small_world import CPU, copied, data_dir, encoder, finished, place, task

from data_prep.manifest import Task, load_task
from data_prep.task_form import with_digest
from pathsearch.experts import joint
from pathsearch.experts.markdown import escaped
from pathsearch.experts.model import Model
from pathsearch.experts.model_card import card
from pathsearch.experts.pictures import Preparation


def test_the_card_has_data_split_numbers_and_limits():
    card = (written() / "MODEL_CARD.md").read_text()
    for name in TASKS:
        report = finished(name).report()
        low, high = report["test"]["ci95"]["accuracy"]
        assert task(name).info["source"] in " ".join(card.split())
        assert f"Licence: {escaped(task(name).info['licence'])}" in card
        assert escaped(report["split_in_words"]) in card
        assert f"{report['test']['accuracy']:.4f} ({low:.4f}, {high:.4f})" in card
        assert f"n = {report['test']['n']:,}" in card
        for line in report["verdict"]:
            assert escaped(line) in card
    for words in ("Not a medical device", "not calibrated", "linear probe", encoder().weights_sha256, "No joint eval"):
        assert words in card


def test_the_card_has_the_joint_numbers_if_they_are_of_these_runs(tmp_path):
    runs = [copied(finished(name), tmp_path / "runs") for name in TASKS]
    report = joint.joint_evaluate(runs, data_dir(), place(), 0)
    joint.save(report, tmp_path / "runs")
    write(tmp_path / "both", runs=runs)
    found = f"**All test images mixed**, n = {report['overall']['n']}: accuracy {report['overall']['accuracy']:.4f}"
    assert found in (tmp_path / "both" / "MODEL_CARD.md").read_text()
    write(tmp_path / "one", runs=runs[:1])
    assert "All test images mixed" not in (tmp_path / "one" / "MODEL_CARD.md").read_text()


def test_the_card_has_the_joint_numbers_of_its_own_router_only(tmp_path):
    runs = [copied(finished(name), tmp_path / "runs") for name in TASKS]

    def evaluated(rate: float) -> dict[str, Any]:
        report = joint.joint_evaluate(runs, data_dir(), place(), 0, rate)
        joint.save(report, tmp_path / "runs")
        return report

    evaluated(0.5)
    write(tmp_path / "first", runs=runs)
    assert "No joint evaluation of these runs" in (tmp_path / "first" / "MODEL_CARD.md").read_text()
    usual = evaluated(0.01)
    evaluated(0.5)
    write(tmp_path / "second", runs=runs)
    card = (tmp_path / "second" / "MODEL_CARD.md").read_text()
    assert f'({usual["routing"]["unknown_share"]:.1%}) answered "unknown"' in card


HOSTILE = (
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "a | b",
    "`</code><b>`",
    "<javascript:alert(1)>",
    "&lt;b&gt; <!-- x",
    "[a]: javascript:x",
)


def rendered(text: str) -> list[str]:
    """Kinds of whatever in a Markdown text is raw HTML, a link or an image."""
    reader = MarkdownIt("commonmark").enable("table")
    reader.validateLink = lambda address: True  # type: ignore[method-assign]  # not every reader is as careful
    blocks = reader.parse(text)
    tokens = [token for block in blocks for token in (block, *(block.children or []))]
    return [token.type for token in tokens if token.type in ("html_block", "html_inline", "link_open", "image")]


def test_rendered_sees_what_is_not_escaped():
    kinds = {kind for text in HOSTILE for kind in [*rendered(text), *rendered(f"x {text}")]}
    assert kinds == {"html_block", "html_inline", "link_open", "image"}


def hostile_task(data: Path, text: str) -> Task:
    """The stripes with this text wherever a person may have written one."""
    shutil.copytree(data_dir() / "stripes", data / "stripes")
    file = data / "stripes" / "task.json"
    info = json.loads(file.read_text())
    info |= {"source": text, "licence": text, "notes": [text], "options": {**info["options"], "note": text}}
    file.write_text(json.dumps(with_digest(info)))
    return load_task(data, "stripes")


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_a_card_is_markup_of_others(tmp_path, text):
    run = copied(finished("stripes"), tmp_path)
    report = run.report()
    names = {"flat": f"flat {text}"}
    recalls = {names.get(name, name): value for name, value in report["test"]["recall_per_class"].items()}
    report["test"]["recall_per_class"] = recalls
    report |= {"split_in_words": text, "split": text, "verdict": [text]}
    run.report_file.write_text(json.dumps(report))
    run.seal()
    model = Model.of([run], CPU)
    classes = [names.get(name, name) for name in model.experts["stripes"].facts.classes]
    model.experts["stripes"].facts = replace(model.experts["stripes"].facts, classes=classes)
    made = card(model, [run], [hostile_task(tmp_path / "data", text)], Preparation((48,), grey=True), onnx=True)
    assert rendered(made) == []
    assert "alert" not in text or "alert" in made, "what was written is shown"
