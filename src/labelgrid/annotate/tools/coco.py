"""Sends requests as a COCO data set, and reads the regions of COCO's "instances" files.

A region is drawn by polygons (several rings are one region) or by run lengths, compressed or not;
later ones cover earlier ones. A crowd (`iscrowd`) is a region like any other: in COCO, a crowd
means that objects of a class were not told apart, not that the pixels have no class.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from labelgrid.annotate.answers import Answers, Fault
from labelgrid.annotate.coco_file import REQUEST_IDS, CocoFile, CocoImage, EntryError, Id, entry_id
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.drawing_requests import box_of, predicted_regions, refuse_undrawn
from labelgrid.annotate.earlier_request import foreign_folder_error, is_vacant
from labelgrid.annotate.image_copies import copy_images
from labelgrid.annotate.json_files import Decoder, answer_files, holds_keys
from labelgrid.annotate.lists import SKIPS, skip_lines
from labelgrid.annotate.matching import add_skips, cell_of, is_inside
from labelgrid.annotate.region_answers import DrawnImage, FoundRegions, Shape
from labelgrid.annotate.request import Request
from labelgrid.basics import files
from labelgrid.basics.array_types import Bools, Floats, Ints
from labelgrid.basics.errors import LabelError, ProjectError
from labelgrid.basics.progress import Progress
from labelgrid.basics.recognition import Recognition
from labelgrid.basics.type_names import Json, Size, Values
from labelgrid.basics.words import join_names
from labelgrid.formats.coco_masks import decode_counts, encode_mask, mask_of
from labelgrid.formats.regions import Canvas
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.task import TaskDef

IMAGES = "images"
README = "README.txt"
#: The file that is sent. Tools that read data sets of COCO expect this name.
SENT = "annotations/instances_default.json"
_INFO = {"description": "A request of labelgrid. Save the answers as another file."}
#: COCO's further files, by the beginning of their names: they hold no regions of their own.
_OTHERS = ("captions_", "image_info_", "panoptic_", "person_keypoints_")
_TEXT = """\
A request of labelgrid, as a COCO data set. Images: {images}. Labels: {labels}.

images/      the images
{sent}
             the images, best first, the classes, and the model's predictions, if there is a model:
             a starting point, not a label
skips.csv    the requests that cannot be labelled, one per line: `request_id,reason`;
             the ids are in the entries of the images, {ids}

Draw polygons or masks of the classes; later ones cover earlier ones. What none covers is not
labelled, unless the import says `--rest CLASS`. Where there is nothing to draw for a task without
classes, such as saliency, add a mask of it that covers no pixel.

Save the answers as any other JSON file in this folder, or elsewhere, such as
annotations/instances_answers.json; images that are not done may be missing.
When labels are done, even only some, run: labelgrid import PROJECT THIS_FOLDER
"""


class CocoConnector:
    """Writes requests and reads answers as COCO data sets.

    See `labelgrid.annotate.connector.Connector`.
    """

    def send(self, request: Request, out: Path, progress: Progress, *, link: bool = False) -> None:
        """Write the request; an earlier one in the folder is updated.

        The file of annotations is written first: it marks the folder as a request.
        """
        categories = _categories(request)
        with files.disk_errors(out, "Answers in it were not changed."):
            earlier = _earlier_images(out)
            files.remove_files(out / IMAGES, earlier - {*request.names.values()})
            files.write_text(out / SENT, _data_set(request, categories))
            readme = _TEXT.format(
                images=len(request.images), labels=len(request.items), sent=SENT, ids=REQUEST_IDS
            )
            files.write_text(out / README, readme)
            if not (out / SKIPS).exists():
                files.write_text(out / SKIPS, "request_id,reason\n")
            copy_images(request, out / IMAGES, link=link, progress=progress)

    def takes(self, task: TaskDef) -> bool:
        """Whether labels of a task can be drawn as regions."""
        return bool(task.region_names)

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        """Read the regions of a file, or of the files of a folder, and the skips of a folder."""
        regions = FoundRegions()
        rest = regions.rest
        read = list(_files(answer, rest.faults, rest.stray, index.decode))
        skips = skip_lines(answer, rest.faults, index.decode) if answer.is_dir() else []
        request_ids = {request_id for _, request_id, _ in skips}
        for file in read:
            request_ids.update(*(image.request_ids for image in file.tables.images.values()))
        requests = index.requests(request_ids)
        closed = index.closed(request_ids - requests.keys())
        for file in read:
            regions.images += file.drawn_images(requests, closed)
            rest.faults += file.tables.faults
        add_skips(rest, skips, requests, closed)
        return regions.answers(
            index,
            answer,
            nothing="There is no answer in a file of COCO annotations.",
            next_step=f"Save answers as another file than {SENT}, or name the file.",
        )

    def recognise(self, path: Path) -> Recognition | None:
        """Recognise a file of annotations with a segmentation, or with ids of requests."""
        if holds_keys(path, ("image_id", "segmentation"), without="segments_info"):
            return Recognition("COCO annotations", 0.95)
        if holds_keys(path, (REQUEST_IDS,)):
            return Recognition("COCO annotations", 0.9)
        return None


build = CocoConnector


@dataclass(frozen=True, slots=True)
class _Polygons:
    """The rings of one region."""

    rings: Sequence[Floats]

    def fill(self, canvas: Canvas, number: int) -> None:
        canvas.paint_polygons(self.rings, number)


@dataclass(frozen=True, slots=True)
class _Runs:
    """The run lengths of a mask of a height and a width, compressed as bytes or not."""

    size: Size
    counts: Ints | bytes

    def fill(self, canvas: Canvas, number: int) -> None:
        if self.size != canvas.size:
            height, width = self.size
            raise LabelError(
                f"The mask is {height}x{width}, and its image {canvas.size[0]}x{canvas.size[1]} "
                "(height x width)."
            )
        counts = self.counts
        if isinstance(counts, bytes):
            counts = decode_counts(counts)
        mask, left = mask_of(counts, self.size)
        canvas.paint(mask, number, left=left)


_Region = _Polygons | _Runs


def _paint(region: _Region, index: int, canvas: Canvas, number: int) -> None:
    """Paint a region; errors name its annotation."""
    try:
        region.fill(canvas, number)
    except LabelError as error:
        message = f"annotations[{index}]: {error.what}"
        raise LabelError(message, next_step=error.next_step) from error


def _region(annotation: Values) -> _Region:
    segmentation = annotation.get("segmentation")
    if segmentation in (None, [], [[]]):
        box = annotation.get("bbox") or [0, 0, 0, 0]
        has_box = not isinstance(box, list) or any(box[2:])
        raise EntryError(
            "It is empty: without a segmentation, as a box or a point, it labels no pixels.",
            empty=not (annotation.get("area") or has_box),
        )
    if isinstance(segmentation, list):
        return _Polygons([_ring(points) for points in segmentation])
    if not isinstance(segmentation, dict):
        raise EntryError("Its segmentation is neither a list of polygons nor run lengths.")
    size = segmentation.get("size")
    if not isinstance(size, list) or len(size) != 2 or not {int} >= set(map(type, size)):
        raise EntryError("Its run lengths have no size, [height, width].")
    return _Runs((size[0], size[1]), _counts(segmentation.get("counts")))


def _ring(points: object) -> Floats:
    if isinstance(points, list) and set(map(type, points)) <= {int, float}:
        try:
            return np.array(points, np.float64).reshape(-1, 2)
        except (ValueError, OverflowError):
            pass
    raise EntryError("A polygon of it is no list of numbers x, y, x, y, ….")


def _counts(counts: object) -> Ints | bytes:
    if isinstance(counts, str):
        return counts.encode("utf-8", "surrogatepass")
    if isinstance(counts, list) and set(map(type, counts)) <= {int}:
        try:
            return np.array(counts, np.int64)
        except OverflowError:
            pass
    raise EntryError("Its run lengths are neither a list of whole numbers nor a text.")


class _InstancesFile:
    """The regions in a file, by their image, in the file's order."""

    def __init__(self, name: str) -> None:
        self.tables = CocoFile(name, self._add_annotation)
        #: The number, the category and the region of each annotation.
        self._regions: dict[Id, list[tuple[int, Id, _Region]]] = defaultdict(list)

    @property
    def is_request(self) -> bool:
        return self.tables.info == _INFO

    def _add_annotation(self, annotation: Json, number: int) -> None:
        image = entry_id(annotation, "image_id")
        category = entry_id(annotation, "category_id")
        self._regions[image].append((number, category, _region(annotation)))

    def drawn_images(self, requests: Mapping[str, Cell], closed: set[str]) -> Iterator[DrawnImage]:
        for key, image in self.tables.images.items():
            shapes = list(self._shapes(key))
            yield self.tables.draw(key, shapes, self._image_name(key, image, requests, closed))
        for regions in self._regions.values():
            for number, _, _ in regions:
                self.tables.add_fault(number, "Its image_id is in no entry of images.")

    def _image_name(
        self, key: Id, image: CocoImage, requests: Mapping[str, Cell], closed: set[str]
    ) -> str:
        names: set[str] = set()
        for request_id in image.request_ids:
            if request_id in closed:
                continue
            cell = cell_of(request_id, image.name, requests)
            if isinstance(cell, Fault):
                self.tables.faults.add(image.name, cell.what, cell.next_step)
                self.tables.incomplete.add(key)
            else:
                names.add(cell.image_id)
        if len(names) > 1:
            message = f"Its requests are for several images: {join_names(sorted(names), 3)}."
            self.tables.faults.add(image.name, message, "Restore the ids that were sent.")
            self.tables.incomplete.add(key)
        return min(names, default=image.name)

    def _shapes(self, key: Id) -> Iterator[Shape]:
        for number, category, region in self._regions.pop(key, []):
            name = self.tables.categories.get(category)
            if name is None:
                message = "Its category_id is in no entry of categories."
                self.tables.add_fault(number, message)
                self.tables.incomplete.add(key)
            else:
                yield Shape(name, partial(_paint, region, number))


def _files(
    answer: Path, faults: list[Fault], stray: list[str], decoder: Decoder
) -> Iterator[_InstancesFile]:
    """The files of annotations in an answer, but for the request itself."""
    for path, name in answer_files(answer, faults):
        if path != answer and path.name.startswith(_OTHERS):
            stray.append(name)
            continue
        file = _InstancesFile(name)
        file.tables.read(path, decoder)
        if path != answer and file.is_request:
            continue
        if not file.tables.has_annotations and not any(file.tables.faults):
            stray.append(name)
            continue
        yield file


def _categories(request: Request) -> dict[str, tuple[int, str]]:
    """Class name -> id and task, for all tasks of a request."""
    refuse_undrawn(request, "COCO")
    tasks = sorted({item.cell.task for item in request.items})
    categories: dict[str, tuple[int, str]] = {}
    for task in tasks:
        for name in request.tasks[task].region_names:
            other = categories.setdefault(name, (len(categories) + 1, task))[1]
            if other != task:
                raise ProjectError(
                    f"{other} and {task} both have a class '{name}', and COCO's categories do not "
                    "say their task.",
                    next_step="Use --to folder.",
                    unchanged="Nothing was written.",
                )
    return categories


def _earlier_images(out: Path) -> set[str]:
    if is_vacant(out):
        return set()
    sent = _InstancesFile(SENT)
    if is_inside(out, out / SENT):
        sent.tables.read(out / SENT)
    if not sent.is_request or any(sent.tables.faults):
        raise foreign_folder_error(out)
    return {image.name for image in sent.tables.images.values()}


def _data_set(request: Request, categories: Mapping[str, tuple[int, str]]) -> str:
    request_ids: dict[str, list[str]] = defaultdict(list)
    for item in request.items:
        request_ids[item.cell.image_id].append(item.request_id)
    images: dict[str, Json] = {}
    for number, (image_id, ids) in enumerate(request_ids.items(), 1):
        height, width = request.sizes[image_id]
        images[image_id] = {
            "id": number,
            "file_name": request.names[image_id],
            "height": height,
            "width": width,
            REQUEST_IDS: ids,
        }
    annotations: list[Json] = []
    for cell, prelabel in request.prelabels.items():
        for name, mask in predicted_regions(request.tasks[cell.task], prelabel):
            numbers = {
                "id": len(annotations) + 1,
                "image_id": images[cell.image_id]["id"],
                "category_id": categories[name][0],
            }
            annotations.append(numbers | _segmentation(mask))
    classes: list[Json] = []
    for name, (number, task) in categories.items():
        classes.append({"id": number, "name": name, "supercategory": task})
    data = {
        "info": _INFO,
        "licenses": [],
        "categories": classes,
        "images": list(images.values()),
        "annotations": annotations,
    }
    return json.dumps(data, indent=1) + "\n"


def _segmentation(mask: Bools) -> Json:
    rows, columns = box_of(mask)
    return {
        "segmentation": {"size": list(mask.shape), "counts": encode_mask(mask)},
        "area": int(mask.sum()),
        "bbox": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
        "iscrowd": 0,
    }
