"""Finds near-duplicates, such as frames of one video, and groups that hold them together.

Two images are held against each other as small thumbnails, where one shows best in the other: a
camera that moves a little changes nothing. Loads no torch.
"""

import os
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import LabelgridError
from labelgrid.images.places import image_file
from labelgrid.images.thumbnails import LEAST, Thumbnail, read_thumbnail
from labelgrid.ledger.grid import ImageRow
from labelgrid.project.settings import group_of
from labelgrid.words import count_text, join_names

#: Two images are near-duplicates from this correlation on. Of NYUv2, photographs of different
#: rooms reach .53 and of one room .68, pictures of different rendered rooms (542 pictures) .79; a
#: frame that is moved by up to a tenth has .91 to .99, one that is nearer by 3 % .94.
ALIKE = 0.82
#: So many images that are most alike at first glance are compared, and so many before and after in
#: the order of names.
NEAREST = 8
NEIGHBOURS = 2
#: With more images, the search would take minutes.
MOST = 20_000
#: The first glance is at so many rows and columns.
GLANCE = (12, 16)
#: Details are what changes over fewer pixels of the thumbnail; of less contrast, they say nothing.
FINE = 0.8
COARSE = 4.0
CONTRAST = 2.0
#: The middle of one image is looked for in the other: so much of each side is left out of it.
MARGIN = 8
#: The images that are looked up at a time.
BLOCK = 512
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
    """Two images that show nearly the same, and their correlation."""

    first: str
    second: str
    likeness: float


def read_thumbnails(rows: Iterable[ImageRow], thumbnails: dict[str, Thumbnail]) -> None:
    """Add the thumbnails of images that are not among them yet.

    Left out are small images, and those that cannot be read: other commands say so.
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


def near_duplicates(
    thumbnails: Mapping[str, Thumbnail], of: Collection[str] | None = None
) -> Iterator[NearDuplicates]:
    """Yield the near-duplicates among images, each pair once.

    Compared are the most alike at first glance, and neighbours in the order of names: of many
    copies of one picture not all pairs are found.

    Args:
        thumbnails: of the images, by id.
        of: only pairs of these images with the others; None: all pairs.
    """
    names = sorted(thumbnails)
    if len(names) < 2:
        return
    seen: set[tuple[int, int]] = set()
    for place, others in _candidates(names, thumbnails, of):
        for other in others:
            pair = (min(place, other), max(place, other))
            if pair not in seen:
                seen.add(pair)
                found = correlation(thumbnails[names[place]], thumbnails[names[other]])
                if found >= ALIKE:
                    yield NearDuplicates(names[place], names[other], found)


def _candidates(
    names: Sequence[str], thumbnails: Mapping[str, Thumbnail], of: Collection[str] | None
) -> Iterator[tuple[int, list[int]]]:
    """The places of images among the names, each with those of the images to compare with."""
    chosen = np.array([of is None or name in of for name in names])
    excluded = np.zeros(len(names), np.bool_) if of is None else chosen
    glances = np.stack([_glance(thumbnails[name]) for name in names])
    places = np.flatnonzero(chosen)
    for start in range(0, len(places), BLOCK):
        block = places[start : start + BLOCK]
        likeness = glances[block] @ glances.T
        likeness[:, excluded] = -1
        likeness[np.arange(len(block)), block] = -1
        count = min(NEAREST, len(names) - 1)
        nearest = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
        for place, alike in zip(block.tolist(), nearest.tolist(), strict=True):
            beside = range(max(0, place - NEIGHBOURS), min(len(names), place + NEIGHBOURS + 1))
            others = {*alike, *beside} - {place}
            yield place, [other for other in sorted(others) if not excluded[other]]


def correlation(one: Thumbnail, other: Thumbnail) -> float:
    """How much the details of the middle of one image agree with those of another.

    They are compared where they agree best. It is from -1 to 1; 0 where there are no details.
    """
    middle = _details(one)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    whole = _details(other)
    if min(float(middle.std()), float(whole.std())) < CONTRAST:
        return 0.0
    return float(cv2.matchTemplate(whole, middle, cv2.TM_CCOEFF_NORMED).max())


def _glance(thumbnail: Thumbnail) -> NDArray[np.float32]:
    """A thumbnail at first glance: few pixels, of mean 0 and length 1."""
    rows, columns = GLANCE
    small = cv2.resize(thumbnail, (columns, rows), interpolation=cv2.INTER_AREA)
    vector = small.astype(np.float32).ravel()
    vector -= vector.mean()
    return vector / (np.linalg.norm(vector) + 1e-6)


def _details(thumbnail: Thumbnail) -> NDArray[np.float32]:
    fine = cv2.GaussianBlur(thumbnail.astype(np.float32), (0, 0), FINE)
    return (fine - cv2.GaussianBlur(fine, (0, 0), COARSE)).astype(np.float32)


def leak_warning(
    thumbnails: Mapping[str, Thumbnail],
    rows: Sequence[ImageRow],
    measured: Collection[str],
    draw: Draw,
) -> str:
    """A warning of images for measuring that look like training images; empty if none does.

    Args:
        thumbnails: of images; pairs of others are not looked for.
        rows: all images, in their splits.
        measured: the images for measuring.
        draw: draws the images to hold out, from rows whose groups are changed.
    """
    pairs = list(near_duplicates(thumbnails, measured))
    if not pairs:
        return ""
    shown: dict[str, str] = {}
    for pair in sorted(pairs, key=lambda pair: -pair.likeness):
        shown.setdefault(pair.first, f"{pair.first} and {pair.second}")
    text = (
        f"{len(shown):,} of {count_text(len(measured), 'held-out image')} look like a training "
        "image, as frames of one video do, so what is measured will be too good: "
        f"{join_names(list(shown.values()), SHOWN, '; ')}. "
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
    """The pattern of groups that holds most pairs together, in words; empty if none helps."""
    best = (HELPS, 0)
    words = ""
    for pattern in PATTERNS:
        groups = {row.image_id: group_of(pattern, row.image_id) or row.image_id for row in rows}
        kept = sum(groups[pair.first] == groups[pair.second] for pair in pairs) / len(pairs)
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
