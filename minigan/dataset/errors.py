"""The one exception for data that cannot be had: missing, damaged, or not what it says it is.

Its text is a whole sentence that names the file, what was found, what was wanted and what to do, so that a command
line may print it as it stands.
"""

from __future__ import annotations


class DataError(ValueError):
    """A data file or folder that cannot be used; the message says which, why, and what to do."""
