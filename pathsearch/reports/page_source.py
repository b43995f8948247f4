"""What a page is made from: the files of a folder, read once; figures and small pictures as data URIs."""

from __future__ import annotations

import base64
import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathsearch.reports.alt_texts import WORDS
from pathsearch.run.runs import read_json

WIDE = 400  # points: such a figure scrolls on a phone instead of shrinking until nobody can read it
ZOOM = 1.2  # printed figures have letters of 7 points; a screen wants a little more


@dataclass(frozen=True)
class Picture:
    """An image of the page: `source` a data URI, `alt` what it shows, `caption` what stands below it."""

    source: str
    alt: str
    caption: str
    width: int | None = None
    wide: bool = False


@dataclass(frozen=True)
class Source:
    """The files of a run, a joint evaluation or a comparison; what is missing is empty."""

    folder: Path
    report: dict[str, Any]
    album: dict[str, Any] | None
    config: dict[str, Any]
    env: dict[str, Any]
    path: dict[str, Any]
    log: list[dict[str, str]]
    training: list[dict[str, str]]

    @classmethod
    def read(cls, folder: Path, report: dict[str, Any], album: dict[str, Any] | None) -> Source:
        """Read what stands beside a report."""
        config, env, path = (_object(folder / f"{name}.json") for name in ("config", "env", "path"))
        log, training = (_rows(folder / f"{name}.csv") for name in ("log", "training"))
        return cls(folder, report, album, config, env, path, log, training)

    def _texts(self) -> dict[str, Any]:
        return {"report": self.report, "log": self.log, "training": self.training, "path": self.path}

    def figure(self, name: str) -> Picture | None:
        """A figure of the folder with its finding in words; None where it is not there."""
        file = next((f for f in (self.folder / f"{name}.svg", self.folder / f"{name}.png") if f.is_file()), None)
        if file is None:
            return None
        words = WORDS.get(name)
        if words:
            texts = self._texts()
            caption, alt = words[0] if isinstance(words[0], str) else words[0](texts), words[1](texts)
        else:
            caption = name.replace("_", " ").capitalize()
            alt = f"{caption}. The numbers stand in the table of the same section."
        if file.suffix == ".png":
            return Picture(_data_uri("image/png", file.read_bytes()), alt, caption, None)
        text = file.read_text(encoding="utf-8")
        # a reader may lack the font that comes with matplotlib; Verdana is as wide
        text = text.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
        size = re.search(r'<svg[^>]*\swidth="([\d.]+)pt"', text)
        points = float(size[1]) if size else None
        width = None if points is None else round(points * 4 / 3 * ZOOM)
        return Picture(_data_uri("image/svg+xml", text.encode()), alt, caption, width, bool(points and points > WIDE))

    def figures(self, *names: str) -> list[Picture]:
        """Those of these figures that are there, in this order."""
        return [picture for name in names if (picture := self.figure(name)) is not None]

    def other_figures(self) -> list[str]:
        """Names of figures in the folder that no page knows by name."""
        return sorted({file.stem for kind in ("svg", "png") for file in self.folder.glob(f"*.{kind}")} - set(WORDS))

    def examples(self, task: str) -> list[tuple[str, list[Picture]]]:
        """Each class of a task with its example images; empty where images were not at hand."""
        kept = (self.album or {}).get("tasks", {}).get(task, {}).get("examples", {})
        found = []
        for name, rows in kept.items():
            pictures = [
                Picture(row["picture"], f"{name}: training image {i} of {len(rows)} shown, {row['file']}", name)
                for i, row in enumerate(rows, 1)
            ]
            if pictures:
                found.append((name, pictures))
        return found

    def mistakes(self) -> list[Picture]:
        """The surest wrong answers, with a picture where one was kept."""
        found = []
        for row in (self.report.get("mistakes") or {}).get("shown", []):
            source = (self.album or {}).get("mistakes", {}).get(row["task"], {}).get(row["file"], "")
            words = f"true {row['true']}, said {row['said']} with probability {row['probability']:.4f}"
            found.append(Picture(source, f"Test image {row['file']}: {words}", words[0].upper() + words[1:]))
        return found


def _object(file: Path) -> dict[str, Any]:
    return read_json(file) if file.is_file() else {}


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
