"""Finds the image that a tool's file names, in whatever folders."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import PurePosixPath

from labelgrid.formats.naming import stem

#: How a name is written.
_Spelling = Callable[[str], str]


class ImageNames:
    """The project's images, found by the names that tools give.

    Accents of one code and of two are the same where nothing else has the name.

    Example:
        >>> names = ImageNames(["kitchen/0004.jpg", "bath/0004.jpg", "hall 1.png"])
        >>> names.find("images/kitchen/0004.jpg")
        ['kitchen/0004.jpg']
        >>> names.find("hall 1.jpg"), names.find("0004.jpg")
        (['hall 1.png'], ['bath/0004.jpg', 'kitchen/0004.jpg'])
        >>> names.find("kitchen/0004.jpg.png")
        ['kitchen/0004.jpg']
        >>> names.find_uploaded("hall_1.png")
        ['hall 1.png']
    """

    def __init__(self, image_ids: Iterable[str]) -> None:
        self._image_ids = list(image_ids)
        self._as_given = _Index(self._image_ids, str)

    @cached_property
    def _composed(self) -> "_Index":
        return _Index(self._image_ids, _composed)

    @cached_property
    def _uploaded(self) -> "_Index":
        return _Index(self._image_ids, _as_uploaded)

    def find(self, name: str) -> list[str]:
        """The images that a name can mean, sorted: only the best matches.

        The best match is the whole name, then the name without extension, then a name that ends in
        the other name, and last the same without extension. Folders that differ never match. A name
        with a second extension, as an upright copy has, is one but for its extension.
        """
        return self._as_given.find(name) or self._composed.find(name)

    def find_uploaded(self, name: str) -> list[str]:
        """The images that the name of an upload on a web server can mean, sorted.

        It has no folders; blanks became "_", and what is no letter, digit, "_", "-" or "." is lost.
        """
        return self._uploaded.find(name)


class _Index:
    """The images by their names in a spelling."""

    def __init__(self, image_ids: Iterable[str], spelling: _Spelling) -> None:
        self._spelling = spelling
        self._by_name: dict[str, list[tuple[PurePosixPath, str]]] = defaultdict(list)
        for image_id in image_ids:
            path = PurePosixPath(spelling(image_id))
            self._by_name[stem(path.name)].append((path, image_id))

    def find(self, name: str) -> list[str]:
        path = PurePosixPath(self._spelling(name.replace("\\", "/").lstrip("/")))
        ranks: dict[int, list[str]] = defaultdict(list)
        # A name may come without the image's extension: `room.1` of `room.1.jpg`.
        for last in {path.stem, path.name, stem(path.stem)}:
            for image, image_id in self._by_name.get(last, ()):
                rank = _rank(path, image)
                if rank is not None:
                    ranks[rank].append(image_id)
        if not ranks:
            return []
        return sorted(ranks[min(ranks)])


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _as_uploaded(name: str) -> str:
    """The last part of a name as Django's storage writes it; accents may get lost there.

    Example:
        >>> _as_uploaded("bath/100% #1 (a).jpg")
        '100_1_a.jpg'
    """
    last = PurePosixPath(unicodedata.normalize("NFD", name)).name
    return re.sub(r"[^-\w.]", "", last.replace(" ", "_"))


def _rank(name: PurePosixPath, image: PurePosixPath) -> int | None:
    """How well a name matches an image's, 0 the best; None if it does not."""
    common = min(len(name.parts), len(image.parts))
    if name.parts[-common:-1] != image.parts[-common:-1]:
        return None
    is_whole = len(name.parts) == len(image.parts)
    same_extension = name.name == image.name
    if not same_extension and image.stem not in (name.stem, name.name) and image.name != name.stem:
        return None
    return (0 if is_whole else 2) + (0 if same_extension else 1)
