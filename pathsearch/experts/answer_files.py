"""Answers that are pictures as files of their own: masks and images, each at the size of the image that was asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pathsearch.experts.answer import Answer
from pathsearch.experts.pictures import IMAGE, MASK, save_png


class NamedFiles:
    """Names for files about images: in one folder, each of its own, or each beside its image."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.taken: dict[str, tuple[Path, set[str]]] = {}  # whose a name is, and the ends that it has

    def file(self, source: Path, end: str) -> Path:
        """A name of its own, `IMAGE.heat.png` for `.heat.png`; images of one name in several folders are numbered.

        Files about one image that end otherwise have one name before that.
        """
        if self.folder is None:
            return source.with_name(source.name + end)
        name, number = source.name, 1
        while (taken := self.taken.setdefault(name.lower(), (source, set())))[0] != source or end in taken[1]:
            name = f"{source.name}~{number}"
            number += 1
        taken[1].add(end)
        return self.folder / (name + end)


def write_pictures(answer: Answer, names: NamedFiles) -> Mapping[str, Path]:
    """Write what of an answer is a picture, whole or not at all, as PNG.

    Args:
        answer: to an image file.
        names: where to.

    Returns:
        The files by column: `mask`, grey levels as in the task's own masks; `image`. None for other answers.

    Raises:
        OSError: the system refused, such as for a name that is too long.
    """
    pictures = {"mask": (answer.mask, MASK), "image": (answer.image, IMAGE)}
    written = {}
    for column, (picture, end) in pictures.items():
        if picture is not None:
            written[column] = names.file(Path(str(answer.source)), end)
            save_png(picture, written[column])
    return written
