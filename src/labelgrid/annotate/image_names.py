"""Finds the image that a tool's file names, whatever folders its name has."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from labelgrid.formats.naming import stem


class ImageNames:
    """The project's images, to be found by the names that tools give them.

    Args:
        image_ids: all images of the project.

    Example:
        >>> names = ImageNames(["kitchen/0004.jpg", "bath/0004.jpg", "hall.png"])
        >>> names.find("images/kitchen/0004.jpg")
        ['kitchen/0004.jpg']
        >>> names.find("hall.jpg"), names.find("0004.jpg")
        (['hall.png'], ['bath/0004.jpg', 'kitchen/0004.jpg'])
        >>> names.find("kitchen/0004.jpg.png")
        ['kitchen/0004.jpg']
    """

    def __init__(self, image_ids: Iterable[str]) -> None:
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for image_id in image_ids:
            self._by_name[stem(PurePosixPath(image_id).name)].append(image_id)

    def find(self, name: str) -> list[str]:
        """The images that a name can mean, sorted: those of its best match alone.

        Best is the whole name, then the name but for its extension, then a name of which one is the
        end of the other, and at last that but for the extension. Folders that differ never match.
        A name with a second extension, as an upright copy has, is one but for its extension.
        """
        path = PurePosixPath(name.replace("\\", "/").lstrip("/"))
        ranks: dict[int, list[str]] = defaultdict(list)
        # A name may come without the image's extension: `room.1` of `room.1.jpg`.
        for last in {path.stem, path.name, stem(path.stem)}:
            for image_id in self._by_name.get(last, ()):
                rank = _rank(path, PurePosixPath(image_id))
                if rank is not None:
                    ranks[rank].append(image_id)
        return sorted(ranks[min(ranks)]) if ranks else []


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
