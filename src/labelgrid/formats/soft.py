"""Reads and writes soft predictions: quantised values, so that a threshold can be chosen later.

The file is a `.npz` (a zip of NumPy arrays) with `steps`, uint8 or uint16 [c, h, w], and `ends`,
float64 [2]: step s of n bits means ends[0] + s / (2^n - 1) * (ends[1] - ends[0]). `numpy.load`
reads it too.
"""

import io
import zlib
from pathlib import Path
from typing import Any, Literal
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Floats32
from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import open_regular
from labelgrid.formats.arrays import save_bytes, shape_text
from labelgrid.formats.npz import open_arrays, stated_array, unpack
from labelgrid.images.opening import CONTENT, max_pixels

EXTENSION = ".npz"
#: A file whose arrays are larger is refused, in bytes.
#: 40 classes of a 4K image in 16 bits have 0.7 · 10^9.
LARGEST = 2**32
_NAMES = ("steps.npy", "ends.npy")


def write_soft(
    path: Path, prediction: NDArray[np.floating[Any]], bits: Literal[8, 16] = 16
) -> None:
    """Write a prediction [c, h, w], quantised between its smallest and largest value, atomically.

    Values are read back within half a step, the two ends exactly. Equal predictions give identical
    files.

    Raises:
        LabelError: a value is not finite, or the disk reports an error.

    Example:
        >>> from tempfile import mkdtemp
        >>> file = Path(mkdtemp()) / "edges.npz"
        >>> write_soft(file, np.array([[[0.0, 0.25, 1.0]]]))
        >>> (read_soft(file) > 0.2).tolist()
        [[[False, True, True]]]
    """
    if prediction.ndim != 3 or not np.isfinite(prediction).all():
        infinite = int((~np.isfinite(prediction)).sum())
        raise LabelError(
            "A soft prediction has c x h x w finite values; "
            f"this one is {shape_text(prediction)}, with {infinite} that are not finite.",
            where=path,
        )
    ends = np.array([prediction.min(), prediction.max()], np.float64)
    largest = 2**bits - 1
    width = float(ends[1] - ends[0]) or 1.0
    steps = np.rint((prediction.astype(np.float64) - ends[0]) * (largest / width))
    packed = io.BytesIO()
    with ZipFile(packed, "w") as archive:
        for name, array in (("steps", steps.astype(f"<u{bits // 8}")), ("ends", ends)):
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            info = ZipInfo(f"{name}.npy")  # without a timestamp
            archive.writestr(info, member.getvalue(), ZIP_DEFLATED)
    save_bytes(path, packed.getvalue())


def read_soft(path: Path) -> Floats32:
    """Read the prediction [c, h, w] in a file.

    Raises:
        LabelError: the file is missing, damaged, or holds something else.
    """
    try:
        with open_regular(path) as file, open_arrays(file) as archive:
            stated = [stated_array(archive, archive.getinfo(name)) for name in _NAMES]
            most = min(CONTENT * max_pixels(), LARGEST)
            if sum(array.size for array in stated) > most:
                raise ValueError(f"its arrays have more than {most / 1e6:,.0f} MB")
            steps, ends = (unpack(archive, array, path) for array in stated)
        if steps.dtype not in (np.uint8, np.uint16) or steps.ndim != 3:
            raise ValueError(f"its steps are {shape_text(steps)}")
        if ends.shape != (2,) or not np.isfinite(ends).all() or ends[0] > ends[1]:
            raise ValueError("its ends are not two finite numbers in ascending order")
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        BadZipFile,
        zlib.error,
        SyntaxError,
        NotImplementedError,
    ) as error:
        raise LabelError(
            f"This is not a soft prediction file: {error}.", where=path, next_step="Predict again."
        ) from error
    low = float(ends[0])
    high = float(ends[1])
    return (low + steps * ((high - low) / np.iinfo(steps.dtype).max)).astype(np.float32)
