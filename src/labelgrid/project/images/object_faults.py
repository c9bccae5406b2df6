"""Finds images in stores of objects that are missing, unreadable or changed.

An object is read only if the store has a newer version than the version read before.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from labelgrid.basics.errors import ImageError
from labelgrid.basics.progress import Progress
from labelgrid.images.opening import max_bytes
from labelgrid.images.places import changed_object_error, missing_object_error, object_errors
from labelgrid.images.reading import check_image
from labelgrid.ledger.grid import ImageRow
from labelgrid.storage.addresses import Address, check_address
from labelgrid.storage.known_contents import Content, known_contents, remember
from labelgrid.storage.object_cache import Cache
from labelgrid.storage.objects import fetch_all, fetch_version
from labelgrid.storage.stamps import Stamp, stamps_of
from labelgrid.storage.threads import each_in_threads


def object_faults(
    rows: Sequence[ImageRow], progress: Progress, *, ahead: bool = False, cached: bool = False
) -> dict[str, ImageError]:
    """The faults of images in stores of objects; usable images are left out.

    Args:
        rows: images in stores of objects.
        progress: reports the objects that are fetched.
        ahead: fetch the missing objects, if all fit into the cache.
        cached: fetch no object that the cache lacks: its fault is found on reading.

    Raises:
        StorageError: a store refuses or does not answer, or the cache cannot be written.
    """
    addresses = {row.image_id: check_address(row.root).below(row.image_id) for row in rows}
    stamps = stamps_of(addresses.values())
    contents = known_contents(stamps)
    faults = {}
    unknown = []
    for row in rows:
        address = addresses[row.image_id]
        if address not in stamps:
            faults[row.image_id] = missing_object_error(address)
        elif address not in contents:
            unknown.append(row)
        elif row.digest and contents[address].digest != row.digest:
            faults[row.image_id] = changed_object_error(address)
    if cached:
        cache = Cache.of_environment()
        unknown = [
            row for row in unknown if cache.holds(row.digest, addresses[row.image_id].suffix)
        ]
    faults |= _faults_in(unknown, addresses, stamps)
    if ahead:
        usable = {
            addresses[row.image_id]: row.digest
            for row in rows
            if row.image_id not in faults and row.digest
        }
        fetch_all(usable, stamps, progress)
    return faults


def _faults_in(
    rows: Collection[ImageRow], addresses: Mapping[str, Address], stamps: Mapping[Address, Stamp]
) -> dict[str, ImageError]:
    """The faults in the contents of objects, which are fetched."""
    faults = {}
    results = each_in_threads(partial(_read, addresses, stamps), rows)
    for row, fault in zip(rows, results, strict=True):
        if fault:
            faults[row.image_id] = fault
    return faults


def _read(
    addresses: Mapping[str, Address], stamps: Mapping[Address, Stamp], row: ImageRow
) -> ImageError | None:
    address = addresses[row.image_id]
    stamp = stamps[address]
    try:
        with object_errors(address):
            path, digest = fetch_version(address, stamp, limit=max_bytes())
        image = check_image(path)
        remember([(address, stamp, Content(digest, image.height, image.width))])
        if row.digest and digest != row.digest:
            return changed_object_error(address)
    except ImageError as error:
        return error
    return None
