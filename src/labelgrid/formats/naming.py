"""Names label files after their images."""

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterable

from labelgrid.basics.errors import ImageError

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

    Every path that is made of an image's name comes from here.

    Raises:
        ImageError: it would lead out of the folder.

    Example:
        >>> label_name("a/0001.jpg", ".png", whole=False)
        'a/0001.png'
        >>> label_name("a/0001.jpg", ".png", whole=True)
        'a/0001.jpg.png'
    """
    name = image_id + extension
    if not whole:
        name = stem(image_id) + extension
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise ImageError(
            f"The image name {image_id!r} leads out of its folder.",
            next_step="Use a project whose origin you know.",
            unchanged="Nothing was written.",
        )
    return shorten_path(name)


def shorten_path(path: str) -> str:
    """Shorten the last part of a path to 255 bytes, as file systems demand.

    A hash takes the place of what is cut off.

    Example:
        >>> len(shorten_path("a/" + "x" * 252 + ".png")), shorten_path("a/b.png")
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
    """The images whose labels keep the image's extension, since another image has the same stem.

    Example:
        >>> sorted(whole_names(["a.jpg", "b.jpg"], ["a.jpg", "a.png", "b.jpg"]))
        ['a.jpg']
    """
    stems = {stem(image_id) for image_id in wanted}
    sharing: Counter[str] = Counter()
    for image_id in image_ids:
        image_stem = stem(image_id)
        if image_stem in stems:
            sharing[image_stem] += 1
        if image_id in stems:  # an image 'a.jpg' beside an image 'a.jpg.png'
            sharing[image_id] += 1
    return frozenset(image_id for image_id in wanted if sharing[stem(image_id)] > 1)
