"""Rows of answers: CSV or JSON lines, failures among them."""

from __future__ import annotations

import io
import json
from pathlib import Path

from small_world import refused

from pathsearch.answer_rows import Rows, check_format
from pathsearch.model import Answer
from pathsearch.predict import Failure

KNOWN = Answer('a,"b".png', "blobs", "large", 0.12345678, 0.25, False, {"large": 0.12345678, "small": 0.87654322})
UNKNOWN = Answer("u.png", None, None, None, 1.5, True, {})
BROKEN = Failure("x.png", "does not decode")


def test_rows_as_csv():
    text = io.StringIO()
    rows = Rows(text, "csv", with_heat=True)
    rows.write(KNOWN, Path("heat/a.png"))
    for one in (UNKNOWN, BROKEN):
        rows.write(one)
    assert text.getvalue().splitlines() == [
        "file,task,class,probability,distance,unknown,heat_map,error",
        '"a,""b"".png",blobs,large,0.123457,0.25,false,heat/a.png,',
        "u.png,,,,1.5,true,,",
        "x.png,,,,,,,does not decode",
    ]


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
