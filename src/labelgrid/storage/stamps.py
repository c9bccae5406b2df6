"""Asks stores for the version of each object: size and entity tag, not content.

Every function raises a `StorageError` if the store refuses or does not answer.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from labelgrid.basics.type_names import Values
from labelgrid.storage.addresses import Address
from labelgrid.storage.attempts import persist
from labelgrid.storage.systems import can_list, system_of
from labelgrid.storage.threads import each_in_threads

#: From so many objects of one folder on, the folder is listed: a list has a thousand objects.
LISTED = 100
#: What stores call the version of an object, the surest first.
_TAGS = (
    "ETag",
    "etag",
    "Content-MD5",
    "content_md5",
    "md5Hash",
    "generation",
    "Last-Modified",
    "LastModified",
    "last_modified",
    "mtime",
    "created",
)


class Stamp(NamedTuple):
    """The version of an object: the bytes, -1 if unknown, and a tag, "" if unknown."""

    size: int
    tag: str


def stamps_of(addresses: Collection[Address]) -> dict[Address, Stamp]:
    """The stamps of objects; missing objects are left out."""
    stamps, single = listed_stamps(addresses)
    for address, stamp in zip(single, each_in_threads(stamp_of, single), strict=True):
        if stamp:
            stamps[address] = stamp
    return stamps


def listed_stamps(addresses: Collection[Address]) -> tuple[dict[Address, Stamp], list[Address]]:
    """The stamps of objects in folders with many, which are listed; and the remaining objects.

    Objects that do not exist are left out of both.
    """
    by_folder = defaultdict[Address, list[Address]](list)
    for address in addresses:
        by_folder[address.folder].append(address)
    stamps: dict[Address, Stamp] = {}
    others: list[Address] = []
    for folder, wanted in by_folder.items():
        if len(wanted) >= LISTED and can_list(folder):
            listed = dict(list_folder(folder))
            stamps |= {address: listed[address] for address in wanted if address in listed}
        else:
            others += wanted
    return stamps, others


def stamp_of(address: Address) -> Stamp | None:
    """The stamp of an object; None if it does not exist."""
    system = system_of(address)
    try:
        info = persist(address, lambda: system.info(address))
    except FileNotFoundError:
        return None
    if info.get("type") == "directory":
        return None
    return _stamp(info)


def list_folder(folder: Address) -> Iterator[tuple[Address, Stamp]]:
    """The objects of a folder, without subfolders, with their stamps."""
    system = system_of(folder)
    try:
        entries = persist(folder, lambda: system.ls(f"{folder}/", detail=True))
    except FileNotFoundError:
        return
    yield from _objects(system, folder, entries)


def list_below(folder: Address) -> Iterator[tuple[Address, Stamp]]:
    """All objects below a folder, with their stamps.

    Raises:
        FileNotFoundError: there is none.
        StorageError: the store refuses or does not answer.
    """
    system = system_of(folder)
    entries = persist(folder, lambda: system.find(f"{folder.rstrip('/')}/", detail=True))
    if not entries:
        raise FileNotFoundError(folder)
    yield from _objects(system, folder, list(entries.values()))


def _objects(
    system: Any, folder: Address, entries: Collection[Values]
) -> Iterator[tuple[Address, Stamp]]:
    """The addresses and stamps of a listing's objects.

    A client leaves the scheme out, and some write another store's name before the key.
    """
    above = str(system._strip_protocol(folder)).rstrip("/")
    for entry in entries:
        name = str(entry["name"])
        if entry.get("type") == "directory" or not name.startswith(f"{above}/"):
            continue
        yield folder.below(name[len(above) + 1 :]), _stamp(entry)


def _stamp(info: Values) -> Stamp:
    size = info.get("size")
    tag = next((info[name] for name in _TAGS if info.get(name)), "")
    if isinstance(tag, datetime):  # some clients list a time as a number
        tag = tag.timestamp()
    return Stamp(-1 if size is None else int(size), str(tag).strip('"'))
