"""Labels with sides: no mirrored views, unless somebody says so."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.folder import prepare_folder
from data_prep.sides import mirroring

FLAT = [f"{number:02d}.png" for number in range(15)]


@pytest.mark.parametrize(
    ("name", "has_side"),
    [("left lung", True), ("lung_right", True), ("LungLeft", True), ("RIGHT", True)]
    + [(name, False) for name in ("lung", "bright spot", "Brightness", "cleft", "")],
)
def test_names_with_sides(name, has_side):
    options, notes = mirroring(None, ("background", name))
    assert options == ({"mirror": False} if has_side else {})
    assert [name in note for note in notes] == [True] * has_side
    assert mirroring(True, (name,)) == ({"mirror": True}, [])
    assert mirroring(False, (name,)) == ({"mirror": False}, [])


@pytest.mark.parametrize(
    ("names", "asked", "mirrored"),
    [
        ("background,left lung,right lung", None, False),
        ("background,left lung,right lung", True, True),
        ("background,lung,heart", None, True),
        ("background,lung,heart", False, False),
    ],
)
def test_a_task_says_whether_its_views_are_mirrored(draw, tmp_path, names, asked, mirrored):
    levels = np.array([0, 1, 2], np.uint8)
    images, masks = draw(tmp_path, FLAT, mask=lambda n: levels[np.arange(480).reshape(20, 24) * 3 // 480])
    task = prepare_folder(
        images, tmp_path / "data", name="t", masks=masks, mask_names=names, image_size=12, mirror=asked
    )
    assert task.mirror is mirrored
    assert any("are not mirrored, for 'left lung' has a side" in note for note in task.info["notes"]) == (
        asked is None and not mirrored
    )
