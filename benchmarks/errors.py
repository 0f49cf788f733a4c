"""What stops a run and can be said in one line: shown without a traceback, and no record is left."""


class RunError(Exception):
    """A run cannot start or cannot go on; the message names the thing and says what to do."""


class NonFiniteError(RunError):
    """A loss or a metric became NaN or infinite."""


class StorageError(RunError):
    """The results folder cannot take a record."""


class DataError(RunError):
    """Data or a pre-trained model are missing or are not what they should be; the command ends with exit code 2."""
