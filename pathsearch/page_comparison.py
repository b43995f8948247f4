"""The page of a comparison: whatever its report holds, verdict first, then figures, then every table."""

from __future__ import annotations

from typing import Any

from pathsearch import page_tables as tables
from pathsearch.page_source import Source

ASIDE = ("verdict", "task", "command", "split_in_words", "question")  # told elsewhere on the page


def comparison_page(source: Source) -> dict[str, Any]:
    """What the template `comparison.html.j2` shows; needs no more of the report than that it is an object."""
    report = source.report
    task = report.get("task", source.folder.name)
    single = {key: value for key, value in report.items() if not isinstance(value, (dict, list)) and key not in ASIDE}
    nested = {key: value for key, value in report.items() if isinstance(value, (dict, list)) and key not in ASIDE}
    found = [("", tables.facts(single, "What the comparison stands on."))] if single else []
    for key, value in nested.items():
        title = key.replace("_", " ").capitalize()
        found.append((title, _table(value, f"{title}.")))
    return {
        "title": f"{task}: a comparison",
        "kind": "Comparison",
        "question": report.get("question", f"Which way of choosing a path does best on {task}, at equal budget?"),
        "answer": f"Split: {report['split_in_words']}." if "split_in_words" in report else "",
        "verdict": report.get("verdict", []),
        "key_numbers": [],
        "figures": source.figures(*source.other_figures()),
        "tables": [(title, table) for title, table in found if table is not None],
        "versions": tables.facts(source.env, "Machine and library versions, from env.json."),
        "command": report.get("command"),
    }


def _table(value: Any, caption: str) -> tables.Table | None:
    """Rows of equal keys as a table with these heads; anything else one value a row."""
    rows = list(value.values()) if isinstance(value, dict) else value
    names = list(value) if isinstance(value, dict) else [str(n) for n in range(1, len(value) + 1)]
    plain = rows and all(isinstance(row, dict) and not any(isinstance(v, dict) for v in row.values()) for row in rows)
    if plain and all(list(row) == list(rows[0]) for row in rows):
        heads = ["", *(key.replace("_", " ") for key in rows[0])]
        told = [[name, *(_cell(v) for v in row.values())] for name, row in zip(names, rows, strict=True)]
        return tables.Table(caption, heads, told)
    return tables.facts(dict(zip(names, rows, strict=True)), caption)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(tables.number(one) for one in value)
    return tables.number(value)
