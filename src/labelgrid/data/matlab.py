"""Reads variables of Matlab's .mat files."""

import io
import math
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from labelgrid.errors import LabelError
from labelgrid.files import read_bytes
from labelgrid.labels.opening import max_bytes, max_pixels

_NEWER = b"MATLAB 7.3"


def variable(path: Path, name: str) -> NDArray[Any]:
    """Read one variable of a .mat file, as Matlab 5 to 7.2 write them. Structures become arrays with named fields.

    Raises:
        LabelError: the file is missing, damaged, of Matlab 7.3, or lacks the variable, or the variable is too large.
    """
    from scipy.io import loadmat, whosmat

    try:
        data = read_bytes(path, max_bytes())
    except OSError as error:
        raise LabelError(f"The label cannot be read: {error.strerror}.", where=str(path)) from error
    if data.startswith(_NEWER):
        raise LabelError("This is a file of Matlab 7.3.", where=str(path), next_step="Save it again with '-v7'.")
    try:
        shapes = {found: shape for found, shape, _ in whosmat(io.BytesIO(data))}
        if name in shapes and math.prod(shapes[name]) <= max_pixels():
            value: NDArray[Any] = loadmat(io.BytesIO(data), variable_names=[name])[name]
            return value
    except Exception as error:  # SciPy raises whatever damaged bytes lead to
        raise LabelError(
            f"The .mat file is damaged or cut short: {error}.", where=str(path), next_step="Get the file again."
        ) from error
    if name in shapes:
        raise LabelError(f"'{name}' is too large: {shapes[name]}.", where=str(path))
    found = ", ".join(shapes) or "nothing"
    raise LabelError(f"The .mat file has no variable '{name}'; it has {found}.", where=str(path))
