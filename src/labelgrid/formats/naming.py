"""Names label files after their images."""

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterable

from labelgrid.errors import ImageError

#: The longest name of a file, in bytes.
LONGEST = 255


def stem(path: str) -> str:
    """A path without its extension.

    Example:
        >>> stem("room.1/0001.jpg")
        'room.1/0001'
    """
    return os.path.splitext(path)[0]  # noqa: PTH122 - a Path each is slow for a million names


def label_name(image_id: str, extension: str, whole: bool) -> str:
    """The name of a label file below its task's folder; see `whole_names` for `whole`.

    Every path that is made of an image's name is made of this one.

    Raises:
        ImageError: it would lead out of the folder.

    Example:
        >>> label_name("a/0001.jpg", ".png", whole=False), label_name("a/0001.jpg", ".png", whole=True)
        ('a/0001.png', 'a/0001.jpg.png')
    """
    name = (image_id if whole else stem(image_id)) + extension
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise ImageError(
            f"The image name {image_id!r} leads out of its folder.",
            next_step="Use a project whose origin you know.",
            unchanged="Nothing was written.",
        )
    return shorten_path(name)


def shorten_path(path: str) -> str:
    """A path whose last part is at most 255 bytes long, as file systems demand.

    A longer one gets a hash instead.

    Example:
        >>> len(shortened("a/" + "x" * 252 + ".png")), shortened("a/b.png")
        (257, 'a/b.png')
    """
    folder, slash, name = path.rpartition("/")
    if len(name.encode()) <= LONGEST:
        return path
    start, ending = os.path.splitext(name)  # noqa: PTH122 - as in `stem`
    mark = hashlib.blake2b(path.encode(), digest_size=8).hexdigest()
    room = LONGEST - len(f"~{mark}{ending}".encode())
    return f"{folder}{slash}{start.encode()[:room].decode(errors='ignore')}~{mark}{ending}"


def whole_names(wanted: Collection[str], image_ids: Iterable[str]) -> frozenset[str]:
    """The images whose labels must keep the image's extension, because another image has the same stem.

    Args:
        wanted: the image ids to look at.
        image_ids: all image ids.

    Example:
        >>> sorted(whole_names(["a.jpg", "b.jpg"], ["a.jpg", "a.png", "b.jpg"]))
        ['a.jpg']
    """
    stems = {stem(image_id) for image_id in wanted}
    sharing: Counter[str] = Counter()
    for image_id in image_ids:
        own = stem(image_id)
        if own in stems:
            sharing[own] += 1
        if image_id in stems:  # an image 'a.jpg' beside an image 'a.jpg.png'
            sharing[image_id] += 1
    return frozenset(image_id for image_id in wanted if sharing[stem(image_id)] > 1)
