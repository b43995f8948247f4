"""Answers that are pictures as files of their own: masks and images, each at the size of the image that was asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pathsearch.experts.answer import Answer
from pathsearch.experts.pictures import IMAGE, MASK, save_png

Owner = tuple[Path, str | None]  # an image and the task that answered it


class NamedFiles:
    """Names for files about answers: in one folder, each of its own, or each beside its image.

    Args:
        folder: where to; None for beside the images.
        like: files of another folder; what is about one answer has one name in both.
    """

    def __init__(self, folder: Path | None, like: NamedFiles | None = None) -> None:
        self.folder = folder
        self.taken: dict[str, tuple[Owner, set[str]]] = {} if like is None else like.taken  # and the ends that it has

    def file(self, source: Path, end: str, task: str | None = None) -> Path:
        """A name of its own, `IMAGE.heat.png` for `.heat.png`; of several answers the later ones are numbered.

        These are answers to images of one name in several folders, and of several tasks to one image. Files about one
        answer that end otherwise have one name before that.
        """
        number, owner = 0, (source, task)
        while True:
            name = f"{source.name}~{number}" if number else source.name
            key = name if self.folder is not None else str(source.with_name(name))
            whose, ends = self.taken.setdefault(key.lower(), (owner, set()))
            if whose == owner and end not in ends:
                ends.add(end)
                return (self.folder or source.parent) / (name + end)
            number += 1


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
            written[column] = names.file(Path(str(answer.source)), end, answer.task)
            save_png(picture, written[column])
    return written
