"""Fetches objects into the cache, one or many at a time."""

import errno
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from labelgrid.basics.errors import StorageError
from labelgrid.basics.files import disk_errors, inside
from labelgrid.basics.progress import Progress
from labelgrid.storage.addresses import Address, without_query
from labelgrid.storage.attempts import persist
from labelgrid.storage.known_contents import Content, known_contents, remember
from labelgrid.storage.object_cache import KEPT, Cache
from labelgrid.storage.stamps import Stamp, list_below, stamp_of
from labelgrid.storage.store_settings import SIZE
from labelgrid.storage.systems import system_of
from labelgrid.storage.threads import each_in_threads


class ChangedObjectError(Exception):
    """The content of an object differs from the wanted one; holds the hash of the content."""


def fetch(
    address: Address, digest: str = "", limit: int | None = None, *, check: bool = True
) -> Path:
    """The local file with an object's content, kept until this thread asked for more.

    What is in the cache is not fetched. Without a digest, the store is asked whether the object is
    still what it was.

    Args:
        address: the address of the object.
        digest: the content hash that it must have; "" accepts any content.
        limit: an object of more bytes is refused; None: none is.
        check: compare what is in the cache with the digest; otherwise the caller does.

    Raises:
        ChangedObjectError: the object has another content now, and the wanted one is not in the
            cache.
        FileNotFoundError: there is no such object.
        StorageError: the store refuses or does not answer, or the cache cannot be written.
    """
    cache = Cache.of_environment()
    if digest:
        path = cache.find(digest, address.suffix, check=check)
        if path is None:
            path, content = _download(cache, address, limit)
            if content != digest:
                raise ChangedObjectError(content)
        return path
    stamp = stamp_of(address)
    if stamp is None:
        raise FileNotFoundError(errno.ENOENT, "There is no such object", address)
    remembered = known_contents({address: stamp}).get(address)
    path, content = fetch_version(address, stamp, remembered, limit)
    if remembered is None or remembered.digest != content:
        remember([(address, stamp, Content(content))])
    return path


def fetch_version(
    address: Address, stamp: Stamp, remembered: Content | None = None, limit: int | None = None
) -> tuple[Path, str]:
    """The local file of a version of an object, and its content hash; as `fetch`."""
    cache = Cache.of_environment()
    path = remembered and cache.find(remembered.digest, address.suffix)
    if remembered and path:
        return path, remembered.digest
    if limit is not None and stamp.size > limit:
        raise _too_large(address, stamp.size, limit)
    return _download(cache, address, limit)


def fetch_all(
    wanted: Mapping[Address, str], stamps: Mapping[Address, Stamp], progress: Progress
) -> None:
    """Fetch the missing objects, many at a time, if all fit into the cache.

    `wanted` are the content hashes that they must have.

    Otherwise this is said, and each is fetched when it is read. An object that is missing or has
    changed is left to the later reader.
    """
    cache = Cache.of_environment()
    missing = [address for address in wanted if not cache.holds(wanted[address], address.suffix)]
    if not missing:
        return
    size = sum(stamps[address].size for address in wanted if address in stamps)
    if size > KEPT * cache.limit:
        progress.say(
            f"The images ({size / 1e9:.3g} GB) are more than the cache of objects keeps "
            f"({cache.limit / 1e9:.3g} GB): they are fetched each time they are read. {SIZE} makes "
            "it larger."
        )
        return
    system_of(missing[0])
    progress.start("Fetching images", len(missing), "images")

    def fetch_quietly(address: Address) -> None:
        with suppress(ChangedObjectError, FileNotFoundError):
            fetch(address, wanted[address])

    for _ in each_in_threads(fetch_quietly, missing):
        progress.advance()


def download(address: Address, folder: Path, progress: Progress) -> Path:
    """Copy an object, or all objects below an address, into a folder; return the path of the copy.

    Raises:
        StorageError: there is none, the store refuses or does not answer, or the folder cannot be
            written.
    """
    name = address.key.rstrip("/").rpartition("/")[2] or "objects"
    target = inside(folder, name)
    if not address.endswith("/") and stamp_of(address):
        _copy(address, target)
        return target
    try:
        objects = [item for item, _ in list_below(address)]
    except FileNotFoundError as error:
        raise StorageError(
            "There is no such object, and none below it.",
            where=without_query(address),
            next_step="Check the address.",
        ) from error
    start = len(address.rstrip("/")) + 1
    targets = [inside(target, item[start:]) for item in objects]
    progress.start("Fetching", len(objects), "files")
    pairs = zip(objects, targets, strict=True)
    for _ in each_in_threads(lambda pair: _copy(*pair), pairs):
        progress.advance()
    return target


def _copy(address: Address, target: Path) -> None:
    system = system_of(address)
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        persist(address, lambda: system.get_file(address, str(target)), partial(_size, target))


def _download(cache: Cache, address: Address, limit: int | None) -> tuple[Path, str]:
    """Fetch an object into the cache; again after room was made, if the disk is full.

    Return its path and content hash.
    """
    system = system_of(address)
    while True:
        try:
            with cache.new_file() as file:
                with cache.disk_errors():
                    fetch_file = partial(system.get_file, address, str(file))
                    persist(address, fetch_file, partial(_size, file))
                size = file.stat().st_size
                if limit is not None and size > limit:
                    raise _too_large(address, size, limit)
                return cache.take(file, address.suffix)
        except StorageError as error:
            number = getattr(error.__cause__, "errno", None)
            if number not in (errno.ENOSPC, errno.EDQUOT) or not cache.make_room():
                raise


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _too_large(address: Address, size: int, limit: int) -> OSError:
    sizes = f"its {size / 1e6:.0f} MB are more than the {limit / 1e6:.0f} MB"
    return OSError(errno.EFBIG, f"{sizes} that such a file can need", str(address))
