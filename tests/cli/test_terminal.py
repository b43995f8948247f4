"""What a person sees, and what a program reads."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from small_world import data_dir, finished, place, task
from written_reports import ENCODER

from pathsearch.cli import terminal
from pathsearch.cli.terminal import Terminal, rate
from pathsearch.experts import joint
from pathsearch.reports.page_other import other_parts


def test_results_go_to_standard_output(capsys):
    Terminal().say("hello")
    Terminal().emit({"a": 1})
    assert capsys.readouterr() == ("hello\n", "")


def test_with_json_only_the_object_does(capsys):
    shown = Terminal(as_json=True)
    shown.say("hello")
    shown.run_table(finished("blobs").report())
    shown.emit({"a": 0.1})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": 0.1}
    assert out.count("\n") == 1
    assert err.startswith("hello\n")
    assert "evolved path" in err


def test_json_has_no_nan():
    with pytest.raises(ValueError, match="not JSON compliant"):
        Terminal(as_json=True).emit({"a": float("nan")})


def test_lines_are_printed_as_they_are(capsys):
    line = "[bold]x[/bold] :warning: " + "long " * 60 + "C:\\data\\[1].png"
    Terminal().say(line)
    assert capsys.readouterr().out == line + "\n"


def test_run_table_stands_on_its_split_encoder_and_verdict(capsys):
    report = finished("blobs").report()
    Terminal().run_table(report)
    out = capsys.readouterr().out
    for part in (
        "blobs: squeezenet1_1, random (He, seed 0), 48 px, seed 0",
        "random stratified split",
        *report["verdict"],
    ):
        assert part in out
    for row in ("evolved path", "linear probe", "full grid", f"{report['parameters']['expert']:,}"):
        assert row in out
    assert f"{report['test']['accuracy']:.4f}" in out


def test_table_leaves_out_a_baseline_that_was_not_made(capsys):
    report = finished("blobs").report()
    report["baselines"]["random_path"] = {"parameters": None, "each": [], "test": {"n": 0}, "validation": {"n": 0}}
    Terminal().run_table(report)
    assert "random paths (mean)" not in capsys.readouterr().out


def counted() -> dict[str, Any]:
    """The report of a run that asks for a number, as far as its table and its page read it."""
    split = {"n": 9, "count": {"n": 9, "closeness": 0.5, "ci95": {"closeness": [0.25, 0.75]}}}
    one, none = {"validation": split, "test": split}, {"n": 0, "count": {"n": 0, "closeness": None}}
    return {
        **{"task": "cells", "split_in_words": "random", "measure": "closeness", "verdict": [], **one},
        "path": "0|1",
        "parameters": {"expert": 7, "share": 0.1},
        "encoder": {"name": "vgg16"},
        "baselines": {
            "linear_probe": {"parameters": 10, **one},
            "random_path": {"parameters": 12.0, **one},
            "full_grid": {"parameters": None, "validation": none, "test": none},
        },
    }


def test_another_target_has_the_same_names_in_its_table_and_no_row_that_was_not_made(capsys):
    Terminal().run_table(counted())
    told = capsys.readouterr().out
    assert "random paths (mean)" in told
    assert "random path " not in told
    assert "full grid" not in told
    assert [row[0] for row in other_parts(counted())["results"].rows] == [  # type: ignore[arg-type]
        *("evolved path", "linear probe", "random paths (mean)")
    ]


def test_a_measure_that_some_images_lack_is_told_over_how_many_it_is(capsys):
    """Of plug-ins, and of reports of earlier versions, whose distances left out every image with an empty mask."""
    report = counted()
    (kind,) = set(report["test"]) - {"n"}
    report["test"] = {"n": 12, kind: {**report["test"][kind], "n": 12, "undefined": {report["measure"]: 5}}}
    Terminal().run_table(report)
    assert "over 7" in capsys.readouterr().out, "the rest is on the next line"
    parts = other_parts(report)  # type: ignore[arg-type]
    assert "over 7 of 12 images" in parts["answer"]
    assert "over 7 of 12" in parts["results"].rows[0][2]
    assert "over 7 of 12" in parts["recalls"].rows[0][0]


def test_a_network_that_is_the_probe_has_one_row(capsys):
    classes = {**finished("blobs").report(), "path": "probe"}
    for report in (classes, {**counted(), "path": "probe"}):
        Terminal().run_table(report)
        told = capsys.readouterr().out
        names = " ".join(line.split("│")[1].strip() for line in told.splitlines() if line.startswith("│"))
        assert names.startswith("evolved path, the linear probe "), "in one line or two"
        assert names.count("probe") == 1
    assert [row[0] for row in other_parts({**counted(), "path": "probe"})["results"].rows] == [  # type: ignore[arg-type]
        *("evolved path, the linear probe", "random paths (mean)")
    ]


def test_odd_names_do_not_become_markup(capsys):
    report = finished("blobs").report()
    report["encoder"]["weights"] = "file w[red]x[/].pth"
    report["split_in_words"] = "by [group]"
    Terminal().run_table(report)
    out = capsys.readouterr().out
    assert "w[red]x[/].pth" in out
    assert "by [group]" in out


def test_joint_table_says_how_many_were_unknown(capsys):
    runs = [finished("stripes"), finished("blobs")]
    report = joint.joint_evaluate(runs, data_dir(), place(), 0)
    Terminal().joint_table(report)
    out = capsys.readouterr().out
    for part in ("Joint test: squeezenet1_1", "stripes", "blobs", "overall", "oracle"):
        assert part in out
    assert f"{report['routing']['unknown']} of 48 answered unknown (threshold set for 1 % of validation images)" in out
    report["routing"]["accuracy"] = report["tasks"]["blobs"]["oracle"]["accuracy"] = None
    Terminal().joint_table(report)
    assert "–" in capsys.readouterr().out


def test_a_comparison_is_told_by_the_measure_that_was_maximised(capsys):
    """By accuracy the path is worse at every seed, by balanced accuracy better, as its verdict says."""

    def method(name: str, accuracy: float, balanced: float) -> dict[str, object]:
        rates = {"accuracy": accuracy, "balanced_accuracy": balanced}
        each = [{"test": {rate: v + seed / 1000 for rate, v in rates.items()}} for seed in range(5)]
        means = {rate: {"mean": v, "sd": None} for rate, v in rates.items()} | {"n": 24}
        return {"name": name, "parameters": {"mean": 9}, "validation": means, "test": means, "each": each}

    report = {
        "task": "t",
        "encoder": ENCODER,
        "seeds": [0, 1, 2, 3, 4],
        "split_in_words": "random",
        "methods": {"evolved": method("evolved path", 0.6, 0.8), "ladder": method("ladder", 0.9, 0.75)},
        "against": {"ladder": {"difference": -0.3, "p_holm": 0.0012}},
        "verdict": [],
    }
    Terminal().comparison_table(report)
    shown = capsys.readouterr().out
    assert "test accuracy" in shown
    assert "-0.3000" in shown
    Terminal().comparison_table({**report, "measure": "balanced_accuracy"})
    shown = capsys.readouterr().out
    assert "test balanced" in shown
    assert "0.7500" in shown
    assert "+0.0500" in shown
    assert "0.0012" not in shown
    assert "0.9000" not in shown


def test_an_undefined_rate_is_a_dash():
    assert (rate(None), rate(0.5), rate(1)) == ("–", "0.5000", "1.0000")


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """Seconds that `terminal` believes have passed, as the last of a list."""
    passed = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: passed[-1])
    return passed


@pytest.mark.parametrize("as_json", [False, True])
def test_without_a_terminal_progress_is_plain_lines_on_standard_error(capsys, clock, as_json):
    shown = Terminal(as_json)
    with shown.progress():
        shown.stage("encode", 0)
        clock.append(75.0)
        shown.stage("search", 3)
        for generation in (1, 2):
            shown.advance(generation, f"best 0.{generation}  [0]")
        clock.append(4000.0)
        shown.stage("test", 0)
    assert capsys.readouterr() == (
        "",
        "0:00:00  encode\n0:01:15  search\n0:01:15  search      1 of 3     best 0.1  [0]\n"
        "0:01:15  search      2 of 3     best 0.2  [0]\n1:06:40  test\n",
    )


def test_counts_are_told_now_and_then(capsys, clock):
    shown = Terminal()
    with shown.progress():
        shown.stage("encode", 0)
        for done in range(1, 101):
            clock.append(done / 4)  # 25 seconds
            shown.count(done, 100)
        shown.stage("answer", 100)
        for done in range(1, 101):
            clock.append(25 + done / 4)
            shown.advance(done)
    steps = [line.split()[2] for line in capsys.readouterr().err.splitlines() if " of " in line]
    assert steps == ["40", "80", "40", "80"], "every ten seconds"


def test_the_first_line_waits_until_something_is_done(capsys, clock):
    """A mistake that is found at once is one line."""
    shown = Terminal()
    with shown.progress():
        shown.stage("prepare", 0)
        assert capsys.readouterr().err == ""
        shown.count(1, 4)
        assert capsys.readouterr().err == "0:00:00  prepare\n"


def test_a_count_without_an_end_is_a_number(capsys, clock):
    shown = Terminal()
    with shown.progress():
        shown.stage("predict", 0)
        clock.append(20.0)
        shown.count(7, 0, "3 images/s")
    assert capsys.readouterr().err.splitlines()[-1] == "0:00:20  predict     7          3 images/s"


def test_telling_outside_of_a_progress_display_does_nothing(capsys):
    shown = Terminal()
    shown.stage("search", 3)
    shown.advance(2)
    shown.count(1, 2)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_there_are_bars(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(terminal, "errors", Console(file=stream, force_terminal=True, width=120, emoji=False))
    shown = Terminal()
    with shown.progress():
        shown.stage("encode", 0)  # its total is not known yet
        shown.count(40, 40)
        shown.stage("search", 3)
        shown.advance(2, "best 0.9500")
    seen = stream.getvalue()
    assert "0:00:00  encode" not in seen, "bars, no lines"
    for part in ("encode", "40/40", "search", "2/3", "best 0.9500", "left"):
        assert part in seen


def test_figures_are_named_once(capsys, tmp_path):
    Terminal().figures([tmp_path / "a.png", tmp_path / "a.svg"])
    assert capsys.readouterr().out == f"figure  {tmp_path / 'a.png'}  (and .svg)\n"


@pytest.mark.parametrize(("ratio", "advised"), [(3.2, True), (3.0, False), (1.0, False)])
def test_unequal_classes_come_with_advice(capsys, ratio, advised):
    prepared = task("blobs")
    Terminal().task_lines(replace(prepared, info={**prepared.info, "imbalance": ratio}))
    out = capsys.readouterr().out
    assert f"the largest has {ratio:.1f} times the training images of the smallest" in out
    assert ("--fitness balanced_accuracy" in out) == advised
    Terminal().task_lines(replace(prepared, info={**prepared.info, "imbalance": ratio, "target": "count"}))  # type: ignore[typeddict-unknown-key]
    assert "--fitness" not in capsys.readouterr().out


def test_many_classes_are_counted_in_short(capsys):
    prepared = task("blobs")
    counts = {split: {f"c{i}": 10 + i * (i != 7) for i in range(150)} for split in ("train", "val", "test")}
    Terminal().task_lines(replace(prepared, info={**prepared.info, "counts": counts}))
    lines = capsys.readouterr().out.splitlines()
    total = sum(counts["val"].values())
    assert lines[1] == f"val    {total} images of 150 classes  smallest c0 10  largest c149 159"
    few = {split: {f"c{i}": 5 for i in range(20)} for split in counts}
    Terminal().task_lines(replace(prepared, info={**prepared.info, "counts": few}))
    assert capsys.readouterr().out.startswith("train  c0 5  c1 5  ")
