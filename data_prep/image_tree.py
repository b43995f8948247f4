"""Find the images of a folder tree: class folders, or train/val/test with class folders inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_prep.construction import PROVENANCE
from data_prep.errors import BadData
from data_prep.image_task import RawImage
from data_prep.images import SUFFIXES, is_image
from data_prep.table_words import SPLIT_WORDS


@dataclass(frozen=True)
class ImageTree:
    """What a folder tree holds.

    Attributes:
        images: all pictures, sorted by split folder, class folder and name.
        classes: class folder names, sorted.
        ignored: names of files that are no images.
        ignored_folders: folders beside train, val and test.
    """

    images: list[RawImage]
    classes: tuple[str, ...]
    ignored: tuple[str, ...]
    ignored_folders: tuple[str, ...]


def read_image_tree(source: Path, group_of: Callable[[str, str], str], flat: bool = False) -> ImageTree:
    """The labelled images below `source`.

    Args:
        source: a folder of class folders; or of split folders (train, val or valid or validation, test)
            with class folders inside. Class folders are searched to any depth.
        group_of: the group of a picture, from its file name and the split it was given in (or "").
        flat: where images lie in no class folders, in `source` or its split folders, they have no class, instead of
            being passed over.

    Raises:
        BadData: no class folders, or one without images; images in class folders and beside them, where `flat`.
    """
    folders = _subfolders(source)
    splits = [folder for folder in folders if folder.name.lower() in SPLIT_WORDS]
    if any(SPLIT_WORDS[folder.name.lower()] == "train" for folder in splits):
        roots = [(SPLIT_WORDS[folder.name.lower()], folder) for folder in splits]
        ignored = tuple(folder.name for folder in folders if folder not in splits)
    else:
        roots, ignored = [("", source)], ()
    images: list[RawImage] = []
    passed_over: list[str] = []
    for given, root in roots:
        loose = flat and any(is_image(file) for file in root.iterdir() if file.is_file())
        for class_folder in [root] if loose else _subfolders(root):
            files, others = pictures_below(class_folder)
            passed_over += others
            if loose and any(file.parent != root for file in files):
                raise _both(root)
            if not files:
                raise BadData(
                    f"{class_folder}: expected images ({' '.join(SUFFIXES)}) of class {class_folder.name!r}, "
                    f"got none among {len(others)} files; add images or remove the folder"
                )
            for file in files:
                inside = file.relative_to(class_folder)
                known = file.suffix.lower() in SUFFIXES  # 1.2.840.7 is a whole name
                inner = (inside.with_suffix("") if known else inside).parts
                stem = "-".join((given, *inner) if given else inner)
                group = group_of(file.name, given)
                name = file.relative_to(source).as_posix()
                images.append(RawImage(file, "" if loose else class_folder.name, stem, given, group, name))
    if not images:
        raise BadData(
            f"--source {source}: expected one folder of images for each class, or train/val/test with such "
            "folders inside, got no class folder; see the README for the layout"
        )
    labels = {image.label for image in images}
    if "" in labels and len(labels) > 1:
        raise _both(source)
    return ImageTree(images, tuple(sorted(labels - {""})), tuple(passed_over), ignored)


def _both(folder: Path) -> BadData:
    return BadData(
        f"{folder}: expected all images in class folders, or all without, got both; move them, or name what they "
        "show in a table and use: pathsearch prepare csv"
    )


def ignored_notes(tree: ImageTree) -> list[str]:
    """What was passed over, in sentences for `task.json`."""
    notes = []
    if tree.ignored:
        notes.append(f"{len(tree.ignored)} files that are no images were ignored, such as {min(tree.ignored)!r}")
    if tree.ignored_folders:
        notes.append(f"folders beside train, val and test were ignored: {', '.join(tree.ignored_folders)}")
    return notes


def _subfolders(folder: Path) -> list[Path]:
    # Hidden folders and the Mac's archive leftovers hold no data.
    found = sorted(child for child in folder.iterdir() if not child.name.startswith((".", "__MACOSX")))
    for child in found:
        if _leads_nowhere(child):
            raise BadData(f"{child}: expected a folder, got a link that leads nowhere; mend or remove it")
    return [child for child in found if child.is_dir()]


def _leads_nowhere(file: Path) -> bool:
    return file.is_symlink() and not file.exists()


def pictures_below(folder: Path) -> tuple[list[Path], list[str]]:
    """The images below a folder, sorted, and the names of its other files.

    Links that lead nowhere are among the images, for what else could they be: reading them says what is wrong. So are
    pipes and the like by their suffix.
    """
    found = sorted(file for file in folder.rglob("*") if not file.is_dir() and not file.name.startswith("."))
    images: list[Path] = []
    others: list[str] = []
    for file in found:
        if is_image(file) or _leads_nowhere(file):
            images.append(file)
        elif file.name != PROVENANCE:
            others.append(file.name)
    return images, others
