"""Makes images readable wherever they are: by a path below a folder, or by a fetched copy.

Everything that opens a project's images asks here for a path.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from labelgrid.basics.config import check_pattern
from labelgrid.basics.errors import ImageError, StorageError

if TYPE_CHECKING:
    from labelgrid.basics.array_types import Bytes


def is_remote(root: str) -> bool:
    """Whether images are in a store of objects, by their root folder."""
    return "://" in root


def image_file(root: str, image_id: str, digest: str = "", *, check: bool = True) -> Path:
    """The path of an image's file; a file of this machine may not exist.

    An object is fetched unless it is in the cache; its file stays until this thread has asked for
    some more. Ask again instead of keeping the path.

    Args:
        root: the folder of the id, or its address.
        image_id: the image.
        digest: the expected content hash of an object; "" accepts any content.
        check: compare a copy in the cache with the digest; otherwise the caller does.

    Raises:
        ImageError: there is no such object, or its content is another.
        StorageError: the store refuses or does not answer, or the cache cannot be written.
    """
    if not is_remote(root):
        return Path(root) / image_id
    # Loaded late: most projects have none.
    from labelgrid.images.opening import max_bytes
    from labelgrid.storage.addresses import check_address
    from labelgrid.storage.objects import fetch

    address = check_address(root).below(image_id)
    with object_errors(address):
        return fetch(address, digest, max_bytes(), check=check)


def read_placed_image(root: str, image_id: str, digest: str = "") -> "Bytes":
    """Read an image wherever it is, as `image_file` and `read_image`.

    A damaged copy in the cache is fetched again.

    Raises:
        ImageError: as `image_file`, and as `read_image`.
        StorageError: as `image_file`.
    """
    from labelgrid.images.reading import read_image  # slow to load

    if digest and is_remote(root):
        with suppress(ImageError):
            return read_image(image_file(root, image_id, digest, check=False), digest)
    return read_image(image_file(root, image_id, digest), digest)


def orientation_or_upright(root: str, image_id: str, digest: str) -> int:
    """The EXIF orientation of an image; 1 if unreadable, as other commands say."""
    from labelgrid.images.reading import orientation_of  # slow to load

    with suppress(ImageError, StorageError, OSError):
        return orientation_of(image_file(root, image_id, digest))
    return 1


@contextmanager
def object_errors(address: str) -> Iterator[None]:
    """Turn the faults of an object into an error of an image.

    Raises:
        ImageError: the object does not exist, has changed, or is too large.
    """
    from labelgrid.storage.objects import ChangedObjectError

    try:
        yield
    except ChangedObjectError as error:
        raise changed_object_error(address) from error
    except FileNotFoundError as error:
        raise missing_object_error(address) from error
    except OSError as error:
        raise ImageError(
            f"The image cannot be read: {error.strerror}.",
            where=address,
            next_step="Replace it by an image that can be read, or take it out.",
        ) from error


@contextmanager
def held_image_file(root: str, image_id: str, digest: str = "") -> Iterator[Path]:
    """Yield the path of an image's file; an object's copy has the object's name in the block.

    Raises:
        ImageError: as `image_file`.
        StorageError: as `image_file`.
    """
    path = image_file(root, image_id, digest)
    if not is_remote(root):
        yield path
        return
    from labelgrid.storage.object_cache import Cache

    with Cache.of_environment().held(path, posixpath.basename(image_id)) as held:
        yield held


def existing_images(images: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """The images, each a root and an image id, whose file or object exists.

    Raises:
        StorageError: a store refuses or does not answer.
    """
    existing = set()
    remote = {}
    for root, image_id in images:
        if is_remote(root):
            remote[f"{root}/{image_id}"] = (root, image_id)
        elif Path(root, image_id).exists():
            existing.add((root, image_id))
    if remote:
        from labelgrid.storage.addresses import check_address
        from labelgrid.storage.stamps import stamps_of

        stamps = stamps_of([check_address(address) for address in remote])
        existing |= {remote[address] for address in stamps}
    return existing


def missing_object_error(address: str) -> ImageError:
    """The error for an image whose object does not exist."""
    return ImageError(
        "There is no such object.",
        where=address,
        next_step="Put it back, or take the image out with `labelgrid remove`.",
    )


def changed_object_error(address: str) -> ImageError:
    """The error for an image whose object has another content than when it was added."""
    return ImageError(
        "The image is not the one that was added: the content of its object has changed.",
        where=address,
        next_step="Put the old object back; or, if it has no labels yet, accept the new one with "
        "`labelgrid add`.",
    )


def file_versions(paths: Mapping[str, Path]) -> dict[str, tuple[int, str]]:
    """The versions of images' files or objects: size, and time or tag.

    Nothing is fetched; the size is -1 if it is unknown or there is no such file.

    Raises:
        StorageError: a store refuses or does not answer.
    """
    versions = {}
    addresses = {}
    for image_id in paths:
        root = paths.origins[image_id][0] if isinstance(paths, ImagePaths) else ""
        if is_remote(root):
            addresses[image_id] = f"{root}/{image_id}"
        else:
            try:
                status = paths[image_id].stat()
                versions[image_id] = (status.st_size, str(status.st_mtime_ns))
            except OSError:
                versions[image_id] = (-1, "")
    if addresses:
        from labelgrid.storage.addresses import check_address
        from labelgrid.storage.stamps import Stamp, stamps_of

        stamps = stamps_of([check_address(address) for address in addresses.values()])
        for image_id, address in addresses.items():
            stamp = stamps.get(check_address(address), Stamp(-1, ""))
            versions[image_id] = (stamp.size, stamp.tag)
    return versions


def chosen_paths(paths: Mapping[str, Path], image_ids: Sequence[str]) -> Mapping[str, Path]:
    """The files of some images, by absolute paths; objects are not fetched yet."""
    if isinstance(paths, ImagePaths):
        return ImagePaths({image_id: paths.origins[image_id] for image_id in image_ids})
    return {image_id: paths[image_id].absolute() for image_id in image_ids}


class ImagePaths(Mapping[str, Path]):
    """The files of images by id; an object is fetched on access.

    Args:
        origins: image id -> the root of its path, and the digest of its content ("" if unknown).
    """

    def __init__(self, origins: Mapping[str, tuple[str, str]]) -> None:
        self.origins = origins

    def __getitem__(self, image_id: str) -> Path:
        root, digest = self.origins[image_id]
        return image_file(root, image_id, digest)

    def __iter__(self) -> Iterator[str]:
        return iter(self.origins)

    def __len__(self) -> int:
        return len(self.origins)


def group_of(pattern: str, image_id: str) -> str:
    r"""The group of an image: the match of the pattern's first group, otherwise the id.

    Without a group in the pattern, the match of the whole pattern.

    Example:
        >>> group_of(r"^(scene\d+)/", "scene12/0003.jpg"), group_of("", "scene12/0003.jpg")
        ('scene12', '')
    """
    if not pattern:
        return ""
    check_pattern(pattern)
    match = re.search(pattern, image_id)
    if match is None:
        return image_id
    if match.re.groups:
        return match.group(1)
    return match.group(0)
