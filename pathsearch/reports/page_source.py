"""What a page is made from: the files of a folder, read once; figures and small pictures as data URIs."""

from __future__ import annotations

import base64
import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, cast

from pathsearch.experts.run_report import Mistakes, PathCard
from pathsearch.reports.album import About, Album
from pathsearch.reports.alt_texts import WORDS, Texts
from pathsearch.run.environment import Environment
from pathsearch.run.runs import read_json
from pathsearch.search.config_file import Config

WIDE = 400  # points: such a figure scrolls on a phone instead of shrinking until nobody can read it
PICTURED = ("answers",)  # figures that show images of the data
ZOOM = 1.2  # printed figures have letters of 7 points; a screen wants a little more


@dataclass(frozen=True)
class Picture:
    """An image of the page: `source` a data URI, `alt` what it shows, `caption` what stands below it."""

    source: str
    alt: str
    caption: str
    width: int | None = None
    wide: bool = False


Report = TypeVar("Report")
Form = TypeVar("Form")


@dataclass(frozen=True)
class Source(Generic[Report]):
    """The files of a run, a joint evaluation or a comparison; what is missing is empty."""

    folder: Path
    report: Report
    album: Album | None
    config: Config
    env: Environment | None
    path: PathCard
    log: list[dict[str, str]]
    training: list[dict[str, str]]
    images: bool = True  # whether figures may show any

    @classmethod
    def read(cls, folder: Path, report: Report, album: Album | None, images: bool = True) -> Source[Report]:
        """Read what stands beside a report."""
        config: Config = _object(folder / "config.json", Config) or {}
        env, path = _object(folder / "env.json", Environment), _object(folder / "path.json", PathCard)
        log, training = (_rows(folder / f"{name}.csv") for name in ("log", "training"))
        return cls(folder, report, album, config, env, path or {}, log, training, images)

    def figure(self, name: str) -> Picture | None:
        """A figure of the folder with its finding in words; None where it is not there, or may not be shown."""
        if name in PICTURED and not self.images:
            return None
        file = next((f for f in (self.folder / f"{name}.svg", self.folder / f"{name}.png") if f.is_file()), None)
        if file is None:
            return None
        words = WORDS.get(name)
        if words:
            texts = Texts(self.report, self.log, self.training, self.path)
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
        described = self.album["tasks"].get(task) if self.album else None
        found = []
        for name, rows in described["examples"].items() if described else ():
            pictures = [
                Picture(row["picture"], f"{name}: training image {i} of {len(rows)} shown, {row['file']}", name)
                for i, row in enumerate(rows, 1)
            ]
            if pictures:
                found.append((name, pictures))
        return found

    def about(self, task: str) -> About | None:
        """A task in words; None where its data were not at hand."""
        described = self.album["tasks"].get(task) if self.album else None
        return described["about"] if described else None

    def mistakes(self, told: Mistakes | None) -> list[Picture]:
        """The surest wrong answers, with a picture where one was kept."""
        found = []
        kept = self.album["mistakes"] if self.album else {}
        for row in told["shown"] if told else ():
            source = kept.get(row["task"], {}).get(row["file"], "")
            words = f"true {row['true']}, said {row['said']} with probability {row['probability']:.4f}"
            found.append(Picture(source, f"Test image {row['file']}: {words}", words[0].upper() + words[1:]))
        return found


def _object(file: Path, form: type[Form]) -> Form | None:
    """What a file holds, whose fields are those of `form`; None where it is not there."""
    return cast("Form", read_json(file)) if file.is_file() else None


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
