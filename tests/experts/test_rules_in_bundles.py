"""Rules in bundles: what answers, rows and the card say, as a command, and after tampering."""

from __future__ import annotations

import csv
import functools
import io
import json
import shutil
from pathlib import Path

import pytest
from command_world import pathsearch
from dense_bundles import dense_bundle, dense_runs, images
from dense_world import dense_data
from small_world import CPU, copied, refused, scratch

import pathsearch as package
from pathsearch.experts import bundle
from pathsearch.experts.predict import Predictor
from pathsearch.run.teller import Silent

RULES = ("broad = disc_share > 0.1", "'=odd one' = sizes is large and distance of discs < 1e9")


@functools.cache
def ruled_bundle() -> Path:
    out = scratch() / "ruled-bundle"
    index = bundle.write(list(dense_runs().values()), dense_data(), out, Silent(), bundle.Extras(rules=RULES))
    assert index["rules"] == list(RULES)
    return out


@functools.cache
def predictor() -> Predictor:
    return package.load(ruled_bundle())


def test_answers_carry_what_rules_say():
    file = images("discs")[0]
    (disc,) = predictor().predict(file, task="discs")
    assert disc.derived == {"broad": disc.areas["disc"].share > 0.1, "=odd one": None}
    assert predictor().predict(file, task=["discs"]) == [disc]
    (plain,) = package.load(dense_bundle()).predict(file, task="discs")
    assert plain.derived == {}


def test_several_tasks_answer_the_same_images():
    files = images("discs")[:3]
    both = predictor().predict(files, task=["discs", "sizes", "discs"])
    assert [(one.source, one.task) for one in both] == [(str(f), task) for f in files for task in ("discs", "sizes")]
    discs, sizes = (predictor().predict(files, task=task) for task in ("discs", "sizes"))
    for i, (disc, size) in enumerate(zip(both[::2], both[1::2], strict=True)):
        assert (
            disc.derived
            == size.derived
            == {
                "broad": disc.areas["disc"].share > 0.1,
                "=odd one": size.label == "large",
            }
        )
        assert (disc.areas, disc.distance) == (discs[i].areas, discs[i].distance)
        assert (size.label, size.distance) == (sizes[i].label, sizes[i].distance)
    with refused("^task: expected one of discs, sizes, got 'size'; did you mean sizes\\?$"):
        predictor().predict(files, task=["discs", "size"])


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_rows_have_a_column_for_each(tmp_path, kind):
    files = [images("discs")[0], tmp_path / "broken.png"]
    files[1].write_bytes(b"no image")
    given = [ruled_bundle(), *files, "--task", "discs", "--task", "sizes", "--format", kind]
    done = pathsearch("predict", *given)
    assert done.code == 2, "one image does not decode"
    assert "2 images: 1 discs, 1 sizes, 0 unknown, 1 failed" in done.err
    disc, size = predictor().predict(files[0], task=["discs", "sizes"])
    if kind == "csv":
        rows = list(csv.DictReader(io.StringIO(done.out)))
        assert list(rows[0])[-3:] == ["broad", "'=odd one", "error"]
        told = [(row["broad"], row["'=odd one"]) for row in rows]
        expected = tuple(str(one).lower() for one in disc.derived.values())
        assert told == [expected, expected, ("", "")]
        return
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["task"] for row in rows] == ["discs", "sizes", None]
    assert [{name: row.get(name) for name in disc.derived} for row in rows[:2]] == [disc.derived, size.derived]
    assert "broad" not in rows[2]


def test_the_card_has_the_rules():
    card = (ruled_bundle() / "MODEL_CARD.md").read_text()
    for rule in RULES:
        assert f"* `{rule}`" in card
    assert "## Answers by rule" in card
    assert "## Answers by rule" not in (dense_bundle() / "MODEL_CARD.md").read_text()
    assert "rules" not in json.loads((dense_bundle() / bundle.INDEX).read_text()), "of none nothing is said"


def test_as_a_command(tmp_path):
    runs = {name: copied(run, tmp_path) for name, run in dense_runs().items()}
    where = ["--data-dir", dense_data(), "--runs-dir", tmp_path]
    names = [run.name for run in runs.values()]
    done = pathsearch("bundle", *names, "--out", tmp_path / "m", "--rule", RULES[0], "--rule", RULES[1], *where)
    assert done.code == 0, done
    assert f"rule {RULES[0]}" in done.out
    wrong = pathsearch("bundle", *names, "--out", tmp_path / "n", "--rule", "wide = sizes is lage", *where)
    assert wrong.code == 2
    assert wrong.err == "error: --rule wide: expected a class of sizes, got 'lage'; did you mean large?\n"
    assert not (tmp_path / "n").exists()


@pytest.mark.parametrize("rules", [["broad = gone > 1"], "broad", [None], 7, {"a": 1}, None])
def test_rules_that_were_changed_are_refused(tmp_path, rules):
    mine = tmp_path / "mine"
    shutil.copytree(ruled_bundle(), mine)
    index = json.loads((mine / bundle.INDEX).read_text())
    index["rules"] = rules
    (mine / bundle.INDEX).write_text(json.dumps(index))
    with refused("bundle.json differs from its own digest"):
        bundle.load(mine, CPU)
    index[bundle.OWN] = bundle._own_digest(index)
    (mine / bundle.INDEX).write_text(json.dumps(index))
    with refused("^bundle .*(--rule|lacks or garbles)"):
        bundle.load(mine, CPU)
