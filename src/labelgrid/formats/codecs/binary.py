"""Reads and writes binary maps (saliency, edges): a file of 1 bit, or one of 0 and 255."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelgrid.basics.array_types import Array, Bools
from labelgrid.basics.errors import LabelError
from labelgrid.basics.recognition import Recognition
from labelgrid.basics.type_names import Json
from labelgrid.basics.words import count_text, join_names
from labelgrid.formats.arrays import one_channel, samples, save_png, shape_text
from labelgrid.formats.arrays import stored_size as stored_size
from labelgrid.formats.channels import equal_channels, shown_grey, without_alpha
from labelgrid.formats.codec import Form, LabelArray
from labelgrid.formats.heads import head_of
from labelgrid.formats.regions import UNCOVERED, RegionMap

EXTENSIONS = (".png", ".tiff", ".tif", ".bmp", ".npy")
CHANNELS = 1
DTYPE = np.float32
EXAMPLES = ((0.0,), (1.0,))
#: The largest threshold: what is written must reach it.
HIGHEST = 65535


@dataclass(frozen=True)
class Options(Form):
    """The meaning of a binary map's numbers.

    Args:
        one_is_positive: 8-bit files hold 0 and 1 instead of 0 and 255.
        threshold: in files of any numbers, numbers from here on are yes, smaller ones are no;
            `one_is_positive` has no effect then. None: only the numbers of yes and no are allowed.
    """

    one_is_positive: bool = False
    threshold: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold is not None and not 0 < self.threshold <= HIGHEST:
            raise ValueError(
                f"threshold must be above 0 and at most {HIGHEST}; it is {self.threshold:g}"
            )


def read(path: Path, options: Options) -> LabelArray:
    """Read 0 or 1 per pixel (float32, c = 1), valid everywhere.

    A picture may hold the map in three equal channels, and have an alpha channel without
    transparency.

    Raises:
        LabelError: without `threshold`, grey values between no and yes, 0 and 1 without
            `one_is_positive`, or numbers of another type than 8 bits; colours, or a damaged file.
    """
    stored = without_alpha(shown_grey(samples(path), path), path, "A binary map")
    grey = equal_channels(stored)
    if grey is None:
        grey = one_channel(stored, path, "A binary map")
    if grey.dtype == np.bool_:
        return _label(grey)
    if options.threshold is not None:
        return _label(_above(grey, options.threshold, path))
    if grey.dtype != np.uint8:
        raise LabelError(
            f"A binary map is a file of 1 bit or 8 bits; this one is {shape_text(grey)}.",
            where=path,
            **_declare_threshold(grey),
        )
    yes = _number_of_yes(options)
    positive = grey == yes
    if not grey[~positive].any():
        return _label(positive)
    values, counts = np.unique(grey, return_counts=True)
    wrong = ~np.isin(values, (0, yes))
    if values[-1] == 1:
        raise LabelError(
            "The largest value of this binary map is 1, where 'yes' is 255.",
            where=path,
            next_step="If 1 means 'yes', declare it: `one_is_positive = true`.",
            declare={"one_is_positive": True},
        )
    others = join_names(values[wrong].tolist(), 5)
    pixels = count_text(int(counts[wrong].sum()), "pixel")
    raise LabelError(
        f"A binary map holds only 0 and {yes}; this one has {pixels} of other values, {others}.",
        where=path,
        **_declare_threshold(grey),
    )


def _above(grey: Array, threshold: float, path: Path) -> Bools:
    if np.isnan(grey).any():
        raise LabelError(
            f"{np.isnan(grey).mean():.1%} of the numbers of this binary map are NaN.",
            where=path,
            next_step="Write 0 where the answer is no.",
        )
    largest = grey.max()
    if 0 < largest <= 1 < threshold:
        raise LabelError(
            f"The largest value of this binary map is {largest:g}, and 'yes' begins at "
            f"{threshold:g}.",
            where=path,
            **_declare_threshold(grey),
        )
    return np.asarray(grey >= threshold)


def _declare_threshold(grey: Array) -> Json:
    """The next step of an error that a threshold prevents: half of the possible numbers."""
    largest = float(np.nanmax(grey, initial=0))
    threshold = 0.5
    if largest > 1:
        threshold = 128 if largest <= 255 else 32768
    return {
        "next_step": f"Declare from which number on a pixel is 'yes': `threshold = {threshold:g}`.",
        "declare": {"threshold": threshold},
    }


def _number_of_yes(options: Options) -> int:
    if options.threshold is not None:
        return 255 if options.threshold <= 255 else HIGHEST
    if options.one_is_positive:
        return 1
    return 255


def _label(yes: Bools) -> LabelArray:
    return LabelArray(yes.astype(np.float32)[..., None], np.ones(yes.shape, np.bool_))


def write(path: Path, label: LabelArray, options: Options) -> None:
    """Write an 8-bit PNG of 0 and 255 (0 and 1 with `one_is_positive`).

    It has 16 bits if the threshold is above 255.

    Raises:
        LabelError: some pixels are not valid (the format has no number for them), or the disk
            reports an error.
    """
    if not label.valid.all():
        raise LabelError(
            f"A binary map cannot mark pixels as not labelled; {int((~label.valid).sum())} pixels "
            "are not labelled.",
            where=path,
        )
    yes = _number_of_yes(options)
    numbers = np.where(label.value[..., 0] > 0.5, yes, 0)
    save_png(path, numbers.astype(np.uint8 if yes <= 255 else np.uint16))


def region_names(_options: Options) -> tuple[str, ...]:
    """None: a region is named after its task."""
    return ()


def from_regions(regions: RegionMap, _options: Options) -> LabelArray:
    """The binary map of regions: yes where one covers a pixel.

    Raises:
        LabelError: a region declares pixels as not labelled, which the format cannot say.
    """
    if (regions < UNCOVERED).any():
        raise LabelError(
            "A binary map cannot mark pixels as not labelled, as an ignored region does.",
            next_step="Remove the region, or map its name to the task.",
        )
    return _label(regions >= 0)


def to_regions(label: LabelArray, _options: Options) -> RegionMap:
    """The region of a binary map: what is yes."""
    yes = (label.value[..., 0] > 0.5) & label.valid
    return np.where(yes, 0, UNCOVERED).astype(np.int32)


def recognise(path: Path) -> Recognition | None:
    """Recognise a file of 1 bit, or of 8 bits; a PNG, if its first rows hold 0 and 255 alone.

    If a file holds only one of the two values, it may also be another kind of map.
    """
    head = head_of(path, EXTENSIONS)
    if head is None or head.channels != 1 or head.palette:
        return None
    if head.dtype == np.bool_:
        return Recognition("a binary map", 0.9)
    if head.dtype != np.uint8 or not head.numbers <= {0, 255}:
        return None
    return Recognition("a binary map", 0.8 if len(head.numbers) > 1 else 0.5)


def describe(options: Options) -> str:
    """Describe the file to annotators."""
    if options.threshold is not None:
        return (
            f"PNG, TIFF, BMP or .npy: {options.threshold:g} and more is yes, less is no; or a PNG "
            "of 1 bit."
        )
    return f"PNG, 8 bits: {_number_of_yes(options)} is yes, 0 is no; or a PNG of 1 bit."
