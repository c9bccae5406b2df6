"""Defines partitions: the division of an image into numbered regions, and its file."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Array, Bools, Ints
from labelgrid.basics.errors import LabelError
from labelgrid.basics.shown import Shown
from labelgrid.basics.type_names import Size
from labelgrid.basics.words import count_text
from labelgrid.formats.arrays import samples, save_png, shape_text, stored_size

#: The most regions of an image: numbers have 16 bits, and 0 is no region.
MOST = 65_535
#: The largest number in a map of regions: colours of 24 bits, packed into a number.
LARGEST = 2**24 - 1
#: So many pixels are numbered at a time.
_BLOCK = 2**20
#: What to do about a damaged file of the project.
_RESTORE = "Put the file back from a backup of the project."

#: Rows and columns.
Box = tuple[slice, slice]


@dataclass(frozen=True, repr=False, eq=False)
class Partition(Shown):
    """The regions of an image, numbered from 1 in the order of their first pixels.

    A region is a set of pixels, connected or not, and never empty. `Partition.of` makes one of any
    map of numbers.

    Args:
        ids: uint16 [h, w], the region of each pixel; 0: of none. Read-only.
        areas: int64 [count], the pixels of each region. Read-only.
    """

    ids: NDArray[np.uint16]
    areas: Ints

    @classmethod
    def of(cls, numbers: Array) -> "Partition":
        """The partition of a map [h, w] of whole numbers; 0 is no region.

        Raises:
            LabelError: the map holds other numbers, negative ones or some above `LARGEST`, or
                more than `MOST` regions.

        Example:
            >>> Partition.of(np.array([[7, 0, 7, 3]])).ids.tolist()
            [[1, 0, 1, 2]]
        """
        _check_numbers(numbers)
        firsts = _first_pixels(numbers)
        present = np.flatnonzero(firsts[1:] < numbers.size) + 1
        present = present[np.argsort(firsts[present])]
        if len(present) > MOST:
            raise LabelError(
                f"The map has {len(present):,} regions; an image may have {MOST:,}.",
                next_step="Merge small regions.",
            )
        renumbered = np.zeros(len(firsts), np.uint16)
        renumbered[present] = np.arange(1, len(present) + 1)
        ids = np.empty(numbers.shape, np.uint16)
        areas = np.zeros(len(present) + 1, np.int64)
        flat = ids.reshape(-1)
        for start, block in _blocks(numbers):
            new = renumbered[block]
            flat[start : start + len(block)] = new
            areas += np.bincount(new, minlength=len(areas))
        ids.flags.writeable = False
        areas.flags.writeable = False
        return cls(ids, areas[1:])

    @property
    def size(self) -> Size:
        """The height and width of the image."""
        return self.ids.shape[0], self.ids.shape[1]

    @property
    def count(self) -> int:
        """The number of regions."""
        return len(self.areas)

    @cached_property
    def digest(self) -> str:
        """The hash of the size and the regions, by which the partition is kept."""
        content = hashlib.blake2b("{}x{} ".format(*self.size).encode(), digest_size=16)
        content.update(self.ids.astype("<u2", copy=False).data)
        return content.hexdigest()

    @cached_property
    def boxes(self) -> tuple[Box, ...]:
        """The smallest rows and columns around each region.

        Example:
            >>> Partition.of(np.array([[0, 5], [5, 0]])).boxes
            ((slice(0, 2, None), slice(0, 2, None)),)
        """
        from scipy.ndimage import find_objects

        return tuple(find_objects(self.ids, self.count)) if self.count else ()

    def rows(self) -> Iterator[slice]:
        """The rows of each block of about a million pixels, as work on large images is cut."""
        step = max(1, _BLOCK // self.size[1])
        for start in range(0, self.size[0], step):
            yield slice(start, start + step)

    def mask(self, region: int) -> Bools:
        """The pixels [h, w] of a region.

        Raises:
            LabelError: there is no such region.
        """
        self.check([region])
        return np.asarray(self.ids == region)

    def share(self, regions: Collection[int]) -> float:
        """The share of the image's pixels that some regions have.

        Raises:
            LabelError: there is no such region.
        """
        self.check(regions)
        pixels = sum(int(self.areas[region - 1]) for region in set(regions))
        return pixels / self.ids.size

    def check(self, regions: Collection[int]) -> None:
        """Refuse numbers that are no regions.

        Raises:
            LabelError: one is none.
        """
        for region in regions:
            if not 1 <= region <= self.count:
                has = count_text(self.count, "region")
                raise LabelError(
                    f"There is no region {region}: the image's partition has {has}.",
                    next_step="Name regions of this partition, from 1 on.",
                )

    def check_size(self, size: Size) -> None:
        """Refuse an image of another size.

        Raises:
            LabelError: it has another height or width.
        """
        if self.size != size:
            raise size_fault(self.size, size)

    def write(self, path: Path) -> None:
        """Write a grey PNG of 16 bits, atomically.

        Raises:
            LabelError: the disk reports an error.
        """
        save_png(path, self.ids)

    def __str__(self) -> str:
        height, width = self.size
        covered = self.areas.sum() / self.ids.size
        return f"{height}x{width}, {count_text(self.count, 'region')} on {covered:.1%}."


def read_partition(path: Path, digest: str = "") -> Partition:
    """Read the file of a partition.

    Args:
        path: the file.
        digest: the partition's; "" accepts any.

    Raises:
        LabelError: the file is missing, damaged, of another partition, or not one of labelgrid.
    """
    stored = samples(path)
    foreign = LabelError(
        f"This is no file of a partition: it holds {shape_text(stored)}, not regions of 16 bits "
        "numbered in the order of their first pixels.",
        where=path,
        next_step=_RESTORE,
    )
    if stored.dtype != np.uint16 or stored.ndim != 2:
        raise foreign
    partition = Partition.of(stored)
    if not np.array_equal(partition.ids, stored):
        raise foreign
    if digest not in ("", partition.digest):
        raise LabelError(
            f"The file holds another partition, {partition.digest}, than the one that was asked "
            f"for, {digest}.",
            where=path,
            next_step=_RESTORE,
        )
    return partition


def read_map(path: Path, size: Size) -> Partition:
    """Read a map of regions that another program made for an image of a size.

    Raises:
        LabelError: it is damaged, of another size, or no map of whole numbers from 0 on; see
            `Partition.of`.
    """
    try:
        return _map_of_size(path, size)
    except LabelError as error:
        fault = error.what[:1].lower() + error.what[1:]
        raise LabelError(
            f"The map of regions cannot be used: {fault}",
            where=path,
            next_step=error.next_step or "Make the map again.",
        ) from error


def _map_of_size(path: Path, size: Size) -> Partition:
    stored = stored_size(path)
    if stored and stored != size:  # before it is decoded
        raise size_fault(stored, size)
    numbers = samples(path)
    if numbers.ndim == 3 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    partition = Partition.of(numbers)
    partition.check_size(size)
    return partition


def size_fault(regions: Size, image: Size) -> LabelError:
    """The error about a partition of another size than its image."""
    return LabelError(
        f"The regions are of {regions[0]}x{regions[1]} pixels, the image has {image[0]}x{image[1]} "
        "(height x width).",
        next_step="Make the regions of the image as it is, neither resized nor turned.",
    )


def _check_numbers(numbers: Array) -> None:
    """Refuse what is no map of whole numbers in the range."""
    if numbers.ndim != 2 or numbers.dtype.kind not in "bui" or not numbers.size:
        raise LabelError(
            f"Regions are a map of whole numbers; this one is {shape_text(numbers)}.",
            next_step="Write one whole number a pixel: the region's, or 0 for no region.",
        )
    lowest = int(numbers.min())
    largest = int(numbers.max())
    if lowest < 0 or largest > LARGEST:
        raise LabelError(
            f"The numbers of regions reach from {lowest} to {largest}; they may be from 0 to "
            f"{LARGEST}.",
            next_step="Number regions from 1 on, and write 0 for no region.",
        )


def _blocks(numbers: Array) -> Iterator[tuple[int, Array]]:
    """The position and the numbers of each block of pixels, in reading order."""
    flat = np.ascontiguousarray(numbers).reshape(-1)
    if flat.dtype == np.bool_:
        flat = flat.view(np.uint8)
    for start in range(0, len(flat), _BLOCK):
        yield start, flat[start : start + _BLOCK]


def _first_pixels(numbers: Array) -> Ints:
    """Int64 [numbers]: the position of each number's first pixel; the size where there is none."""
    firsts = np.full(int(numbers.max()) + 1, numbers.size, np.int64)
    for start, block in _blocks(numbers):
        # Of equal numbers, the last one assigned stays.
        positions = np.arange(start + len(block), start, -1) - 1
        earlier = firsts[block[::-1]]
        firsts[block[::-1]] = np.minimum(earlier, positions)
    return firsts
