"""How label files become arrays and back: one form for all formats, each format one file in `formats/`."""

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from labelgrid import plugins
from labelgrid.config import parse
from labelgrid.errors import LabelError

O_contra = TypeVar("O_contra", contravariant=True)


@dataclass(frozen=True)
class LabelArray:
    """A label as arrays; "ignore" numbers end here and are a mask from now on.

    Args:
        value: [h, w, c]: int64 class indices (c = 1) or float32 values; undefined where not valid.
        valid: bool [h, w].
        annotated: bool [classes], the classes that were looked for; None: all. A pixel says nothing of the others.
    """

    value: NDArray[Any]
    valid: NDArray[np.bool_]
    annotated: NDArray[np.bool_] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.valid.shape[0], self.valid.shape[1]


@dataclass(frozen=True, kw_only=True)
class Form:
    """What every format can be told.

    Args:
        stride: the image's sides are so many times as long as the label's; each number of the label stands for a
            square of so many pixels. In ledgers, `tasks.toml` and `--task` also by its old name, `coarser`.
    """

    stride: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= 64:
            raise ValueError(f"stride lies between 1 and 64; it is {self.stride}")

    def kept(self) -> dict[str, Any]:
        """All options as plain values under the names in checkpoints, where the stride is still `coarser`."""
        return {("coarser" if name == "stride" else name): value for name, value in asdict(self).items()}

    def upsample(self, label: LabelArray) -> LabelArray:
        """A file's label at its image's size.

        Example:
            >>> small = LabelArray(np.array([[[1], [2]]]), np.array([[True, False]]))
            >>> Form(stride=2).upsample(small).value[..., 0].tolist()
            [[1, 1, 2, 2], [1, 1, 2, 2]]
        """
        if self.stride == 1:
            return label
        value, valid = (a.repeat(self.stride, 0).repeat(self.stride, 1) for a in (label.value, label.valid))
        return replace(label, value=value, valid=valid)

    def downsample(self, label: LabelArray) -> LabelArray:
        """A label of an image's size as its file holds it: the middle number of each square of `stride` pixels.

        Raises:
            LabelError: the image's sides are no multiples of `stride`.
        """
        step, (height, width) = self.stride, label.size
        if height % step or width % step:
            raise LabelError(
                f"The image is {height}x{width}, and the task's labels have a stride of {step}: that is no whole size."
            )
        taken = (slice(step // 2, None, step),) * 2
        return replace(label, value=label.value[taken], valid=label.valid[taken])


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
    """The format module `name`, or the object `"package.module:object"` of one's own."""
    if ":" in name:
        return cast("Codec[Any]", plugins.resolve("labels.formats", name))
    return cast("Codec[Any]", importlib.import_module(f"labelgrid.labels.formats.{name}"))


def options_of(name: str, values: Mapping[str, Any], where: str) -> Any:
    """The checked options of a format from plain values; `coarser`, the old name of `stride`, is read too."""
    if "stride" not in values:
        values = {("stride" if key == "coarser" else key): value for key, value in values.items()}
    return parse(cast("Any", codec(name)).Options, values, where)


def digest(path: Path) -> str:
    """The content hash of a file, as the ledger keeps it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
