"""Finds near-duplicates, for example frames of one video, and groups of images.

Two images are compared as small thumbnails, where one shows best in the other: a camera that moves
a little changes nothing. Loads no torch.
"""

import os
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from labelgrid.basics.array_types import Bytes, Floats32, Ints
from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.words import count_text, join_names
from labelgrid.images.places import group_of, image_file
from labelgrid.images.thumbnails import HEIGHT, LEAST, WIDTH, Thumbnail, read_thumbnail
from labelgrid.ledger.grid import ImageRow

#: Two images are near-duplicates from this correlation on. Of NYUv2, photographs of different
#: rooms reach .53 and of one room .68, pictures of different rendered rooms (542 pictures) .79; a
#: frame that is moved by up to a tenth has .91 to .99, one that is nearer by 3 % .94.
ALIKE = 0.82
#: The images with which each is compared: the most alike at first glance, and the neighbours before
#: and after in the order of names.
NEAREST = 8
NEIGHBOURS = 2
#: With more images, the search would take minutes.
MOST = 20_000
#: The rows and columns of a first glance, and its length as a vector.
GLANCE = (12, 16)
LENGTH = 4000
#: Details change over fewer pixels of the thumbnail than `COARSE`; with less contrast, they say
#: nothing.
FINE = 0.8
COARSE = 4.0
CONTRAST = 2.0
#: The pixels at each side of the middle of an image, which is looked for in the other image.
MARGIN = 8
#: How many times all images are gone through.
PASSES = 3
#: The images that are looked up at a time.
BLOCK = 512
#: Images are numbered up to this place, and no likeness has this rank.
LAST_PLACE = 2**32 - 1
NOTHING = np.iinfo(np.int64).min
#: The pairs that a warning names.
SHOWN = 3
#: A pattern of groups helps if it holds so many of the pairs together; the smallest groups that
#: hold nearly all are best.
HELPS = 0.5
NEARLY_ALL = 0.9
#: Patterns of groups that are tried: folders, names without their number, runs of numbers.
PATTERNS = (
    r"^([^/]+)/",
    r"^(.+)/",
    r"^(.*?)[-_ .]*\d+\.\w+$",
    r"^(.*\d)\d\.\w+$",
    r"^(.*\d)\d\d\.\w+$",
    r"^(.*\d)\d\d\d\.\w+$",
)

#: Draws the images to hold out.
Draw = Callable[[Sequence[ImageRow]], Sequence[ImageRow]]


class NearDuplicates(NamedTuple):
    """An image for measuring and a training image that look alike.

    The likeness is their correlation, rounded.
    """

    measured: str
    training: str
    likeness: float


def read_thumbnails(rows: Iterable[ImageRow], thumbnails: dict[str, Thumbnail]) -> None:
    """Add the thumbnails of further images.

    Left out are small images, and images that cannot be read: other commands say so.
    """
    missing = [row for row in rows if row.image_id not in thumbnails]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for row, thumbnail in zip(missing, threads.map(_thumbnail, missing), strict=True):
            if thumbnail is not None:
                thumbnails[row.image_id] = thumbnail


def _thumbnail(row: ImageRow) -> Thumbnail | None:
    if row.height and max(row.height, row.width) >= LEAST:
        with suppress(LabelgridError, OSError):
            return read_thumbnail(image_file(row.root, row.image_id, row.digest), row.digest)
    return None


class Thumbnails(NamedTuple):
    """The thumbnails uint8 [n, h, w] of some images; 0 where one is small or cannot be read."""

    names: Sequence[str]
    pixels: Bytes


def near_duplicates(
    blocks: Iterable[Thumbnails], measured: Collection[str]
) -> list[NearDuplicates]:
    """The near-duplicates of some images among all others, the most alike first.

    Compared are the most alike at first glance, and neighbours in the order of names: of many
    copies of one picture not all pairs are found. How the images are cut into blocks changes no
    pair.

    Args:
        blocks: the blocks of all images, in the order of their names; gone through `PASSES` times,
            so that one is in memory at a time.
        measured: the images whose near-duplicates are looked for; pairs of two are left out.
    """
    thumbnails = {}
    for block in blocks:
        for name, thumbnail in zip(block.names, block.pixels, strict=True):
            if name in measured:
                thumbnails[name] = thumbnail.copy()  # of a block that may go
    candidates = _candidates(blocks, thumbnails) if thumbnails else {}
    pairs = []
    for block in blocks:
        for name, thumbnail in zip(block.names, block.pixels, strict=True):
            for first in candidates.get(name, ()):
                likeness = correlation(thumbnails[first], thumbnail)
                if likeness >= ALIKE:
                    pairs.append(NearDuplicates(first, name, round(likeness, 4)))
    return sorted(pairs, key=lambda pair: (-pair.likeness, pair.measured, pair.training))


def alike_groups(block: Thumbnails) -> list[list[str]]:
    """Groups of images of a block that look alike, the largest first.

    Each is compared with the most alike at first glance, and with its neighbours in the order of
    names; an image that looks like any of a group belongs to it.

    Args:
        block: the block of all images, in the order of their names; few enough to compare each with
            each.
    """
    glances = _glances(block.pixels)
    likeness = glances @ glances.T
    np.fill_diagonal(likeness, -np.inf)
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :NEAREST]
    places = np.arange(len(glances))
    compared = np.abs(places[:, None] - places) <= NEIGHBOURS
    np.put_along_axis(compared, nearest, values=True, axis=1)
    np.fill_diagonal(compared, val=False)
    alike = np.zeros_like(compared)
    for one, other in np.argwhere(compared).tolist():
        alike[one, other] = correlation(block.pixels[one], block.pixels[other]) >= ALIKE
    from scipy.sparse.csgraph import connected_components  # slow to load

    _, numbers = connected_components(alike, directed=False)
    groups: dict[int, list[str]] = {}
    for name, number in zip(block.names, numbers.tolist(), strict=True):
        groups.setdefault(number, []).append(name)
    several = [group for group in groups.values() if len(group) > 1]
    return sorted(several, key=lambda group: (-len(group), group))


def nearest_pairs(pairs: Sequence[NearDuplicates]) -> list[NearDuplicates]:
    """The first pair of each image for measuring.

    Example:
        >>> first, second = NearDuplicates("a", "b", 0.9), NearDuplicates("a", "c", 0.8)
        >>> nearest_pairs([first, second]) == [first]
        True
    """
    nearest: dict[str, NearDuplicates] = {}
    for pair in pairs:
        nearest.setdefault(pair.measured, pair)
    return list(nearest.values())


def as_block(thumbnails: Mapping[str, Thumbnail]) -> Thumbnails:
    """Some thumbnails, one at least, in the order of names."""
    names = sorted(thumbnails)
    return Thumbnails(names, np.stack([thumbnails[name] for name in names]))


def _candidates(
    blocks: Iterable[Thumbnails], thumbnails: Mapping[str, Thumbnail]
) -> dict[str, list[str]]:
    """The measured images to compare with each other image, by name."""
    first_names = list(thumbnails)
    glances = _glances(np.stack(list(thumbnails.values())))
    nearest = np.full((len(thumbnails), NEAREST), NOTHING)
    names: list[str] = []
    for block in blocks:
        others = np.array([name not in thumbnails for name in block.names])
        theirs = _glances(block.pixels)
        places = len(names) + np.arange(len(block.names))
        _keep_nearest(nearest, glances, theirs[others], places[others])
        names += block.names
    pairs = set()
    for first, ranks in zip(first_names, nearest, strict=True):
        places = LAST_PLACE - ranks[ranks != NOTHING] % (LAST_PLACE + 1)
        pairs |= {(names[place], first) for place in places.tolist()}
    for place, first in enumerate(names):
        if first in thumbnails:
            beside = names[max(0, place - NEIGHBOURS) : place + NEIGHBOURS + 1]
            pairs |= {(name, first) for name in beside if name not in thumbnails}
    candidates: dict[str, list[str]] = {}
    for name, first in sorted(pairs):
        candidates.setdefault(name, []).append(first)
    return candidates


def _keep_nearest(
    nearest: Ints,
    glances: Floats32,
    theirs: Floats32,
    places: Ints,
) -> None:
    """Let further images in among the nearest images.

    Args:
        nearest: the `NEAREST` best ranks of each measured image, which are changed. A rank is the
            likeness at first glance, then the place from the end; `NOTHING` if there is none.
        glances: the glances of the measured images.
        theirs: the glances of the further images.
        places: the places of the further images among all.
    """
    for start in range(0, len(glances), BLOCK):
        part = slice(start, start + BLOCK)
        likeness = (glances[part] @ theirs.T).astype(np.int64)
        ranks = likeness * (LAST_PLACE + 1) + (LAST_PLACE - places)
        both = np.hstack([nearest[part], ranks])
        nearest[part] = np.partition(both, -NEAREST, axis=1)[:, -NEAREST:]


def correlation(one: Thumbnail, other: Thumbnail) -> float:
    """The correlation of the details of the middle of one image with another image.

    The images are compared where they agree best. The correlation is from -1 to 1; 0 where there
    are no details.
    """
    middle = _details(one)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    whole = _details(other)
    if min(float(middle.std()), float(whole.std())) < CONTRAST:
        return 0.0
    return float(cv2.matchTemplate(whole, middle, cv2.TM_CCOEFF_NORMED).max())


def _glances(thumbnails: Bytes) -> Floats32:
    """Thumbnails at first glance [n, pixels]: few pixels, of mean 0 and the length `LENGTH`.

    They are whole numbers: sums of products below 2^24 have no error, in whatever order.
    """
    rows, columns = GLANCE
    count = len(thumbnails)
    below = thumbnails.reshape(count * HEIGHT, WIDTH)  # one below the other: one call is faster
    small = cv2.resize(below, (columns, count * rows), interpolation=cv2.INTER_AREA)
    pixels = small.reshape(count, rows * columns).astype(np.float32)
    pixels -= pixels.mean(1, keepdims=True)
    pixels *= LENGTH / (np.linalg.norm(pixels, axis=1, keepdims=True) + 1e-6)
    return np.rint(pixels)


def _details(thumbnail: Thumbnail) -> Floats32:
    fine = cv2.GaussianBlur(thumbnail.astype(np.float32), (0, 0), FINE)
    return (fine - cv2.GaussianBlur(fine, (0, 0), COARSE)).astype(np.float32)


def leak_warning(
    pairs: Sequence[NearDuplicates], rows: Sequence[ImageRow], compared: int, draw: Draw
) -> str:
    """A warning of images for measuring that look like training images; empty without any.

    Args:
        pairs: each measuring image with the training image that it looks like, the most alike
            first.
        rows: all images, in their splits.
        compared: the number of images for measuring that were compared.
        draw: draws the images to hold out, from rows whose groups are changed.
    """
    if not pairs:
        return ""
    shown = [f"{pair.measured} and {pair.training}" for pair in nearest_pairs(pairs)]
    text = (
        f"{len(shown):,} of {count_text(compared, 'held-out image')} look like a training "
        "image, as frames of one video do, so what is measured will be too good: "
        f"{join_names(shown, SHOWN, '; ')}. "
    )
    advice = _grouping(pairs, rows, draw)
    if not advice:
        advice = (
            "no pattern of their names holds them together; put the images of each place into a "
            "folder of its own, or those of each day of one fixed camera, and make the project "
            f"anew with {_option(PATTERNS[1])}."
        )
    return f"{text}Groups of images are held out together: {advice}"


def _option(pattern: str) -> str:
    return f"--group {shlex.quote(pattern)}"


def _grouping(pairs: Sequence[NearDuplicates], rows: Sequence[ImageRow], draw: Draw) -> str:
    best = (HELPS, 0)
    words = ""
    for pattern in PATTERNS:
        groups = {row.image_id: group_of(pattern, row.image_id) or row.image_id for row in rows}
        kept = sum(groups[pair.measured] == groups[pair.training] for pair in pairs) / len(pairs)
        count = len(set(groups.values()))
        if (min(kept, NEARLY_ALL), count) <= best:
            continue
        held = draw([replace(row, group=groups[row.image_id], split="train") for row in rows])
        if held and 2 * len(held) <= len(rows):
            best = (min(kept, NEARLY_ALL), count)
            words = (
                f"make the project anew with {_option(pattern)}, which holds {kept:.0%} of these "
                f"pairs together, in {count_text(count, 'group')}, and holds "
                f"{count_text(len(held), 'image')} out."
            )
    return words
