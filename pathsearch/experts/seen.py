"""Images that a network's layers have learned from: kept with each run, looked for among the test images of later ones.

An image is known by its pixels as they were prepared, so that the same file is found in every task that prepared it at
the same size. Not seen are near copies, the same file at another size, and other images of the same patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypedDict

from data_prep.image_digests import pixel_digests
from data_prep.whole_files import write_text
from pathsearch.encoders.features import Features
from pathsearch.run.runs import Run

if TYPE_CHECKING:
    from typing_extensions import NotRequired  # in `typing` from Python 3.11 on


class SeenBefore(TypedDict):
    """How many of a run's test images an earlier run, on whose layers it stands, has learned from or chosen by."""

    task: str
    run: str
    test_images: int
    n: int | None  # of these; None: not known of a run of an earlier version


class SeeingRun(TypedDict):
    """What is read of a run's report here; of one that shares no layers, and of earlier versions, nothing."""

    seen_before: NotRequired[list[SeenBefore]]


def keep_seen(features: Features, run: Run, before: Iterable[Run] = ()) -> None:
    """Leave digests of a run's training and validation images in its folder, a line each.

    Args:
        features: of its images.
        run: whose file is written; none is, if one of `before` has none.
        before: runs whose layers its own began from and trained on.
    """
    digests = {*_digests(features, "train"), *_digests(features, "val")}
    for one in before:
        if (theirs := _seen(one)) is None:
            return
        digests |= theirs
    write_text(run.seen_file, "".join(f"{digest}\n" for digest in sorted(digests)))


def seen_before(features: Features, others: Sequence[tuple[str, Run]]) -> list[SeenBefore]:
    """Test images among what each of the `others`, by task, has learned from."""
    if not others:
        return []
    tests = _digests(features, "test")
    rows: list[SeenBefore] = []
    for task, run in others:
        theirs = _seen(run)
        n = None if theirs is None else sum(digest in theirs for digest in tests)
        rows.append({"task": task, "run": run.name, "test_images": len(tests), "n": n})
    return rows


def seen_in_words(report: SeeingRun) -> list[str]:
    """The same for a reader, in sentences."""
    rows = report.get("seen_before", [])
    whose = [f"{row['task']} ({row['run']})" for row in rows]
    lines = [
        f"{row['n']:,} of {row['test_images']:,} test images are training or validation images of {name}, with which "
        "layers are shared: the numbers flatter."
        for row, name in zip(rows, whose, strict=True)
        if row["n"]
    ]
    if none := [name for row, name in zip(rows, whose, strict=True) if row["n"] == 0]:
        lines.append(
            f"None of {rows[0]['test_images']:,} test images is, pixel for pixel, a training or validation image of "
            f"{', '.join(none)}; near copies, other sizes and other images of the same patients were not looked for."
        )
    if unknown := [name for row, name in zip(rows, whose, strict=True) if row["n"] is None]:
        lines.append(
            f"Whether test images are training images of {', '.join(unknown)} is not known: of an earlier version."
        )
    return lines


def _digests(features: Features, split: str) -> list[str]:
    """Of the images of a split that are used."""
    return pixel_digests(features.files(split))


def _seen(run: Run) -> frozenset[str] | None:
    """What a run has kept; None of one that has not."""
    if not run.seen_file.is_file():
        return None
    return frozenset(run.seen_file.read_text(encoding="ascii", errors="replace").split())
