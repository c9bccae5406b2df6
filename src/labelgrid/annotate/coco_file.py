"""Reads what all JSON files of COCO have: images, categories, and annotations in order."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labelgrid.annotate.json_files import Decoder, GroupedFaults, Member, plain_text, read_members
from labelgrid.annotate.region_answers import DrawnImage, Shape
from labelgrid.basics.errors import LabelError
from labelgrid.basics.type_names import Json, Size

#: The key of an image with the ids of its requests.
REQUEST_IDS = "labelgrid_request_ids"
#: An id of an image or a category.
Id = int | str
#: Control characters, and halves of characters.
_UNSHOWN = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
#: Reads an entry of a list, and gets its number.
_Reader = Callable[[Json, int], None]


class EntryError(ValueError):
    """The error of an entry of a file, one sentence.

    An `empty` entry says nothing: its image is the same without it.
    """

    def __init__(self, message: str, *, empty: bool = False) -> None:
        super().__init__(message)
        self.empty = empty


@dataclass(frozen=True)
class CocoImage:
    """An entry of `images`: a file's name, height and width, and the ids of its requests."""

    name: str
    size: Size
    request_ids: Sequence[str] = ()


class CocoFile:
    """The images, the names of the categories, and the faults of a file; one bad entry is a fault.

    Args:
        name: the name of the file, for messages.
        add_annotation: gets each annotation and its number, and raises `EntryError`.

    Attributes:
        incomplete: the ids of images with a wrong annotation.
        damaged: whether the file could not be read to its end, or a category has two names.
    """

    def __init__(self, name: str, add_annotation: _Reader) -> None:
        self.name = name
        self.images: dict[Id, CocoImage] = {}
        self.categories: dict[Id, str] = {}
        self.info: object = None
        self.has_annotations = False
        self.incomplete: set[object] = set()
        self.damaged = False
        self.faults = GroupedFaults(name)
        self._readers = {
            "images": self._add_image,
            "categories": self._add_category,
            "annotations": add_annotation,
        }

    def read(self, path: Path, decoder: Decoder = plain_text) -> None:
        """Read the file; `decoder` makes a text of its bytes."""
        try:
            for member in read_members(path, decoder):
                self._add(member)
        except LabelError as error:
            self.damaged = True
            self.faults.add("", error.what, error.next_step)

    def draw(self, key: Id, shapes: Sequence[Shape], name: str = "") -> DrawnImage:
        """The drawn image of an entry of `images` with some shapes, by its own name or another.

        Call it when all annotations of the image were read: then it is known to be incomplete.
        """
        image = self.images[key]
        return DrawnImage(
            image=name or image.name,
            where=f"{self.name}: {image.name}",
            size=image.size,
            shapes=shapes,
            incomplete=self.damaged or key in self.incomplete,
        )

    def add_fault(self, number: int, message: str, next_step: str = "") -> None:
        """Add a fault of an annotation, and the next step."""
        self.faults.add(f"annotations[{number}]", message, next_step)

    def _add(self, member: Member) -> None:
        key, number, value = member
        if key == "info":
            self.info = value
        self.has_annotations |= key == "annotations"
        reader = self._readers.get(key)
        if not reader or (number is None and value == []):
            return
        if number is None:
            self.faults.add(key, "It is no list.")
            return
        try:
            if not isinstance(value, dict):
                raise EntryError("It is no JSON object.")
            reader(value, number)
        except EntryError as error:
            self.faults.add(f"{key}[{number}]", str(error))
            image = value.get("image_id") if isinstance(value, dict) else None
            if isinstance(image, Id) and not error.empty:
                self.incomplete.add(image)

    def _add_image(self, image: Json, _number: int) -> None:
        key = entry_id(image, "id")
        request_ids = image.get(REQUEST_IDS, [])
        if not isinstance(request_ids, list) or not all(map(_is_text, request_ids)):
            raise EntryError(f"Its {REQUEST_IDS} are no list of texts.")
        read = CocoImage(text_of(image, "file_name"), size_of(image), tuple(request_ids))
        if self.images.setdefault(key, read) is not read:
            self.incomplete.add(key)
            raise EntryError("Another image has the same id.")

    def _add_category(self, category: Json, _number: int) -> None:
        key = entry_id(category, "id")
        name = text_of(category, "name")
        if self.categories.setdefault(key, name) != name:
            self.damaged = True
            raise EntryError("Another category has the same id.")


def entry_id(entry: Json, key: str) -> Id:
    """The id under a key; an `EntryError` if it is neither a whole number nor a text."""
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, Id):
        raise EntryError(f"Its {key} is neither a whole number nor a text.")
    return value


def text_of(entry: Json, key: str) -> str:
    """The text under a key; an `EntryError` if it is none, or empty."""
    value = entry.get(key)
    if not _is_text(value):
        raise EntryError(f"Its {key} is no text.")
    return str(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != "" and not _UNSHOWN.search(value)


def size_of(entry: Json, height: str = "height", width: str = "width") -> Size:
    """The height and width under two keys; an `EntryError` unless whole numbers above 0."""
    rows = entry.get(height)
    columns = entry.get(width)
    if type(rows) is not int or type(columns) is not int:
        raise EntryError(f"Its {height} and {width} are no whole numbers.")
    if rows < 1 or columns < 1:
        raise EntryError(f"Its {height} and {width} are not above 0.")
    return rows, columns
