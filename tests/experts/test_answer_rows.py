"""Rows of answers: CSV or JSON lines, failures among them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_world import refused

from pathsearch.experts.answer_rows import Rows, check_format
from pathsearch.experts.model import Answer
from pathsearch.experts.predict import Failure

KNOWN = Answer('a,"b".png', "blobs", "large", 0.12345678, 0.25, False, {"large": 0.12345678, "small": 0.87654322})
UNKNOWN = Answer("u.png", None, None, None, 1.5, True, {})
BROKEN = Failure("x.png", "does not decode")


def test_rows_as_csv():
    text = io.StringIO()
    rows = Rows(text, "csv", with_heat=True)
    rows.write(KNOWN, {"heat_map": Path("heat/a.png")})
    for one in (UNKNOWN, BROKEN):
        rows.write(one)
    assert text.getvalue().splitlines() == [
        "file,task,class,probability,distance,unknown,heat_map,error",
        '"a,""b"".png",blobs,large,0.123457,0.25,false,heat/a.png,',
        "u.png,,,,1.5,true,,",
        "x.png,,,,,,,does not decode",
    ]


FORMULAS = ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"]


@pytest.mark.parametrize("name", FORMULAS)
def test_a_spreadsheet_runs_no_name(name):
    text = io.StringIO()
    rows = Rows(text, "csv", with_heat=True)
    rows.write(replace(KNOWN, source=name, task=name, label=name), {"heat_map": Path(name)})
    rows.write(Failure(name, name))
    rows.write(replace(KNOWN, source="a=1", probability=1e-9, distance=-0.5))
    answered, failed, numbers = csv.DictReader(io.StringIO(text.getvalue()))
    assert [answered[column] for column in ("file", "task", "class", "heat_map")] == ["'" + name] * 4
    assert (failed["file"], failed["error"]) == ("'" + name, "'" + name)
    assert (numbers["file"], numbers["probability"], numbers["distance"]) == ("a=1", "1e-09", "-0.5"), "numbers stay"
    lines = io.StringIO()
    Rows(lines, "jsonl", with_heat=False).write(replace(KNOWN, source=name, label=name))
    assert json.loads(lines.getvalue())["file"] == json.loads(lines.getvalue())["class"] == name, "here all stay"


def test_an_answer_without_its_heat_map_says_why():
    text = io.StringIO()
    Rows(text, "csv", with_heat=True).write(KNOWN, {}, "heat map: no room")
    assert text.getvalue().splitlines()[1].endswith(",false,,heat map: no room")


def test_rows_as_json_lines():
    text = io.StringIO()
    rows = Rows(text, "jsonl", with_heat=False)
    for one in (KNOWN, UNKNOWN, BROKEN):
        rows.write(one)
    known, unknown, broken = map(json.loads, text.getvalue().splitlines())
    assert known == {
        "file": 'a,"b".png',
        "task": "blobs",
        "class": "large",
        "probability": 0.123457,
        "distance": 0.25,
        "unknown": False,
        "error": None,
        "probabilities": {"large": 0.123457, "small": 0.876543},
    }
    assert (unknown["class"], unknown["unknown"], unknown["probabilities"]) == (None, True, {})
    assert (broken["error"], broken["unknown"]) == ("does not decode", None)
    with refused("--format: expected csv or jsonl, got 'xml'"):
        check_format("xml")
