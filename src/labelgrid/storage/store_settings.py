"""Reads what the environment says of the cache of objects and of unreachable stores.

A variable that is no positive number is a `UsageError`.
"""

import os
from pathlib import Path

from labelgrid.basics.errors import UsageError

#: The variables that set the folder of the cache, its size in GB, and how many seconds a store that
#: does not answer is asked again.
FOLDER = "LABELGRID_CACHE"
SIZE = "LABELGRID_CACHE_GB"
PATIENCE = "LABELGRID_STORAGE_PATIENCE"
#: What they are if they are not set.
DEFAULT_GB = 20.0
DEFAULT_PATIENCE = 30.0


def cache_folder() -> Path:
    """The folder of the cache: set by the variable, or below the user's folder of caches."""
    text = os.environ.get(FOLDER, "")
    if text:
        return Path(text).absolute()
    base = os.environ.get("XDG_CACHE_HOME", "") or Path("~/.cache").expanduser()
    return Path(base, "labelgrid", "objects")


def cache_bytes() -> int:
    """The most bytes that the cache keeps."""
    return round(_positive(SIZE, DEFAULT_GB) * 1e9)


def patience() -> float:
    """How many seconds a store that does not answer is asked again."""
    return _positive(PATIENCE, DEFAULT_PATIENCE)


def _positive(name: str, default: float) -> float:
    text = os.environ.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if 0 < value < 1e9:
        return value
    raise UsageError(
        f"{name} is '{text}'; it must be a positive number.", next_step="Fix or unset it."
    )
