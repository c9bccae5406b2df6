"""Defines the label codec, which each module of `formats/codecs` implements, and label arrays."""

import importlib
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, cast

import numpy as np

from labelgrid.basics import plugins
from labelgrid.basics.array_types import AnyFloats, Array, Bools, Floats32, Places
from labelgrid.basics.config import parse
from labelgrid.basics.errors import LabelError, LabelSizeError
from labelgrid.basics.files import digest
from labelgrid.basics.shown import Shown
from labelgrid.basics.type_names import Size, Values

#: What to do about a label of another size than its image, where the two are only read.
RESIZED = "Replace the one that was resized, cropped or turned."
#: Sides of two sizes whose ratios differ by more are of different pictures, or one was cropped.
ASPECT = 0.02
#: A label of more pixels is judged by a part of them: as many as 480x640 has.
JUDGED = 480 * 640
#: No more may the share of valid pixels of a sample differ from that of all pixels.
PATTERN = 0.1
#: What to do about a label file that changed in the project.
RESTORE = "Import the right file again; `labelgrid verify` lists all changed files."
O_contra = TypeVar("O_contra", contravariant=True)


class UpTo(NamedTuple):
    """How the numbers of a supplied map differ from those of the task's labels.

    Numbers of the task, or their inverse, become those of the map by a positive scale, and a shift.

    Args:
        shift: whether the shift is unknown, too; otherwise it is 0.
        inverse: whether the map holds the inverse of the task's numbers.
        spread: the usual spread of true labels, in the task's numbers.
        least: below this the inverse goes on along its tangent.
    """

    shift: bool
    inverse: bool
    spread: float
    least: float

    def in_map(self, values: Array) -> AnyFloats:
        """Numbers of the task as those of the map are, but for a scale and a shift.

        Below `least`, the inverse goes on along its tangent there.
        """
        values = values.astype(np.float64)
        if not self.inverse:
            return values
        near = np.maximum(values, self.least)
        return 1 / near + np.maximum(self.least - values, 0) / self.least**2


class Unsure(NamedTuple):
    """How sure a supplier's label is, see `LabelArray`; at least one field is given."""

    confidence: Floats32 | None = None
    up_to: UpTo | None = None


@dataclass(frozen=True, repr=False)
class LabelArray(Shown):
    """A label as arrays; the file's "ignore" numbers have become a mask.

    Args:
        value: [h, w, c]: int64 class indices (c = 1) or float32 values; undefined where not valid.
        valid: bool [h, w].
        annotated: bool [classes], the classes that were annotated; None: all. Pixels say nothing
            about other classes.
        unsure: what a supplier says of the label; None of a true label, or of one taken for true.
    """

    value: Array
    valid: Bools
    annotated: Bools | None = None
    unsure: Unsure | None = None

    @property
    def confidence(self) -> Floats32 | None:
        """The supplier's confidence in each pixel, float32 [h, w], 0 to 1; None: 1."""
        return self.unsure.confidence if self.unsure else None

    @property
    def up_to(self) -> UpTo | None:
        """How the numbers of a supplied map differ from the task's; None: not at all."""
        return self.unsure.up_to if self.unsure else None

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.valid.shape[0], self.valid.shape[1]

    def with_confidence(self, confidence: Floats32) -> "LabelArray":
        """The label with the confidence [h, w] of a supplier."""
        return replace(self, unsure=Unsure(confidence, self.up_to))

    def where_confident(self) -> "LabelArray":
        """The label without the pixels whose confidence is 0."""
        if self.confidence is None:
            return self
        return replace(self, valid=self.valid & (self.confidence > 0))

    def sample(self) -> "LabelArray":
        """Every n-th row and column of a label of more than `JUDGED` pixels; else the label itself.

        Sparse labels, of which less than half is valid, are left whole: steps could miss the rows
        of a sensor. So are labels whose valid pixels lie in a pattern that the steps hit or miss.

        Example:
            >>> large = LabelArray(np.zeros((2048, 2048, 1)), np.ones((2048, 2048), bool))
            >>> large.sample().size
            (512, 512)
        """
        pixels = self.valid.size
        if pixels <= JUDGED:
            return self
        fraction = np.count_nonzero(self.valid) / pixels
        if fraction < 0.5:
            return self
        step = math.ceil(math.sqrt(pixels / JUDGED))
        rows, columns = (slice(min(step, side) // 2, None, step) for side in self.size)
        valid = self.valid[rows, columns]
        if abs(np.count_nonzero(valid) / valid.size - fraction) > PATTERN:
            return self
        return self.part(rows, columns)

    def part(self, rows: slice, columns: slice) -> "LabelArray":
        """The label at some rows and columns."""
        part = LabelArray(self.value[rows, columns], self.valid[rows, columns], self.annotated)
        if self.confidence is not None:
            return replace(part, unsure=Unsure(self.confidence[rows, columns], self.up_to))
        return replace(part, unsure=self.unsure)

    def resized(self, size: Size) -> "LabelArray":
        """The label at another size, see `nearest_pixels`."""
        if self.size == size:
            return self
        here = np.ix_(*map(nearest_pixels, self.size, size))
        label = replace(self, value=self.value[here], valid=self.valid[here])
        return label if label.confidence is None else label.with_confidence(label.confidence[here])

    def __str__(self) -> str:
        height, width = self.size
        channels = self.value.shape[2]
        return f"{height}x{width}x{channels} {self.value.dtype}, valid at {self.valid.mean():.1%}."


class LazyLabel(LabelArray):
    """A label whose numbers are decoded on demand: often only a part of a large label is read.

    Example:
        >>> halve = lambda stored, valid: stored / 2
        >>> label = LazyLabel.of(np.array([[[2], [4]]]), np.ones((1, 2), bool), halve)
        >>> label.part(slice(1), slice(1)).value.tolist(), label.value.tolist()
        ([[[1.0]]], [[[1.0], [2.0]]])
    """

    @classmethod
    def of(
        cls, stored: Array, valid: Bools, decode: Callable[..., Array], *options: object
    ) -> "LazyLabel":
        """The label of numbers in a file, [h, w, c].

        Args:
            stored: the numbers.
            valid: bool [h, w].
            decode: a function of `stored` and `valid`, or a part of both, and `options`, which
                decodes each pixel by itself.
            options: its further arguments.
        """
        label = object.__new__(cls)
        vars(label).update(valid=valid, annotated=None, stored=(stored, decode, options))
        return label

    def __getattr__(self, name: str) -> Array:
        if name != "value" or not vars(self).keys() & {"stored", "value"}:
            raise AttributeError(name)
        given = vars(self).get("stored")
        if given:  # else another thread has just decoded it
            stored, decode, options = given
            vars(self).update(value=decode(stored, self.valid, *options))
            vars(self).pop("stored", None)
        return vars(self)["value"]

    def sample(self) -> LabelArray:
        """As `LabelArray.sample`, kept: its numbers are decoded once."""
        if "few" not in vars(self):
            few = super().sample()
            if few is self:
                return self
            vars(self).update(few=few)
        return vars(self)["few"]

    def part(self, rows: slice, columns: slice) -> LabelArray:
        """As `LabelArray.part`, of which alone the numbers are decoded."""
        given = vars(self).get("stored")
        if given is None:
            return super().part(rows, columns)
        stored, decode, options = given
        valid = self.valid[rows, columns]
        return LabelArray(decode(stored[rows, columns], valid, *options), valid)


def known_numbers(plane: Array, valid: Bools) -> Array:
    """The numbers [n] at the valid pixels of a map [h, w]; do not write into them.

    Example:
        >>> known_numbers(np.array([[1, 2], [3, 4]]), np.array([[True, False], [True, True]]))
        array([1, 3, 4])
    """
    if valid.all():  # a mask takes far longer
        return plane.reshape(-1)
    return plane[valid]


def finite_pixels(value: Array) -> Bools:
    """The mask [h, w] of pixels at which all numbers of a map [h, w, c] are finite.

    Example:
        >>> finite_pixels(np.array([[[1.0, np.nan], [1.0, 2.0]]]))
        array([[False,  True]])
    """
    if value.dtype.kind != "f":
        return np.ones(value.shape[:2], np.bool_)
    finite = np.isfinite(value[..., 0])
    for channel in range(1, value.shape[2]):  # NumPy is slow along an axis of three
        finite &= np.isfinite(value[..., channel])
    return finite


@dataclass(frozen=True, kw_only=True)
class Form:
    """The options that every label format has.

    Args:
        stride: the ratio of the image's sides to the label's; each number of the label stands for
            a square of stride x stride pixels.
        resample: "nearest": a label of another size is resized to the image's, each pixel by the
            nearest number; the aspect ratios may differ by 2 %. None: such a label is refused.
    """

    stride: int = 1
    resample: Literal["nearest"] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= 64:
            raise ValueError(f"stride must be from 1 to 64; it is {self.stride}")
        if self.resample and self.stride > 1:
            raise ValueError("a label that is resampled has no stride: leave one out")

    def at_size(self, label: LabelArray, size: Size) -> LabelArray:
        """Resample a label to its image's size, if declared, and if the shapes agree.

        Each pixel takes the number, and the validity, of the pixel that its middle lies in.

        Example:
            >>> small = LabelArray(np.array([[[1], [2]]]), np.array([[True, False]]))
            >>> Form(resample="nearest").at_size(small, (2, 4)).value[..., 0].tolist()
            [[1, 1, 2, 2], [1, 1, 2, 2]]
        """
        if not self.resample or not same_shape(label.size, size):
            return label
        return label.resized(size)

    def upsample(self, label: LabelArray) -> LabelArray:
        """Repeat a file's label to its image's size.

        Example:
            >>> small = LabelArray(np.array([[[1], [2]]]), np.array([[True, False]]))
            >>> Form(stride=2).upsample(small).value[..., 0].tolist()
            [[1, 1, 2, 2], [1, 1, 2, 2]]
        """
        if self.stride == 1:
            return label
        value = label.value.repeat(self.stride, 0).repeat(self.stride, 1)
        valid = label.valid.repeat(self.stride, 0).repeat(self.stride, 1)
        return replace(label, value=value, valid=valid)

    def downsample(self, label: LabelArray) -> LabelArray:
        """Reduce a label from the image's size to the file's size.

        It takes the middle number of each square of `stride` pixels.

        Raises:
            LabelError: the image's sides are not multiples of `stride`.
        """
        step = self.stride
        height, width = label.size
        if height % step or width % step:
            raise LabelError(
                f"The image is {height}x{width}, which the stride of the task's labels, {step}, "
                "does not divide."
            )
        middles = (slice(step // 2, None, step),) * 2
        return replace(label, value=label.value[middles], valid=label.valid[middles])


def nearest_pixels(length: int, wanted: int) -> Places:
    """The pixel of a side of one length that the middle of each pixel of the wanted length lies in.

    Example:
        >>> nearest_pixels(2, 4), nearest_pixels(6, 2)
        (array([0, 0, 1, 1]), array([1, 4]))
    """
    return ((2 * np.arange(wanted) + 1) * length) // (2 * wanted)


def same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes, height and width, can be of the same picture: their shapes agree.

    Example:
        >>> same_shape((480, 640), (968, 1296)), same_shape((480, 640), (640, 480))
        (True, False)
    """
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= ASPECT


def size_error(
    label: tuple[int, int], image: tuple[int, int], advice: str, where: str = "", task: str = ""
) -> LabelSizeError:
    """The error about a label of another size than its image.

    Args:
        label: the label's height and width.
        image: the image's height and width.
        advice: what to do; if the shapes agree, `resample` is named, too.
        where: the file.
        task: the label's, if the file does not say it.
    """
    declare = {}
    if same_shape(label, image):
        declare["resample"] = "nearest"
        advice = (
            f"{advice.removesuffix('.')}; or, if labels come from a sensor of another resolution, "
            'declare `resample = "nearest"`.'
        )
    subject = f"The {task} label" if task else "The label"
    return LabelSizeError(
        f"{subject} is {label[0]}x{label[1]}, its image is {image[0]}x{image[1]} (height x width).",
        where=where,
        next_step=advice,
        declare=declare,
    )


class Codec(Protocol[O_contra]):
    """The functions of a module of `formats/codecs`, which also has a frozen dataclass `Options`.

    A module may also have `stored_size(path)`, the height and width in a file's header or None:
    then a label of another size than its image is refused before it is decoded. And
    `read_prediction(path, options)`, if a prediction in such a file may have values that a
    label may not have. And, for kinds with `up_to`, `read_relative(path, options, shift)`: a map
    that is true up to a scale, or a shift, too, in numbers that a label may have; None if `read`
    reads the same. And `recognise(path)`: a `labelgrid.basics.recognition.Recognition` of a
    file that may be of the format, by its head (`labelgrid.formats.heads`), or None; it reads
    little and raises nothing. And, for labels that a tool can draw as regions,
    `region_names(options)`: the names of regions, none if these are named after the task;
    `from_regions(regions, options)`: the label of a `labelgrid.formats.regions.RegionMap`; and
    its inverse, `to_regions(label, options)`. And, for labels of classes, `limit_classes(label,
    class_count, options)`: a label that is older than a class; and `legend(options, colours)`: a
    `labelgrid.formats.colours.LegendRow` for each number. And `EXAMPLES`: two or more pixels of
    `CHANNELS` numbers that every file of the format can hold; `labelgrid.testing.formats`
    makes labels of them.
    """

    EXTENSIONS: tuple[str, ...]  #: the extensions that it reads; it writes the first
    CHANNELS: int  #: c of its arrays' values
    DTYPE: type[np.generic]  #: type of the values: int64 for class indices, float32 otherwise

    def read(self, path: Path, options: O_contra) -> LabelArray:
        """Read the label in the file; raises `LabelError` if it is wrong."""

    def write(self, path: Path, label: LabelArray, options: O_contra) -> None:
        """Write the label; `read` must return the same label."""

    def describe(self, options: O_contra) -> str:
        """Describe the file to annotators: a line that stands alone, then a line per item."""


def codec(name: str) -> Codec[Any]:
    """The format module `name`, an installed one, or your own object `"package.module:object"`.

    Raises:
        PluginError: there is no such format.
    """
    if ":" not in name:
        with suppress(ModuleNotFoundError):
            return cast("Codec[Any]", importlib.import_module(f"labelgrid.formats.codecs.{name}"))
    if not plugins.is_own("formats", name):
        return cast("Codec[Any]", plugins.module("formats", name))
    resolved = plugins.resolve("formats", name)
    return cast("Codec[Any]", plugins.check_plugin("formats", name, resolved))


def options_of(name: str, values: Values, where: str) -> Any:
    """Check the options of a format."""
    return parse(cast("Any", codec(name)).Options, values, where)


def check_digest(path: Path, expected: str) -> None:
    """Check that a label file still has the imported content; "" accepts any content.

    Raises:
        LabelError: it is missing, cannot be read, or has other content.
    """
    try:
        content = digest(path)
    except OSError as error:
        fault = f"The label cannot be read: {error.strerror}."
        raise LabelError(fault, where=path, next_step=RESTORE) from error
    if expected and content != expected:
        fault = "The label is not the one that was imported: the content of its file has changed."
        raise LabelError(fault, where=path, next_step=RESTORE)
