"""Reads and writes class maps: a class a pixel, with numbers that mean "not labelled"."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Array, Bools, Ints
from labelgrid.basics.errors import LabelError
from labelgrid.basics.recognition import Recognition
from labelgrid.basics.words import count_text, join_names
from labelgrid.formats import class_faults
from labelgrid.formats.arrays import (
    check_any_valid,
    palette_of,
    samples_and_text,
    save_png,
    shape_text,
)
from labelgrid.formats.arrays import stored_size as stored_size
from labelgrid.formats.channels import equal_channels, without_alpha
from labelgrid.formats.codec import LabelArray
from labelgrid.formats.colours import LegendRow, colour_codes, colour_pixels, colour_text
from labelgrid.formats.heads import FEW, head_of
from labelgrid.formats.numbering import (
    IGNORE,
    NOT_LABELLED,
    UNKNOWN,
    Numbering,
    default_void,
    look_up_colours,
    look_up_numbers,
)
from labelgrid.formats.regions import UNCOVERED, RegionMap

EXTENSIONS = (".png", ".tiff", ".tif", ".bmp", ".npy")
CHANNELS = 1
DTYPE = np.int64
EXAMPLES = ((0,), (1,))
#: The text in a PNG's metadata with the names of the classes that were annotated, one a line.
ANNOTATED = "annotated"
#: The most classes; the largest list in use, that of ADE20K, has 3,688.
MOST = 4096


@dataclass(frozen=True)
class Options(Numbering):
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
        if len(self.names) > MOST:
            raise ValueError(
                f"{len(self.names):,} classes need more memory than there is, a number for each "
                f"class and pixel; at most {MOST:,} may be left after merging"
            )
        self.check_numbering(self.classes, self.names)
        if self.ignore and (self.ids or self.colours):
            raise ValueError(f"ignore has no effect with ids or colours: name '{IGNORE}' there")

    @property
    def names(self) -> tuple[str, ...]:
        """The classes that are left after merging."""
        return tuple(name for name in self.classes if name not in self.merge)

    @property
    def index(self) -> Ints:
        """Int64 [classes]: the position in `names` of each class."""
        positions = {name: position for position, name in enumerate(self.names)}
        merged = [self.merge.get(name, name) for name in self.classes]
        return np.array([positions[name] for name in merged], np.int64)

    @cached_property
    def positions(self) -> dict[int, int]:
        """Number or colour in a file -> position in `names`, or `NOT_LABELLED`."""
        by_name = dict(zip(self.classes, self.index.tolist(), strict=True))
        by_name[IGNORE] = by_name.get(IGNORE, NOT_LABELLED)
        named = self.names_in_files(self.classes)
        positions = {number: by_name[name] for number, name in named.items()}
        return positions | dict.fromkeys(self.ignore, NOT_LABELLED)

    @cached_property
    def written(self) -> Ints:
        """Int64 [names]: the number or colour to write for each class; -1 for an ignored class."""
        named = self.names_in_files(self.classes)
        first: dict[str, int] = {}
        for number, name in named.items():
            if number >= 0 and number not in self.ignore:
                first.setdefault(name, number)
        return np.array([first.get(name, -1) for name in self.names], np.int64)

    def positions_in(self, dtype: "np.dtype[Any]") -> dict[int, int]:
        """The positions of numbers of a type, with the default numbers that are not labelled."""
        void = dict.fromkeys(default_void(dtype), NOT_LABELLED)
        if self.ids:
            return void | self.positions
        return void | self.positions | void


def read(path: Path, options: Options) -> LabelArray:
    """Read class indices (int64, c = 1) from a file of numbers, or of colours if declared.

    A picture may hold them in three equal channels, and have an alpha channel without transparency.

    Raises:
        LabelError: colours instead of indices, an index or colour without a class, no valid pixel,
            a damaged file, or its text `annotated` names no two classes.
    """
    stored, text = samples_and_text(path, ANNOTATED)
    stored = without_alpha(stored, path, "A class map")
    index: NDArray[np.signedinteger[Any]]
    if options.colours:
        index = _of_colours(stored, path, options)
        why = "none has the colour of a class"
    else:
        numbers = _numbers(stored, path)
        index = _of_numbers(numbers, path, options)
        why = f"not labelled are {_void_text(options, numbers.dtype)}"
    valid = index >= 0
    annotated = None
    if text is not None:
        annotated = _annotated_classes(text, path, options)
        valid &= annotated[index]
        why += ", and other classes"
    check_any_valid(valid, path, why)
    np.maximum(index, 0, out=index)
    return LabelArray(index.astype(np.int64)[..., None], valid, annotated)


def _numbers(stored: Array, path: Path) -> Array:
    numbers = equal_channels(stored)
    if numbers is None and stored.ndim == 3:
        raise class_faults.no_indices(stored, path)
    if numbers is None or numbers.dtype.kind not in "bui":
        raise LabelError(
            f"A class map is a map of whole numbers; this one is {shape_text(stored)}.",
            where=path,
            next_step="Write indices: an 8- or 16-bit grey PNG, or a palette PNG.",
        )
    if numbers.dtype.kind == "b":
        return numbers.astype(np.uint8)
    return numbers


def _of_numbers(numbers: Array, path: Path, options: Options) -> NDArray[np.int16]:
    """Int16 [h, w]: the position of each number in `names`; negative where not labelled."""
    if _is_guess(options):
        ends = numbers == 255
        if ends.any() and not ends.all() and not numbers[~ends].any():
            raise class_faults.only_two_ends(numbers, options.classes, options.ignore, path)
    index = look_up_numbers(numbers, options.positions_in(numbers.dtype), options.first or None)
    wrong = index == UNKNOWN
    if not wrong.any():
        return index
    if options.ids:
        raise class_faults.unknown_ids(numbers[wrong], options, path)
    raise class_faults.unknown_indices(
        numbers, wrong, options, options.classes, ignore=options.ignore, path=path
    )


def _is_guess(options: Options) -> bool:
    """Whether 255 may as well be the second of two classes."""
    return len(options.classes) == 2 and options.counts_from_zero and 255 not in options.ignore


def _of_colours(stored: Array, path: Path, options: Options) -> NDArray[np.int32]:
    """Int32 [h, w]: the position of each colour in `names`; negative where not labelled.

    Colours are RGB, grey, or indices into a palette.
    """
    if stored.dtype != np.uint8 or (stored.ndim != 2 and stored.shape[-1] not in (1, 3)):
        raise LabelError(
            f"A class map of colours has 8 bits a channel; this one is {shape_text(stored)}.",
            where=path,
            next_step="Write RGB of 8 bits, or a palette PNG.",
        )
    colours = stored
    if stored.ndim == 2:
        palette = palette_of(path)
        colours = stored[..., None] if palette is None else palette[stored]
    codes = colour_codes(np.broadcast_to(colours, (*stored.shape[:2], 3)))
    index = look_up_colours(codes, options.positions)
    wrong = index == UNKNOWN
    if wrong.any():
        named = options.names_in_files(options.classes)
        raise class_faults.unknown_colours(codes[wrong], options, named, path)
    return index


def _annotated_classes(text: str, path: Path, options: Options) -> Bools:
    """Bool [names]: the classes that a file's text names.

    A class with other classes merged into it counts if all of them are named.
    """
    lines = [line.strip() for line in text.splitlines()]
    names = [line for line in lines if line]
    unknown = [name for name in names if name not in options.classes]
    if unknown:
        raise LabelError(
            f"Its text '{ANNOTATED}' names '{unknown[0]}', which is no class of the task.",
            where=path,
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
            where=path,
            next_step="Name the class of all other pixels, too, such as 'background'.",
        )
    return annotated


def write(path: Path, label: LabelArray, options: Options) -> None:
    """Write a PNG of numbers: 8 bits with 255 where not valid, if no class has this number.

    Where 8 bits do not do, it has 16, and 65535 where not valid. With `colours` it is RGB.

    Raises:
        LabelError: an index could not be read back unchanged, the options have no number or colour
            for "not labelled", or the disk reports an error.
    """
    index = label.value[..., 0]
    in_range = label.valid & (index >= 0) & (index < len(options.names))
    numbers = options.written[np.where(in_range, index, 0).astype(np.int64)]
    wrong = label.valid & (~in_range | (numbers < 0))
    if wrong.any():
        raise LabelError(
            f"{class_faults.unnamed(index[wrong])}, or a declared 'ignore' number.", where=path
        )
    texts = {}
    if label.annotated is not None:
        # With those that are merged into them.
        classes = zip(options.index, options.classes, strict=True)
        names = []
        for position, name in classes:
            if label.annotated[position]:
                names.append(name)
        texts[ANNOTATED] = "\n".join(names)
    stored = _colours_to_store if options.colours else _numbers_to_store
    save_png(path, stored(numbers, label.valid, path, options), texts)


def _numbers_to_store(numbers: Ints, valid: Bools, path: Path, options: Options) -> Array:
    """The numbers in the smallest type that can say all classes, and "not labelled" if need be."""
    needs_void = not valid.all()
    # Of two classes, a map of 0 and 255 alone is refused.
    needs_wide = _is_guess(options) and needs_void and not numbers[valid].any()
    for dtype in (np.dtype(np.uint8), np.dtype(np.uint16)):
        positions = options.positions_in(dtype)
        void = _void(options, dtype)
        fits = all(
            number <= np.iinfo(dtype).max and positions[number] >= 0
            for number in options.written[options.written >= 0].tolist()
        )
        is_small = dtype.itemsize == 1
        if fits and not (needs_void and void is None) and not (needs_wide and is_small):
            return np.where(valid, numbers, void or 0).astype(dtype)
    raise LabelError(
        "Pixels are not labelled, and no number means that.",
        where=path,
        next_step=f"Name one in `ids` as '{IGNORE}'.",
    )


def _void(options: Options, dtype: "np.dtype[Any]") -> int | None:
    positions = options.positions_in(dtype)
    for number in (*default_void(dtype), *sorted(positions)):
        if positions[number] == NOT_LABELLED and 0 <= number <= np.iinfo(dtype).max:
            return number
    return None


def _colours_to_store(codes: Ints, valid: Bools, path: Path, options: Options) -> Array:
    """The colours [h, w, 3], with the first colour for "not labelled" if need be."""
    void = []
    for code, position in options.positions.items():
        if position == NOT_LABELLED:
            void.append(code)
    if not (void or valid.all()):
        lightest = 0xFFFFFF  # of the greys that are no class's
        while lightest in options.positions:
            lightest -= 0x010101
        unused = colour_text(lightest)
        raise LabelError(
            "Pixels are not labelled, and no colour means that.",
            where=path,
            next_step=f'Name one in `colours`: `{IGNORE} = "{unused}"`.',
            declare={"colours": {**options.colours, IGNORE: unused}},
        )
    return colour_pixels(np.where(valid, codes, [*void, 0][0]))


def limit_classes(label: LabelArray, class_count: int, options: Options) -> LabelArray:
    """A label that was made when only the first `class_count` classes of the list were there.

    The others were not annotated in it.
    """
    annotated = np.zeros(len(options.names), np.bool_)
    annotated[options.index[:class_count]] = True
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


def legend(options: Options, colours: Sequence[int]) -> list[LegendRow]:
    """The number and colour of each class, and of pixels that are not labelled.

    Declared colours take the place of numbers, and of the given colours of `options.names`.
    """
    rows = []
    for name, code, colour in zip(options.names, options.written.tolist(), colours, strict=True):
        if code >= 0 and options.colours:
            rows.append(LegendRow(None, name, code))
        elif code >= 0:
            rows.append(LegendRow(code, name, colour))
    if options.colours:
        return rows
    void = _void(options, np.min_scalar_type(int(options.written.max())))
    if void is not None:
        rows.append(LegendRow(void, "not labelled", 0))
    return rows


def recognise(path: Path) -> Recognition | None:
    """Recognise a file with a palette, or a grey file with few numbers in its first rows.

    If they hold 0 or 255 alone, it may as well be a binary map.
    """
    head = head_of(path, EXTENSIONS)
    if head is None or head.channels != 1 or head.dtype.kind == "f":
        return None
    sureness = 0.5  # few grey numbers may as well be coarse depths
    if head.palette:
        sureness = 0.9
    elif head.dtype == np.bool_ or head.numbers == {0, 255} or len(head.numbers) > FEW:
        sureness = 0.2
    return Recognition("a class map", sureness)


def describe(options: Options) -> str:
    """Describe the file to annotators: a line, then a line for each number or colour."""
    lines = [
        f"{len(options.classes)} classes, {_form_text(options)} "
        "If not all classes were annotated: the names of those in the PNG's text "
        f"'{ANNOTATED}', one a line."
    ]
    for number, name in options.names_in_files(options.classes).items():
        said = colour_text(number) if options.colours else f"{number:>5}"
        line = f"{said}  {name}"
        if name in options.merge:
            line += f" (counts as {options.merge[name]})"
        if name == IGNORE and IGNORE not in options.classes:
            line = f"{said}  not labelled"
        lines.append(line)
    return "\n".join(lines)


def _form_text(options: Options) -> str:
    if options.colours:
        return (
            "RGB of 8 bits (PNG, TIFF, BMP, .npy) or a palette PNG: one of these colours a pixel."
        )
    pixel_value = f"an index from {options.first}"
    if options.ids:
        pixel_value = "one of these numbers"
    wide = ""
    if options.positions_in(np.dtype(np.uint8))[255] == NOT_LABELLED:
        wide = " (in a 16-bit file 65535 instead of 255)"
    return (
        f"PNG of 8 or 16 bits, grey or palette: {pixel_value} a pixel. Not labelled: "
        f"{_void_text(options, np.dtype(np.uint8))}{wide}. "
        "Also as TIFF, BMP or .npy of whole numbers."
    )


def _void_text(options: Options, dtype: "np.dtype[Any]") -> str:
    positions = options.positions_in(dtype)
    numbers = []
    for number, position in positions.items():
        if position == NOT_LABELLED:
            numbers.append(str(number))
    if options.first:
        numbers.insert(0, f"below {options.first}")
    return ", ".join(numbers) or "none"
