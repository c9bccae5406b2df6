"""Reads the segments of COCO's "panoptic" files: a JSON file, and a PNG for each image.

A pixel's red, green and blue, R + 256 G + 65536 B, are the id of its segment; 0 is none. A crowd
is a segment as any other.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from labelgrid.annotate.answers import Answers
from labelgrid.annotate.coco_file import CocoFile, EntryError, Id, entry_id, text_of
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.json_files import answer_files, holds_keys
from labelgrid.annotate.matching import LINK, is_file_there, is_inside, leads_outside
from labelgrid.annotate.region_answers import DrawnImage, FoundRegions, Shape
from labelgrid.basics.errors import LabelError
from labelgrid.basics.recognition import Recognition
from labelgrid.basics.type_names import Json
from labelgrid.basics.words import join_names
from labelgrid.formats.arrays import samples, shape_text
from labelgrid.formats.channels import shown_colours
from labelgrid.formats.regions import Canvas

#: A segment's id of 24 bits is below this.
_IDS = 2**24


class CocoPanopticConnector:
    """Reads answers of COCO's panoptic format.

    See `labelgrid.annotate.connector.Connector`.
    """

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        """Read the segments of a file with PNGs, or of the files of a folder.

        The PNGs lie in a folder that is named as the JSON file, or beside it.
        """
        regions = FoundRegions()
        folder = answer if answer.is_dir() else answer.parent
        for path, name in answer_files(answer, regions.rest.faults):
            file = _PanopticFile(name, path, folder)
            file.tables.read(path, index.decode)
            if file.is_panoptic or any(file.tables.faults):
                regions.images += file.drawn_images()
                regions.rest.faults += file.tables.faults
            else:
                regions.rest.stray.append(name)
        return regions.answers(
            index,
            answer,
            nothing="There is no file of panoptic annotations.",
            next_step="Name the folder that holds the JSON file and the PNGs.",
        )

    def recognise(self, path: Path) -> Recognition | None:
        """Recognise a file of annotations with segments."""
        if holds_keys(path, ("image_id", "segments_info")):
            return Recognition("COCO panoptic annotations", 0.95)
        return None


build = CocoPanopticConnector


@dataclass(frozen=True)
class _Segments:
    """An annotation: the number, the PNG, and the category of each segment's id."""

    number: int
    file_name: str
    categories: Mapping[int, Id]


class _PanopticFile:
    """The annotations of a JSON file, by their image."""

    def __init__(self, name: str, path: Path, folder: Path) -> None:
        self.tables = CocoFile(name, self._add_annotation)
        self.is_panoptic = False
        self._path = path
        self._folder = folder
        self._segments: dict[Id, _Segments] = {}
        # One map is kept, for all classes of an image.
        self._read = lru_cache(maxsize=1)(_read_ids)

    def _add_annotation(self, annotation: Json, number: int) -> None:
        image = entry_id(annotation, "image_id")
        segments = annotation.get("segments_info")
        if not isinstance(segments, list):
            raise EntryError("Its segments_info is no list.")
        self.is_panoptic = True
        categories = {}
        for segment in segments:
            if not isinstance(segment, dict):
                raise EntryError("A segment of it is no JSON object.")
            key = segment.get("id")
            if type(key) is not int or not 0 < key < _IDS or key in categories:
                raise EntryError("The id of a segment is no number of 24 bits, or comes twice.")
            categories[key] = entry_id(segment, "category_id")
        read = _Segments(number, text_of(annotation, "file_name"), categories)
        if self._segments.setdefault(image, read) is not read:
            raise EntryError("Another annotation has the same image_id.")

    def drawn_images(self) -> Iterator[DrawnImage]:
        for key in self.tables.images:
            segments = self._segments.pop(key, None)
            yield self.tables.draw(key, list(self._shapes(key, segments)) if segments else [])
        for segments in self._segments.values():
            self.tables.add_fault(segments.number, "Its image_id is in no entry of images.")

    def _shapes(self, key: Id, segments: _Segments) -> Iterator[Shape]:
        """A shape for each class: segments do not overlap."""
        path = self._png(segments)
        if path is None:
            self.tables.incomplete.add(key)
            return
        names = self.tables.categories
        of_class: dict[str, list[int]] = defaultdict(list)
        for segment, category in segments.categories.items():
            if category not in names:
                message = "A category_id of it is in no entry of categories."
                self.tables.add_fault(segments.number, message)
                self.tables.incomplete.add(key)
                return
            of_class[names[category]].append(segment)
        segment_ids = tuple(segments.categories)
        for name, keys in of_class.items():
            yield Shape(name, partial(self._paint, path, segment_ids, keys))

    def _png(self, segments: _Segments) -> Path | None:
        """The annotation's PNG; None, and a fault, if there is none in the answer."""
        name = PurePosixPath(segments.file_name)
        if leads_outside(name):
            message = f"The path '{name}' leads out of the folder."
            self.tables.add_fault(segments.number, message)
            return None
        parent = self._path.parent
        for beside in (parent / self._path.stem, parent, parent.parent / self._path.stem):
            path = beside / name
            if not path.is_relative_to(self._folder) or not is_file_there(path):
                continue
            if is_inside(self._folder, path):
                return path
            advice = "Copy the PNG itself into the folder."
            self.tables.add_fault(segments.number, LINK, advice)
            return None
        self.tables.add_fault(
            segments.number,
            "There is no PNG of its segments.",
            f"Put it where its file_name says, into the folder {self._path.stem}.",
        )
        return None

    def _paint(
        self,
        path: Path,
        segment_ids: tuple[int, ...],
        keys: Sequence[int],
        canvas: Canvas,
        number: int,
    ) -> None:
        ids = self._read(path, segment_ids)
        if ids.shape != canvas.size:
            height, width = ids.shape
            raise LabelError(
                f"The PNG is {height}x{width}, and its image {canvas.size[0]}x{canvas.size[1]} "
                "(height x width)."
            )
        chosen = np.zeros(_IDS, np.bool_)
        chosen[keys] = True
        canvas.paint(chosen[ids], number)


def _read_ids(path: Path, segment_ids: tuple[int, ...]) -> NDArray[np.int32]:
    colours = shown_colours(path, "A PNG of segments")
    if colours is None:
        raise LabelError(
            f"A PNG of segments has 8-bit colours; this one is {shape_text(samples(path))}.",
            where=path,
            next_step="Save it as RGB of 8 bits.",
        )
    channels = colours.astype(np.int32)
    ids = channels[..., 0] | channels[..., 1] << 8 | channels[..., 2] << 16
    is_listed = np.zeros(_IDS, np.bool_)
    is_listed[[0, *segment_ids]] = True
    unknown = ids[~is_listed[ids]]
    if len(unknown):
        raise LabelError(
            f"The PNG {path.name} holds segments that segments_info does not list: "
            f"{join_names(np.unique(unknown).tolist(), 5)}.",
            next_step="Export both together again.",
        )
    return ids
