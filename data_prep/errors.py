"""The errors a caller may want to react to; everything else is a plain `ValueError`."""


class PathsearchError(ValueError):
    """A mistake in the input that a person can mend: argument, expected, got, next step, in one line."""


class DataNotPrepared(PathsearchError):
    """A task has no manifest yet; the message prints the command that prepares it."""


class BadData(PathsearchError):
    """Raw or prepared data that cannot be used as it is; the message names the file and the fault."""


class CannotWrite(PathsearchError, OSError):
    """A file that could not be written, such as on a full disk; the message names it. What was there is as it was."""
