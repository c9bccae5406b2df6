"""Fills polygons and decodes COCO's run lengths, with pycocotools."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import LabelError


def fill_polygon(ring: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels [h, w] inside a polygon [n, 2] of x and y.

    Raises:
        LabelError: pycocotools is not installed.
    """
    runs = _pycocotools().frPyObjects([ring.ravel().tolist()], *size)
    return decode(runs[0])


def decode(runs: dict[str, Any]) -> NDArray[np.bool_]:
    """The pixels [h, w] of COCO's compressed run lengths, whose `counts` are bytes.

    Raises:
        LabelError: pycocotools is not installed.
    """
    with warnings.catch_warnings():  # pycocotools 2.0.11 has an `__array__` of NumPy 1
        warnings.simplefilter("ignore", DeprecationWarning)
        mask: NDArray[np.uint8] = _pycocotools().decode(runs)
    return mask.astype(np.bool_)


def _pycocotools() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise LabelError(
            "Polygons and run lengths need the package pycocotools, which is not installed.",
            next_step="Run `pip install 'labelgrid[tools]'`.",
        ) from error
    return mask
