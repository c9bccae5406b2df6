"""Writing label files by other means than the package's own, and asking that a file is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from labelgrid.basics.errors import LabelError


def png(path: Path, array: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), array[..., ::-1] if array.ndim == 3 else array)
    return path


def npy(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def refused(read, path: Path, options: object, *words: str) -> str:
    with pytest.raises(LabelError) as error:
        read(path, options)
    text = str(error.value)
    assert str(path) in text
    for word in words:
        assert word in text, text
    return text
