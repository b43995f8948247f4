"""docs/settings.md says what the declarations say."""

from __future__ import annotations

from pathlib import Path

from pathsearch.reports.settings_page import settings_page, settings_table, write_page
from pathsearch.run.settings import DECLARED

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_up_to_date(tmp_path):
    write_page(tmp_path / "settings.md")
    assert PAGE.read_text(encoding="utf-8") == (tmp_path / "settings.md").read_text(encoding="utf-8"), "make settings"


def test_every_setting_has_a_row():
    rows = [line for line in settings_page().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == list(DECLARED)
    (row,) = (row for row in rows if row.startswith("| `search.population`"))
    takes = r"a number in \[2, 100000\]"
    assert row == f"| `search.population` | `--population` | `64` | {takes} | Paths in a generation. | the paper's |"


def test_the_object_has_every_setting_in_plain_values():
    found = settings_table()
    assert list(found) == list(DECLARED)
    assert found["encoder.precision"] == {
        "type": "str",
        "null": False,
        "default": "float32",
        "help": "float32, or bfloat16: twice as fast where the processor has it.",
        "why": DECLARED["encoder.precision"].said.why,
        "bounds": "one of float32, bfloat16",
        "choices": ["float32", "bfloat16"],
        "option": None,
        "commands": [],
    }
    assert found["search.plateau"]["commands"] == ["evolve"]
    assert found["training.views"]["commands"] == ["evolve", "compare", "train"]
