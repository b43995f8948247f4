"""Masks, boxes and numbers of a source's images on their way into a prepared task."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_prep.errors import BadData
from data_prep.images import save_png
from data_prep.mask_levels import (
    Meaning,
    RawMask,
    check_mask_names,
    class_indices,
    levels_of_all,
    meaning_of,
    read_levels,
)
from data_prep.mask_pixels import hull, resized, spread
from data_prep.table_words import BOX, MASK
from data_prep.task import MaskInfo
from data_prep.truth_columns import box_fault

Box = tuple[float, float, float, float]
Size = tuple[int, int]  # width, height


@dataclass(frozen=True, eq=False)
class RawTruth:
    """What a source knows of one picture beyond its label.

    Attributes:
        mask: of the picture's size, one grey level a class; None where there is none.
        box: x_min, y_min, x_max, y_max in pixels of the picture; None where there is none.
        numbers: decimal numbers in the order of `TruthOptions.numbers`, empty where unknown.
    """

    mask: RawMask | None = None
    box: Box | None = None
    numbers: tuple[str, ...] = ()


NO_TRUTH = RawTruth()


@dataclass(frozen=True)
class TruthOptions:
    """What is asked of truth beyond the label, for all images together.

    Attributes:
        mask_names: classes of the masks' pixels, background first; None names them by their number.
        numbers: names of the numbers.
        boxes_of_masks: whether each image gets the box around all of its mask but the background.
        target: what the task asks for by default; None for the first kind of truth that it has.
    """

    mask_names: tuple[str, ...] | None = None
    numbers: tuple[str, ...] = ()
    boxes_of_masks: bool = False
    target: str | None = None


NOTHING_ASKED = TruthOptions()


class TruthWriter:
    """Writes the masks of a task's images, and keeps what the manifest says of their truth.

    Args:
        truths: of each image.
        names: what the source calls each image.
        files: what each image is called in the task, `images/…`.
        asked: for all.
        where: names the task in messages.
    """

    def __init__(
        self, truths: Sequence[RawTruth], names: Sequence[str], files: Sequence[str], asked: TruthOptions, where: str
    ) -> None:
        self.truths, self.names, self.asked, self.where = truths, names, asked, where
        if asked.mask_names is not None:
            check_mask_names(asked.mask_names)
        masked, boxed = (truth.mask is not None for truth in truths), (truth.box is not None for truth in truths)
        self.has_masks, self.has_boxes = any(masked), asked.boxes_of_masks or any(boxed)
        self.files = [f"masks/{file.removeprefix('images/')}" for file in files]
        self.meaning: Meaning | None = None
        self.faults: dict[int, BadData] = {}
        self.boxes: dict[int, Box] = {}
        self.empty: set[int] = set()

    def read(self) -> None:
        """Learn from all masks what their grey levels stand for.

        Raises:
            BadData: no one reading of them fits; what is wrong with a single mask waits for `write`.
        """
        if not self.has_masks:
            return
        called = [self._mask_name(number) for number in range(len(self.truths))]
        found = levels_of_all([truth.mask for truth in self.truths], called)
        self.faults = {number: one for number, one in enumerate(found) if isinstance(one, BadData)}
        sound = [(one, name) for one, name in zip(found, called, strict=True) if not isinstance(one, BadData) and one]
        if not sound:
            raise next(iter(self.faults.values()))
        levels, names = zip(*sound, strict=True)
        self.meaning = meaning_of(levels, self.asked.mask_names, self.where, names)

    def write(self, number: int, part: Path, size: Size, new_size: Size) -> None:
        """Bring one image's truth to the size of its prepared picture; write its mask below the folder `part`.

        Raises:
            BadData: its mask or its box cannot be used.
        """
        truth = self.truths[number]
        if truth.box is not None:
            if fault := box_fault(truth.box, *size):
                raise BadData(f"image {self.names[number]}: {fault}")
            scales = [new_size[0] / size[0], new_size[1] / size[1]] * 2
            x_min, y_min, x_max, y_max = (value * scale for value, scale in zip(truth.box, scales, strict=True))
            self.boxes[number] = (max(x_min, 0), max(y_min, 0), min(x_max, new_size[0]), min(y_max, new_size[1]))
        if truth.mask is None:
            return
        if number in self.faults:
            raise self.faults[number]
        assert self.meaning is not None, "masks are read before they are written"
        name = self._mask_name(number)
        levels = read_levels(truth.mask, name)
        if levels.shape != (size[1], size[0]):
            raise BadData(
                f"{name}: expected a mask of {size[0]} × {size[1]} pixels, as its image, got {levels.shape[1]} × "
                f"{levels.shape[0]}; is it the mask of this image? Draw it at the image's size"
            )
        mask = resized(class_indices(levels, self.meaning, name), *new_size)
        if not mask.any():
            self.empty.add(number)
        if self.asked.boxes_of_masks and (box := hull(mask)):
            self.boxes[number] = box
        greys = np.array(spread(len(self.meaning.names)), np.uint8)
        save_png(Image.fromarray(greys[mask]), part / self.files[number])

    def columns(self, *, expected: bool = False) -> dict[str, list[str]]:
        """Further columns of the manifest; `expected` says, before anything is written, which cells will be filled."""
        columns: dict[str, list[str]] = {}
        if self.has_masks:
            columns[MASK] = [
                file if truth.mask is not None else "" for truth, file in zip(self.truths, self.files, strict=True)
            ]
        if self.has_boxes:
            boxes = self._expected_boxes() if expected else self.boxes
            for k, column in enumerate(BOX):
                cells = {number: f"{round(box[k], 3):g}" for number, box in boxes.items()}
                columns[column] = [cells.get(number, "") for number in range(len(self.truths))]
        for k, name in enumerate(self.asked.numbers):
            columns[name] = [truth.numbers[k] for truth in self.truths]
        return columns

    def mask_info(self) -> MaskInfo | None:
        """What the grey levels of the prepared masks stand for."""
        if self.meaning is None:
            return None
        return {"names": list(self.meaning.names), "levels": spread(len(self.meaning.names))}

    def options(self) -> dict[str, Any]:
        """For `task.json`: how masks were prepared."""
        return {"masks": "each pixel has the class that covers most of it"} if self.has_masks else {}

    def notes(self, kept: Collection[int]) -> list[str]:
        """What a reader should know of the truth of the images that were kept.

        Raises:
            BadData: all their masks are empty.
        """
        notes = []
        masked = [number for number in kept if self.truths[number].mask is not None]
        if self.meaning is not None:
            if masked and self.empty.issuperset(masked):
                raise BadData(
                    f"{self.where}: expected masks with a class beside the background, got {len(masked)} that are all "
                    "background at the size of the images; are these the masks? Give others, or a larger --image-size"
                )
            if self.asked.mask_names is None:
                levels = ", ".join(map(str, self.meaning.levels))
                notes.append(f"grey levels {levels} of the masks are called {', '.join(self.meaning.names)}")
            if n_empty := len(self.empty.intersection(masked)):
                notes.append(f"{n_empty} of {len(masked)} masks are empty: background alone")
            if len(masked) < len(kept):
                notes.append(f"{len(kept) - len(masked)} images have no mask")
        if self.has_boxes and (n_none := len(set(kept) - set(self.boxes))):
            notes.append(f"{n_none} images have no box")
        return notes

    def _expected_boxes(self) -> dict[int, Box]:
        """A box for each image that will have one."""
        there = [t.box is not None or (self.asked.boxes_of_masks and t.mask is not None) for t in self.truths]
        return {number: (0, 0, 1, 1) for number, yes in enumerate(there) if yes}

    def _mask_name(self, number: int) -> str:
        mask = self.truths[number].mask
        return str(mask) if isinstance(mask, Path) else f"mask of {self.names[number]}"
