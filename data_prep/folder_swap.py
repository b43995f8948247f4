"""A finished folder takes the name of another: at once where the system can, else so that a kill can be mended."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

from data_prep.temporary import abandoned, free, remove

AT_FDCWD = -100  # names are relative to the working folder
RENAME_EXCHANGE = 2
CANNOT = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)  # the kernel or the file system has no such call


def take_name(part: Path, folder: Path) -> None:
    """Give `part` the name `folder`; what had it before is removed.

    On Linux both change names in one step. Elsewhere the old folder steps aside for a moment: if the process is killed
    just then, `give_back` finds it.
    """
    if not folder.exists():
        part.rename(folder)
    elif exchange(part, folder):
        remove(part)  # it is the old one now
    else:
        _take_in_two_steps(part, folder)


def give_back(folder: Path) -> None:
    """Let the folder that stepped aside have its name again, if its successor never came; remove all others."""
    for old in reversed(abandoned(folder)):
        with free(old) as unowned:
            if unowned and not folder.exists():
                with suppress(OSError):  # a folder that may only be read
                    old.rename(folder)
            elif unowned:
                remove(old)


def exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; False, and nothing done, where the system cannot."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if call is None:
        return False
    if call(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in CANNOT:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


def _take_in_two_steps(part: Path, folder: Path) -> None:
    old = part.with_suffix(".old")
    with free(folder):  # locked, so that nobody gives it back meanwhile
        folder.rename(old)
        try:
            part.rename(folder)
        except BaseException:
            old.rename(folder)
            raise
        remove(old)
