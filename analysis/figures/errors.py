"""Why a figure is not there."""


class NothingToDrawError(Exception):
    """A figure for which the results hold nothing; the message says what is missing."""
