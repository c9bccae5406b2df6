"""Reads the images of a store of objects to their ends, many at a time.

What was read is remembered: reading them again after an interruption goes on from there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from labelgrid.annotate.answers import Fault
from labelgrid.errors import ImageError
from labelgrid.images.opening import max_bytes
from labelgrid.images.places import missing_object_error, object_errors
from labelgrid.storage.addresses import Address, check_address
from labelgrid.storage.contents import Content, known_contents, remember
from labelgrid.storage.objects import fetch_version
from labelgrid.storage.stamps import Stamp, stamps_of
from labelgrid.storage.systems import THREADS, system_of

#: Of so many images the versions are asked for at once.
ASKED = 5000
#: So many contents are remembered at once.
REMEMBERED = 250


#: Reads an image's file to its end: its height, width and hash, or what is wrong with it.
Check = Callable[[str, Path], tuple[int, int, str] | Fault]


class ObjectContent(NamedTuple):
    """What the object of an image contains."""

    image_id: str
    content: Content


def read_objects(
    root: str,
    image_ids: Sequence[str],
    stamps: Mapping[Address, Stamp],
    check: Check,
    *,
    again: bool,
) -> Iterator[ObjectContent | Fault]:
    """What the object of each image contains, or what is wrong with it, in their order.

    Args:
        root: the address above the images.
        image_ids: the images.
        stamps: the versions of all objects; empty: the store is asked.
        check: reads an image's file.
        again: read objects of known versions, too.

    Raises:
        StorageError: the store refuses or does not answer, or the cache cannot be written.
    """
    above = check_address(root)
    system_of(above)
    with ThreadPoolExecutor(THREADS) as threads:
        for start in range(0, len(image_ids), ASKED):
            names = image_ids[start : start + ASKED]
            addresses = {image_id: above.below(image_id) for image_id in names}
            found = stamps or stamps_of(addresses.values())
            here = {item: found[item] for item in addresses.values() if item in found}
            known = known_contents(here)
            read = partial(_read, here, known, check, again)
            yield from _remembered(threads.map(read, addresses.items()), here, known)


def _remembered(
    results: Iterator[tuple[Address, ObjectContent | Fault]],
    stamps: Mapping[Address, Stamp],
    known: Mapping[Address, Content],
) -> Iterator[ObjectContent | Fault]:
    """The results, of which new ones are remembered, also if the reading ends early."""
    new: list[tuple[Address, Stamp, Content]] = []
    try:
        for address, result in results:
            if isinstance(result, ObjectContent) and result.content != known.get(address):
                new.append((address, stamps[address], result.content))
            if len(new) >= REMEMBERED:
                remember(new)
                new = []
            yield result
    finally:
        remember(new)


def _read(
    stamps: Mapping[Address, Stamp],
    known: Mapping[Address, Content],
    check: Check,
    again: bool,
    item: tuple[str, Address],
) -> tuple[Address, ObjectContent | Fault]:
    """Read an object, unless its version is known."""
    image_id, address = item
    content = known.get(address)
    if content and content.height and not again:
        return address, ObjectContent(image_id, content)
    try:
        if address not in stamps:
            raise missing_object_error(address)
        with object_errors(address):
            path, digest = fetch_version(address, stamps[address], content, max_bytes())
    except ImageError as error:
        return address, Fault(image_id, error.what, error.next_step)
    found = check(image_id, path)
    if isinstance(found, Fault):
        return address, found
    return address, ObjectContent(image_id, Content(digest, found[0], found[1]))
