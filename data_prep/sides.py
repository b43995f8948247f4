"""Whether a picture's mirror image is still one of its truth: not where names have sides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

SIDE = re.compile("(?<![A-Za-z])(left|right|LEFT|RIGHT)|Left|Right")  # in "left_lung" and "LungLeft", not in "bright"


def mirroring(asked: bool | None, names: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """What `task.json` says in `options` and `notes` of mirrored views of training images.

    Args:
        asked: by the user; None leaves it to the names: mirrored unless one has `left` or `right` in it.
        names: of classes, those of masks among them.
    """
    if asked is not None:
        return {"mirror": asked}, []
    if sided := [name for name in names if SIDE.search(name)]:
        return {"mirror": False}, [f"training images are not mirrored, for {sided[0]!r} has a side; --mirror does"]
    return {}, []
