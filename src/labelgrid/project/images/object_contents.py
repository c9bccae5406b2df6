"""Reads the images of a store of objects to their ends, many at a time.

What was read is remembered: reading them again after an interruption goes on from there.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from labelgrid.annotate.answers import Fault
from labelgrid.basics.errors import ImageError
from labelgrid.images.opening import max_bytes
from labelgrid.images.places import missing_object_error, object_errors
from labelgrid.storage.addresses import Address, check_address
from labelgrid.storage.known_contents import Content, known_contents, remember
from labelgrid.storage.objects import fetch_version
from labelgrid.storage.stamps import Stamp, listed_stamps, stamp_of
from labelgrid.storage.threads import each_in_threads

#: So many contents are remembered at once.
REMEMBERED = 50


#: Reads an image's file to its end: its height, width and hash, or what is wrong with it.
Check = Callable[[str, Path], tuple[int, int, str] | Fault]


class ObjectContent(NamedTuple):
    """The content of an image's object."""

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
    """The contents of the images' objects, or their faults, in the order of the images.

    Without `stamps`, the versions of all objects, the store is asked. `again` reads objects of
    known versions, too.

    Raises:
        StorageError: the store refuses or does not answer, or the cache cannot be written.
    """
    above = check_address(root)
    addresses = {image_id: above.below(image_id) for image_id in image_ids}
    stamps = stamps or listed_stamps(addresses.values())[0]
    memory = _Memory()
    read = partial(
        _read,
        stamps=stamps,
        contents=known_contents(stamps),
        check=check,
        again=again,
        memory=memory,
    )
    try:
        yield from each_in_threads(read, addresses.items())
    finally:
        memory.write()


class _Memory:
    """Gathers the contents read by many threads, and remembers them in parts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new: list[tuple[Address, Stamp, Content]] = []

    def add(self, address: Address, stamp: Stamp, content: Content) -> None:
        with self._lock:
            self._new.append((address, stamp, content))
            if len(self._new) < REMEMBERED:
                return
        self.write()

    def write(self) -> None:
        with self._lock:
            new = self._new
            self._new = []
        remember(new)


def _read(
    item: tuple[str, Address],
    *,
    stamps: Mapping[Address, Stamp],
    contents: Mapping[Address, Content],
    check: Check,
    again: bool,
    memory: _Memory,
) -> ObjectContent | Fault:
    image_id, address = item
    try:
        with object_errors(address):
            stamp = stamps.get(address) or stamp_of(address)
            if stamp is None:
                raise missing_object_error(address)
            content = contents.get(address) or known_contents({address: stamp}).get(address)
            if content and content.height and not again:
                return ObjectContent(image_id, content)
            path, digest = fetch_version(address, stamp, content, max_bytes())
    except ImageError as error:
        return Fault(image_id, error.what, error.next_step)
    result = check(image_id, path)
    if isinstance(result, Fault):
        return result
    new = Content(digest, result[0], result[1])
    if new != content:
        memory.add(address, stamp, new)
    return ObjectContent(image_id, new)
