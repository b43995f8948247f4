"""A task under construction: built in a hidden sibling folder that takes its name only when complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import BadData, PathsearchError
from data_prep.folder_swap import give_back
from data_prep.table_checks import check_name
from data_prep.temporary import remove_litter
from data_prep.whole_files import folder_appears_whole

Progress = Callable[[int, int], None]  # (done, total)

PROVENANCE = "SOURCE.txt"


@contextmanager
def task_under_construction(data_dir: Path, name: str, overwrite: bool) -> Iterator[Path]:
    """Yield an empty folder beside `data_dir/name`; it takes that name when the block ends well.

    An error or an interrupt inside the block removes the folder and leaves an older task as it was.

    Raises:
        PathsearchError: the task exists and `overwrite` is false, or the name belongs to something that is
            not a prepared task, which is never replaced.
    """
    check_name(name)
    target = Path(data_dir) / name
    remove_litter(target.parent)
    give_back(target)
    _check_free(target, name, overwrite)
    with folder_appears_whole(target) as part:
        yield part
        assert (part / "task.json").is_file(), "a task is complete once save_task has written task.json"
        _check_free(target, name, overwrite)  # again: another process may have finished meanwhile


def _check_free(target: Path, name: str, overwrite: bool) -> None:
    if (target / "task.json").is_file():
        if not overwrite:
            raise PathsearchError(
                f"task {name!r}: expected a new task, got one that is prepared in {target}; "
                "add --overwrite to replace it, or choose another --name"
            )
    elif target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise PathsearchError(
            f"task {name!r}: expected a free name, got {target}, which is no prepared task and is left "
            "untouched; choose another --name or move it away"
        )


def existing_source(source: str | Path, expected: str, *, folder: bool = True, argument: str = "--source") -> Path:
    """`source` as a path that exists.

    Raises:
        BadData: there is nothing there, or a file in place of a folder, or the other way round.
    """
    found = Path(source).expanduser()
    if not (found.is_dir() if folder else found.is_file()):
        got = "a file" if found.is_file() else "a folder" if found.is_dir() else "nothing there"
        raise BadData(f"{argument} {source}: expected {expected}, got {got}; check the spelling")
    return found


def provenance(folder: Path, source: str, licence: str) -> tuple[str, str]:
    """Source and licence in words: the two lines of `SOURCE.txt` in the raw data, or the given ones.

    Generated data comes with such a file, so that it is never taken for the real data whose form it has.

    Raises:
        BadData: the file is no text in UTF-8.
    """
    file = folder / PROVENANCE
    if not file.is_file():
        return source, licence
    try:
        text = file.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise BadData(
            f"{file}: expected two lines in UTF-8, source and licence, got {error}; mend or remove it"
        ) from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if lines else source), (lines[1] if len(lines) > 1 else licence)


def write_provenance(folder: Path, source: str, licence: str) -> None:
    """Leave `SOURCE.txt` in a folder of raw data."""
    (folder / PROVENANCE).write_text(f"{source}\n{licence}\n", encoding="utf-8")
