"""Reads and writes binary maps (saliency, edges): a 1-bit PNG, or an 8-bit PNG of 0 and 255."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelgrid.errors import LabelError
from labelgrid.formats.arrays import one_channel, samples, save_png, shape_text
from labelgrid.formats.arrays import stored_size as stored_size
from labelgrid.formats.codec import Form, LabelArray
from labelgrid.formats.heads import head_of
from labelgrid.formats.regions import UNCOVERED, RegionMap
from labelgrid.recognition import Recognition
from labelgrid.words import count_text, join_names

EXTENSIONS = (".png",)
CHANNELS = 1
DTYPE = np.float32
EXAMPLES = ((0.0,), (1.0,))


@dataclass(frozen=True)
class Options(Form):
    """The meaning of a binary map's numbers.

    Args:
        one_is_positive: 8-bit files hold 0 and 1 instead of 0 and 255.
    """

    one_is_positive: bool = False


def read(path: Path, options: Options) -> LabelArray:
    """Read 0 or 1 per pixel (float32, c = 1), valid everywhere.

    Raises:
        LabelError: grey values between no and yes, 0 and 1 without `one_is_positive`, colours, or a
            damaged file.
    """
    grey = one_channel(samples(path), path, "A binary map")
    if grey.dtype == np.bool_:
        return _label(grey)
    if grey.dtype != np.uint8:
        raise LabelError(
            f"A binary map is a 1-bit or 8-bit PNG; this one is {shape_text(grey)}.",
            where=str(path),
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
            where=str(path),
            next_step="If 1 means 'yes', declare it: `one_is_positive = true`.",
            declare={"one_is_positive": True},
        )
    others = join_names(values[wrong].tolist(), 5)
    pixels = count_text(int(counts[wrong].sum()), "pixel")
    raise LabelError(
        f"A binary map holds only 0 and {yes}; this one has {pixels} of other values, {others}.",
        where=str(path),
        next_step="Decide what is 'yes' (a threshold) and write the map again.",
    )


def _number_of_yes(options: Options) -> int:
    """The number that means yes in an 8-bit file."""
    if options.one_is_positive:
        return 1
    return 255


def _label(yes: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> LabelArray:
    return LabelArray(yes.astype(np.float32)[..., None], np.ones(yes.shape, np.bool_))


def write(path: Path, label: LabelArray, options: Options) -> None:
    """Write an 8-bit PNG of 0 and 255 (0 and 1 with `one_is_positive`).

    Raises:
        LabelError: some pixels are not valid (the format has no number for them), or the disk
            reports an error.
    """
    if not label.valid.all():
        raise LabelError(
            f"A binary map cannot mark pixels as not labelled; {int((~label.valid).sum())} pixels "
            "are not labelled.",
            where=str(path),
        )
    yes = _number_of_yes(options)
    save_png(path, np.where(label.value[..., 0] > 0.5, yes, 0).astype(np.uint8))


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
    """Recognise a PNG of 1 bit, or of 8 bits whose first rows hold 0 and 255 alone.

    If they hold one of the two, it may as well be another map.
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
    return f"PNG, 8 bits: {_number_of_yes(options)} is yes, 0 is no; or a PNG of 1 bit."
