"""What stops a run and can be said in one line: shown without a traceback, and no record is left."""


class RunError(Exception):
    """A run cannot start or cannot go on; the message names the thing and says what to do."""


class NonFiniteError(RunError):
    """A loss or a metric became NaN or infinite."""


class StorageError(RunError):
    """The results folder cannot take a record."""
