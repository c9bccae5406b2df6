"""How label files become arrays and back: one form for all formats, each format one file in `formats/`."""

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from labelgrid.config import parse
from labelgrid.errors import LabelError

O_contra = TypeVar("O_contra", contravariant=True)


@dataclass(frozen=True)
class LabelArray:
    """A label as arrays; "ignore" numbers end here and are a mask from now on.

    Args:
        value: [h, w, c]: int64 class indices (c = 1) or float32 values; undefined where not valid.
        valid: bool [h, w].
    """

    value: NDArray[Any]
    valid: NDArray[np.bool_]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.valid.shape[0], self.valid.shape[1]


@dataclass(frozen=True, kw_only=True)
class Form:
    """What every format can be told.

    Args:
        coarser: the image's sides are so many times as long as the label's; each number stands for that many pixels
            down and across.
    """

    coarser: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.coarser <= 64:
            raise ValueError(f"coarser lies between 1 and 64; it is {self.coarser}")

    def spread(self, label: LabelArray) -> LabelArray:
        """A file's label at its image's size.

        Example:
            >>> small = LabelArray(np.array([[[1], [2]]]), np.array([[True, False]]))
            >>> Form(coarser=2).spread(small).value[..., 0].tolist()
            [[1, 1, 2, 2], [1, 1, 2, 2]]
        """
        if self.coarser == 1:
            return label
        return LabelArray(*(a.repeat(self.coarser, 0).repeat(self.coarser, 1) for a in (label.value, label.valid)))

    def thinned(self, label: LabelArray) -> LabelArray:
        """A label of an image's size as its file holds it: every so many-th number of every so many-th row.

        Raises:
            LabelError: the image's sides are no multiples of `coarser`.
        """
        step, (height, width) = self.coarser, label.size
        if height % step or width % step:
            raise LabelError(
                f"The image is {height}x{width}, and the task's labels are {step} times coarser: that is no whole size."
            )
        taken = (slice(step // 2, None, step),) * 2
        return LabelArray(label.value[taken], label.valid[taken])


class Codec(Protocol[O_contra]):
    """What a module of `formats/` offers beside its frozen dataclass `Options`."""

    EXTENSIONS: tuple[str, ...]  #: what it reads, the first is what it writes
    CHANNELS: int  #: c of its arrays
    DTYPE: type[np.generic]  #: of its values: int64 for class indices, float32 for all else

    def read(self, path: Path, options: O_contra) -> LabelArray:
        """The label in the file; `LabelError` says what is wrong with it."""

    def write(self, path: Path, label: LabelArray, options: O_contra) -> None:
        """Write the label so that `read` gives it back."""

    def describe(self, options: O_contra) -> str:
        """What a file holds, for those who make labels: one line that stands alone, and lines for what it lists."""


def codec(name: str) -> Codec[Any]:
    """The format module `name`."""
    return cast("Codec[Any]", importlib.import_module(f"labelgrid.labels.formats.{name}"))


def options_of(name: str, values: Mapping[str, Any], where: str) -> Any:
    """The checked options of a format from plain values."""
    return parse(cast("Any", codec(name)).Options, values, where)


def digest(path: Path) -> str:
    """The content hash of a file, as the ledger keeps it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
