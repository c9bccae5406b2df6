"""Reads and writes class maps: a PNG of class indices, with numbers that mean "not labelled"."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import LabelError
from labelgrid.formats.arrays import check_any_valid, one_channel, samples_and_text, save_png
from labelgrid.formats.arrays import stored_size as stored_size
from labelgrid.formats.codec import Form, LabelArray
from labelgrid.formats.heads import FEW, Head, head_of
from labelgrid.formats.regions import UNCOVERED, RegionMap
from labelgrid.recognition import Recognition
from labelgrid.words import count_text, join_names

EXTENSIONS = (".png",)
CHANNELS = 1
DTYPE = np.int64
EXAMPLES = ((0,), (1,))
#: The text in a PNG's metadata with the names of the classes that were annotated, one a line.
ANNOTATED = "annotated"


@dataclass(frozen=True)
class Options(Form):
    """The meaning of a class map's numbers.

    Args:
        classes: the names; the index in the file is the position in this list.
        ignore: numbers that mean "not labelled" besides 255 (8-bit) and 65535 (16-bit).
        merge: class -> the class that its pixels belong to. Files keep their indices.
    """

    classes: tuple[str, ...]
    ignore: tuple[int, ...] = ()
    merge: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.classes) < 2:
            raise ValueError(
                f"a class map needs at least 2 class names; {len(self.classes)} were given"
            )
        twice = sorted(name for name, count in Counter(self.classes).items() if count > 1)
        if twice:
            raise ValueError(f"class names must differ; given twice: {', '.join(twice)}")
        for name, into in self.merge.items():
            if name not in self.classes or into not in self.classes or into in self.merge:
                raise ValueError(
                    f"'{name}' cannot be merged into '{into}': "
                    f"both must be classes, '{into}' unmerged"
                )
        if len(self.names) < 2:
            raise ValueError("at least 2 classes must be left after merging")

    @property
    def names(self) -> tuple[str, ...]:
        """The classes that are left after merging."""
        return tuple(name for name in self.classes if name not in self.merge)

    @property
    def index(self) -> NDArray[np.int64]:
        """Int64 [classes]: the position in `names` of each index in a file."""
        positions = {name: position for position, name in enumerate(self.names)}
        merged = [self.merge.get(name, name) for name in self.classes]
        return np.array([positions[name] for name in merged], np.int64)


def read(path: Path, options: Options) -> LabelArray:
    """Read class indices (int64, c = 1) from a grey PNG of 8 or 16 bits, or a palette PNG.

    Raises:
        LabelError: colours instead of indices, an index without a class, no valid pixel, a damaged
            file, or its text `annotated` names no two classes.
    """
    array, text = samples_and_text(path, ANNOTATED)
    if array.ndim == 3:
        raise LabelError(
            "A class map holds one class index per pixel; "
            f"this one holds {array.shape[-1]} channels of colour.",
            where=str(path),
            next_step="Write indices: an 8- or 16-bit grey PNG, or a palette PNG.",
        )
    index = one_channel(array, path, "A class map")
    void = (*_void(array.dtype), *options.ignore)
    valid = np.ones(index.shape, np.bool_)
    for number in void:
        valid &= index != number
    wrong = valid & (index >= len(options.classes))
    if wrong.any():
        largest = int(index[wrong].max())
        raise LabelError(
            f"{_unnamed(index[wrong])}: "
            f"its {len(options.classes)} classes are 0 to {len(options.classes) - 1}.",
            where=str(path),
            next_step="Fix the label; or add the missing classes to `classes`, in the order of "
            "their indices; or declare the numbers that mean 'not labelled': "
            f"`ignore = [{largest}]`.",
            declare={"classes": "NAME", "ignore": [largest]},
        )
    merged = index.astype(np.int64)
    if options.merge:
        merged = options.index[np.where(valid, merged, 0)]
    why = f"not labelled are {', '.join(map(str, void))}"
    annotated = None
    if text is not None:
        annotated = _annotated_classes(text, path, options)
        valid &= annotated[np.where(valid, merged, 0)]
        why += ", and other classes"
    check_any_valid(valid, path, why)
    return LabelArray(merged[..., None], valid, annotated)


def _annotated_classes(text: str, path: Path, options: Options) -> NDArray[np.bool_]:
    """Bool [names]: the classes that a file's text names.

    Of merged classes it must name all.
    """
    lines = [line.strip() for line in text.splitlines()]
    names = [line for line in lines if line]
    unknown = [name for name in names if name not in options.classes]
    if unknown:
        raise LabelError(
            f"Its text '{ANNOTATED}' names '{unknown[0]}', which is no class of the task.",
            where=str(path),
            next_step=f"The classes are {join_names(options.classes, 5)}; write one name a line.",
        )
    annotated = np.ones(len(options.names), np.bool_)
    for position, name in zip(options.index, options.classes, strict=True):
        if name not in names:
            annotated[position] = False
    if annotated.sum() < 2:
        classes = count_text(int(annotated.sum()), "class", "classes")
        raise LabelError(
            f"Its text '{ANNOTATED}' names {classes}, and nothing can be learnt "
            "from fewer than two.",
            where=str(path),
            next_step="Name the class of all other pixels, too, such as 'background'.",
        )
    return annotated


def _void(dtype: np.dtype[np.generic]) -> tuple[int, ...]:
    """The numbers of this type that always mean "not labelled"."""
    if dtype.kind != "u":
        return ()
    return {1: (255,), 2: (65535,)}.get(dtype.itemsize, ())


def _unnamed(wrong: NDArray[Any]) -> str:
    """The beginning of the message about indices without a class."""
    values, counts = np.unique(wrong, return_counts=True)
    indices: list[str] = []
    for value, count in zip(values, counts, strict=True):
        indices.append(f"{value} ({count_text(count, 'pixel')})")
    return f"It holds indices without a class: {join_names(indices, 5)}"


def write(path: Path, label: LabelArray, options: Options) -> None:
    """Write a PNG of indices: 8 bits with 255 where not valid.

    For more than 255 classes it has 16 bits, and 65535 where not valid.

    Raises:
        LabelError: an index could not be read back unchanged, or the disk reports an error.
    """
    index = label.value[..., 0]
    if options.merge:  # write the file's own index of each class that is left
        in_file = np.array([options.classes.index(name) for name in options.names], np.int64)
        index = np.where(label.valid, in_file[np.where(label.valid, index, 0)], 0)
    wrong = label.valid & (
        (index < 0) | (index >= len(options.classes)) | np.isin(index, options.ignore)
    )
    if wrong.any():
        raise LabelError(
            f"{_unnamed(index[wrong])}, or a declared 'ignore' number.", where=str(path)
        )
    texts: dict[str, str] = {}
    if label.annotated is not None:
        texts[ANNOTATED] = _annotated_text(label.annotated, options)
    if len(options.classes) <= 255:
        save_png(path, np.where(label.valid, index, 255).astype(np.uint8), texts)
    else:
        save_png(path, np.where(label.valid, index, 65535).astype(np.uint16), texts)


def _annotated_text(annotated: NDArray[np.bool_], options: Options) -> str:
    """The names of the annotated classes, and of those merged into them, one a line."""
    names: list[str] = []
    for position, name in zip(options.index, options.classes, strict=True):
        if annotated[position]:
            names.append(name)
    return "\n".join(names)


def limit_classes(label: LabelArray, known: int, options: Options) -> LabelArray:
    """A label that was made when only the first `known` classes of the list were there.

    The others were not annotated in it.
    """
    annotated = np.zeros(len(options.names), np.bool_)
    annotated[options.index[:known]] = True
    if label.annotated is not None:
        annotated &= label.annotated
    if annotated.all():
        return label
    return replace(label, annotated=annotated)


def region_names(options: Options) -> tuple[str, ...]:
    """The classes that are left after merging."""
    return options.names


def from_regions(regions: RegionMap, _options: Options) -> LabelArray:
    """The class map of regions; what none covers is not labelled."""
    valid = regions >= 0
    return LabelArray(np.where(valid, regions, 0).astype(np.int64)[..., None], valid)


def to_regions(label: LabelArray, _options: Options) -> RegionMap:
    """The regions of a class map."""
    return np.where(label.valid, label.value[..., 0], UNCOVERED).astype(np.int32)


def recognise(path: Path) -> Recognition | None:
    """Recognise a PNG with a palette, or a grey one with few numbers in its first rows.

    If they hold 0 or 255 alone, it may as well be a binary map.
    """
    head = head_of(path, EXTENSIONS)
    if head is None or head.channels != 1:
        return None
    return Recognition("a class map", _sureness(head))


def _sureness(head: Head) -> float:
    if head.palette:
        return 0.9
    if head.dtype == np.bool_ or head.numbers == {0, 255} or len(head.numbers) > FEW:
        return 0.2
    return 0.5  # few grey numbers may as well be coarse depths


def describe(options: Options) -> str:
    """Describe the file to annotators: one line, then one line per class."""
    void = ", ".join(map(str, (255, *options.ignore)))
    lines = [
        f"{len(options.classes)} classes, PNG of 8 or 16 bits, grey or palette: "
        f"an index from 0 a pixel. Not labelled: {void} (in a 16-bit file 65535 instead of 255). "
        "If not all classes were annotated: the names of those in the PNG's text "
        f"'{ANNOTATED}', one a line."
    ]
    for index, name in enumerate(options.classes):
        line = f"{index:>5}  {name}"
        if name in options.merge:
            line += f" (counts as {options.merge[name]})"
        lines.append(line)
    return "\n".join(lines)
