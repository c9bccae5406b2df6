"""How label files are named after their images."""

import os
from collections import Counter
from collections.abc import Collection, Iterable


def stem(name: str) -> str:
    """A path without its extension.

    Example:
        >>> stem("room.1/0001.jpg")
        'room.1/0001'
    """
    return os.path.splitext(name)[0]  # noqa: PTH122 - a million names: a Path each is slow


def label_name(image: str, extension: str, whole: bool) -> str:
    """The name of a label file below its task's folder; see `whole_names` for `whole`.

    Example:
        >>> label_name("a/0001.jpg", ".png", whole=False), label_name("a/0001.jpg", ".png", whole=True)
        ('a/0001.png', 'a/0001.jpg.png')
    """
    return (image if whole else stem(image)) + extension


def whole_names(wanted: Collection[str], images: Iterable[str]) -> frozenset[str]:
    """Those of the images whose labels must carry the image's whole name, because its stem means other images too.

    Args:
        wanted: image ids.
        images: all ids there are.

    Example:
        >>> sorted(whole_names(["a.jpg", "b.jpg"], ["a.jpg", "a.png", "b.jpg"]))
        ['a.jpg']
    """
    stems = {stem(image) for image in wanted}
    sharing: Counter[str] = Counter()
    for image in images:
        own = stem(image)
        if own in stems:
            sharing[own] += 1
        if image in stems:  # an image 'a.jpg' beside an image 'a.jpg.png'
            sharing[image] += 1
    return frozenset(image for image in wanted if sharing[stem(image)] > 1)
