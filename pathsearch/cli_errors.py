"""What a person is told when a command fails: one line, and an exit code that says whose mistake it was."""

from __future__ import annotations

import errno

from data_prep.errors import PathsearchError

MISTAKE, FAULT = 2, 1  # exit codes: something a person can mend, something of ours
FULL = "No space left on device"
CLASH = "operator torchvision::nms does not exist"  # what torchvision says beside a torch that it was not built for


def explain(error: BaseException) -> tuple[str, int]:
    """One line that says what is wrong and what to do, and the exit code."""
    text = " ".join(str(error).split())
    if isinstance(error, PathsearchError):
        return text, MISTAKE
    if FULL in text or getattr(error, "errno", None) == errno.ENOSPC:  # libraries say it in words of their own
        file = getattr(error, "filename", None)
        return f"{file or text}: the disk is full; make room, then give the same command again", MISTAKE
    if CLASH in text:
        return (
            "torch and torchvision do not fit each other; in a fresh virtual environment: pip install torch "
            f"torchvision, so that pip chooses both together (torchvision says: {text})"
        ), MISTAKE
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}", MISTAKE
    if isinstance(error, (ImportError, OSError)):
        return text, MISTAKE
    return f"unexpected {type(error).__name__}: {text}; --traceback shows where", FAULT
