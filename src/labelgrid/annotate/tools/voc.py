"""Reads the coloured class masks of Pascal VOC and of CVAT's "Segmentation mask 1.1".

The colours' names come from the file labelmap.txt, or else from VOC's 20 classes. Black is the
class "background" if a task has it, and else not labelled, as is VOC's pale border.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

from labelgrid.annotate.answers import Answers, Fault
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.matching import LINK, is_inside, link_fault
from labelgrid.annotate.region_answers import DrawnImage, Shape, region_answers
from labelgrid.annotate.safe_xml import root_of
from labelgrid.annotate.voc_colours import (
    BORDER,
    VOID,
    channels_text,
    read_colours,
    read_label_map,
    standard_names,
)
from labelgrid.basics import files
from labelgrid.basics.errors import ImageError, LabelError
from labelgrid.basics.recognition import Recognition
from labelgrid.basics.words import count_text, join_names
from labelgrid.formats.colours import count_colours
from labelgrid.formats.regions import IGNORED, Canvas

MASKS = "SegmentationClass"
BOXES = "Annotations"
LABEL_MAP = "labelmap.txt"
LISTS = "ImageSets/Segmentation"
_PNG = b"\x89PNG\r\n\x1a\n"
_LARGEST_LIST = 2**24
#: How many folders are looked at to find the one with the masks.
_LOOKED_AT = 100
#: The most colours of a picture that a message names.
_SHOWN = 5


class VocConnector:
    """Reads masks of Pascal VOC; it does not send requests.

    See `labelgrid.annotate.connector.Connector`.
    """

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        """Read all masks of a folder.

        Images in a list without a mask, and images with only black pixels, count as images in which
        nobody drew.
        """
        root = _root(answer, MASKS)
        if root is None:
            raise _no_masks(answer)
        label_map = root / LABEL_MAP
        names = standard_names()
        if label_map.exists():
            if not is_inside(answer, label_map):
                raise LabelError(LINK, where=LABEL_MAP, next_step="Copy the file itself.")
            names = read_label_map(label_map, index.decode)
        masks = _Masks(answer, root, names, index)
        images = list(masks.images())
        answers = region_answers(images, index)
        answers.faults += masks.faults
        if not (answers.labels or answers.faults):
            raise LabelError(
                "There is no mask of an image of the project with a class in it.",
                where=root / MASKS,
                next_step="Name the masks after the images.",
            )
        return answers

    def recognise(self, path: Path) -> Recognition | None:
        """Recognise a folder with masks, or with VOC's boxes alone, which are refused then."""
        root = _root(path, MASKS)
        if root:
            mask = next(_files_below(root / MASKS, ".png"), None)
            if mask and is_inside(path, mask) and _begins_as_png(mask):
                return Recognition("Pascal VOC segmentation masks", 0.95)
        elif _has_boxes(path):
            return Recognition("Pascal VOC boxes", 0.95)
        return None


build = VocConnector


class _Masks:
    """Turns the masks below a folder into drawn images; what is wrong is added to the faults."""

    def __init__(
        self, answer: Path, root: Path, names: Mapping[int, str], index: ProjectIndex
    ) -> None:
        classes = index.class_names()
        self._decode = index.decode
        self.faults: list[Fault] = []
        self._answer = answer
        self._root = root
        self._names = {
            colour: name
            for colour, name in names.items()
            if name not in VOID.get(colour, ()) or classes.knows(name)
        }
        # All shapes of an image are painted one after the other.
        self._colours = lru_cache(1)(read_colours)

    def images(self) -> Iterator[DrawnImage]:
        listed = self._listed()
        for path in _files_below(self._root / MASKS, ".png"):
            name = path.relative_to(self._root / MASKS).as_posix().removesuffix(path.suffix)
            listed.pop(name, None)
            image = self._image(path, name)
            if image:
                yield image
        for name, where in listed.items():
            yield DrawnImage(image=name, where=where, size=(0, 0), shapes=[])

    def _image(self, path: Path, name: str) -> DrawnImage | None:
        where = path.relative_to(self._answer).as_posix()
        if not is_inside(self._answer, path):
            self.faults.append(link_fault(where, "mask"))
            return None
        try:
            colours = self._colours(path)
        except (ImageError, LabelError) as error:
            self.faults.append(Fault.of_error(where, error))
            return None
        counts = count_colours(colours)
        unknown = [colour for colour in counts if colour not in self._names and colour not in VOID]
        if unknown:
            self.faults.append(_unknown_colours(where, unknown, counts))
            return None
        named = [colour for colour in counts if colour in self._names]
        if named == [0]:
            named = []
        shapes = []
        for colour in named:
            shape = Shape(self._names[colour], partial(self._paint, path, colour))
            shapes.append(shape)
        height, width = colours.shape
        return DrawnImage(image=name, where=where, size=(height, width), shapes=shapes)

    def _paint(self, path: Path, colour: int, canvas: Canvas, number: int) -> None:
        colours = self._colours(path)
        canvas.paint(colours == colour, number)
        if BORDER not in self._names:
            border = colours == BORDER
            if border.any():
                canvas.paint(border, IGNORED)

    def _listed(self) -> dict[str, str]:
        listed: dict[str, str] = {}
        for path in _files_below(self._root / LISTS, ".txt"):
            where = path.relative_to(self._answer).as_posix()
            if not is_inside(self._answer, path):
                self.faults.append(link_fault(where, "list"))
                continue
            try:
                lines = self._decode(files.read_bytes(path, _LARGEST_LIST)).splitlines()
            except (OSError, ValueError) as error:
                advice = getattr(error, "advice", "")
                self.faults.append(Fault(where, f"The list cannot be read: {error}.", advice))
                continue
            for number, line in enumerate(lines, 1):
                if line.strip() and not line.startswith("#"):
                    listed.setdefault(line.strip(), f"{where} line {number}")
        return listed


def _unknown_colours(where: str, unknown: list[int], counts: Mapping[int, int]) -> Fault:
    texts = [f"{channels_text(code)} in {count_text(counts[code], 'pixel')}" for code in unknown]
    step = f"Write them into {LABEL_MAP}, a line NAME:RED,GREEN,BLUE:: each."
    if all(code % 0x10101 == 0 for code in unknown):
        step = "If these are numbers of classes, name the tool: --format folder."
    message = f"It has colours without a label: {join_names(texts, _SHOWN, '; ')}."
    return Fault(where, message, step)


def _no_masks(answer: Path) -> LabelError:
    if _has_boxes(answer):
        return LabelError(
            f"The folder holds boxes of Pascal VOC ({BOXES}), which do not say which pixels are of "
            "a class.",
            where=answer,
            next_step=f"Import a folder with masks, {MASKS}.",
        )
    return LabelError(
        f"There is no folder {MASKS} with masks of Pascal VOC.",
        where=answer,
        next_step="Name the folder that holds it, or another tool's --format.",
    )


def _has_boxes(path: Path) -> bool:
    root = _root(path, BOXES)
    if root is None:
        return False
    first = next(_files_below(root / BOXES, ".xml"), None)
    return first is not None and is_inside(path, first) and root_of(first)[0] == "annotation"


def _root(answer: Path, name: str) -> Path | None:
    """The folder with a subfolder of a name: the answer, or at most two levels below."""
    for root in islice(_folders(answer), _LOOKED_AT):
        if (root / name).is_dir() and not (root / name).is_symlink():
            return root
    return None


def _folders(answer: Path) -> Iterator[Path]:
    """The folder and two levels of subfolders, level by level; links are not followed."""
    level = [answer] if answer.is_dir() else []
    for _ in range(3):
        yield from level
        below = []
        for folder in level[:_LOOKED_AT]:
            with suppress(OSError), os.scandir(folder) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
                below += [folder / name for name in sorted(names)]
        level = below


def _files_below(folder: Path, suffix: str) -> Iterator[Path]:
    for prefix, folders, names in files.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.lower().endswith(suffix) and not name.startswith("."):
                yield folder / f"{prefix}{name}"


def _begins_as_png(path: Path) -> bool:
    with suppress(OSError), files.open_regular(path) as file:
        return file.read(len(_PNG)) == _PNG
    return False
