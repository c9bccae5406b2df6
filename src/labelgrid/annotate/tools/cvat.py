"""Sends requests to CVAT, and reads its format "CVAT for images 1.1", with masks and polygons.

Boxes and ellipses are regions, too, turned ones as well. Regions of a higher z-order cover lower
regions, and later regions cover earlier ones. Points, lines, cuboids and skeletons cover no pixels
and are refused, and so are tracks of videos.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from labelgrid.annotate.answers import Answers, Fault, Skip, join_answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.cvat_request import DONE, REQUEST_ID, SKIP, annotations_text, labels_text
from labelgrid.annotate.cvat_xml import AUTO, CvatImage, read_images
from labelgrid.annotate.drawing_requests import refuse_undrawn
from labelgrid.annotate.earlier_request import foreign_folder_error, is_vacant
from labelgrid.annotate.image_copies import copy_image
from labelgrid.annotate.import_options import IGNORE
from labelgrid.annotate.matching import cell_of, is_inside, link_fault
from labelgrid.annotate.region_answers import DrawnImage, region_answers
from labelgrid.annotate.request import Request, RequestItem
from labelgrid.annotate.safe_xml import root_of
from labelgrid.basics import files
from labelgrid.basics.errors import LabelError
from labelgrid.basics.progress import Progress
from labelgrid.basics.recognition import Recognition
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.task import TaskDef

#: The file in a folder or zip file that CVAT exports.
ANNOTATIONS = "annotations.xml"
#: The most images of a task in CVAT: it exports larger ones in hours, or never.
MOST_IMAGES = 500
IMAGES = "images"
LABELS = "labels.json"
#: Another name than that of answers.
UPLOAD = "upload.xml"
README = "README.txt"
_MARK = "request.json"
_TOOL = "cvat"
#: How many of a folder's files are looked at to recognise it.
_LOOKED_AT = 3
_TEXT = """\
A request of labelgrid for CVAT. Labels: {labels}.

Each folder here is one task in CVAT, of at most {most} images, best first:
{parts}
1. In CVAT: Create a new task. Labels, Raw: paste the folder's labels.json. Files: its images/ (as
   one zip file, if the names have folders). Submit.
2. In the task: Actions, Upload annotations, CVAT 1.1: the folder's upload.xml. Now each image has
   the model's regions, if there is a model, and a tag 'labelgrid' with the id of its request.
3. Draw masks, polygons, boxes or ellipses. What none covers is not labelled, unless the import says
   --rest CLASS. Tick the tag's 'done' where the model's regions are right as they are, or nothing
   is to be drawn: images that nobody touched stay unlabelled. Where an image cannot be labelled,
   write the reason into the tag's 'skip'.
4. In the task: Actions, Export task dataset, CVAT for images 1.1, without images. Then run:
   labelgrid import PROJECT THE_ZIP_FILE
   Or unpack several into a folder 'answers' beside this file: labelgrid import PROJECT THIS_FOLDER
"""


@dataclass(frozen=True)
class _Part:
    """The requests of one task in CVAT: the folder's name, our task, the cells."""

    folder: str
    task: str
    items: Sequence[RequestItem]


class CvatConnector:
    """Writes requests as tasks for CVAT and reads what CVAT exports.

    See `labelgrid.annotate.connector.Connector`.
    """

    def send(self, request: Request, out: Path, progress: Progress, *, link: bool = False) -> None:
        """Write a folder a task and 500 images: labels, images, annotations to upload."""
        refuse_undrawn(request, "CVAT")
        parts = list(_parts(request.items))
        lines = [f"   {part.folder}/  {len(part.items)} images\n" for part in parts]
        readme = _TEXT.format(labels=len(request.items), most=MOST_IMAGES, parts="".join(lines))
        copies = {}
        texts = [README]
        for part in parts:
            texts += [f"{part.folder}/{name}" for name in (LABELS, UPLOAD)]
            for item in part.items:
                image_id = item.cell.image_id
                name = request.names[image_id]
                copies[f"{part.folder}/{IMAGES}/{name}"] = request.images[image_id]
        with files.disk_errors(out, "Answers in it were not changed."):
            names = sorted({*copies, *texts})
            files.remove_files(out, sorted(_earlier_files(out) - {*names}))
            mark = {"tool": _TOOL, "files": names}
            files.write_text(out / _MARK, json.dumps(mark, indent=1) + "\n")
            files.write_text(out / README, readme)
            progress.start("Writing the request", len(copies), "images")
            for part in parts:
                task = request.tasks[part.task]
                annotations = annotations_text(request, task, part.items)
                files.write_text(out / part.folder / LABELS, labels_text(task))
                files.write_text(out / part.folder / UPLOAD, annotations)
            for name, source in copies.items():
                copy_image(source, out / name, link=link)
                progress.advance()

    def takes(self, task: TaskDef) -> bool:
        """Whether labels of a task can be drawn as regions."""
        return bool(task.region_names)

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        """Read the regions and skips of a file, or of all `annotations.xml` of a folder.

        An image with a request's tag is answered if somebody drew in it, or ticked that it is done.
        """
        names = index.options.meanings
        ignored = frozenset(name for name, target in names.items() if target == IGNORE)
        faults = []
        images = []
        for path in _files(answer):
            where = path.relative_to(answer).as_posix() if answer.is_dir() else path.name
            if answer.is_dir() and not is_inside(answer, path):
                faults.append(link_fault(where))
                continue
            try:
                images += read_images(path, where, ignored, index.decode)
            except LabelError as error:
                faults.append(Fault.of_error(where, error))
        answers = _Answering(index, images).answers()
        answers.faults += faults
        if not answers.has_any:
            message = "Nobody drew in an image of the CVAT annotations, or ticked that it is done."
            if not images:
                message = "There is no image in a file of CVAT annotations."
            elif answers.foreign:
                message = "None of the images in the CVAT annotations is in the project."
            raise LabelError(message, where=answer, next_step=_ADVICE)
        return answers

    def recognise(self, path: Path) -> Recognition | None:
        """Recognise CVAT's XML file, or a folder with its `annotations.xml`."""
        for file in islice(_files(path), _LOOKED_AT):
            if path.is_dir() and not is_inside(path, file):
                continue
            root, others = root_of(file)
            if root == "annotations" and {"image", "meta", "track"} & others:
                return Recognition("CVAT annotations of images", 1.0)
        return None


build = CvatConnector

_ADVICE = (
    "Export the task from CVAT as \"CVAT for images 1.1\", and import the zip file; tick 'done' in "
    "the tags of images whose regions are right as they were sent."
)


class _Answering:
    """Turns the images of CVAT files into answers."""

    def __init__(self, index: ProjectIndex, images: Sequence[CvatImage]) -> None:
        self._index = index
        self._images = images
        request_ids: set[str] = set()
        for image in images:
            request_ids.update(tag[REQUEST_ID] for tag in _tags(image))
        self._requests = index.requests(request_ids)
        self._closed = index.closed(request_ids - self._requests.keys())
        self._finder = index.image_names()
        self._extra = Answers()

    def answers(self) -> Answers:
        drawn: list[DrawnImage] = []
        for image in self._images:
            fault = image.as_fault()
            if fault:
                self._extra.faults.append(fault)
            else:
                drawn += self._drawn(image)
        answers = region_answers(drawn, self._index) if drawn else Answers()
        return join_answers([answers, self._extra])

    def _drawn(self, image: CvatImage) -> Iterator[DrawnImage]:
        """The image for each answered request, or once without a request."""
        tags = {tag[REQUEST_ID]: tag for tag in _tags(image)}
        if not tags:
            yield _drawing(image)
        for request_id, tag in tags.items():
            if request_id in self._closed:
                self._extra.closed.append(image.where)
                continue
            cell = self._cell(request_id, image)
            if isinstance(cell, Fault):
                self._extra.faults.append(cell)
            elif tag.get(SKIP):
                self._extra.skips.append(Skip(cell, image.where, " ".join(tag[SKIP].split())))
            elif tag.get(DONE) == "true" or image.sources.total() > image.sources[AUTO]:
                yield _drawing(image, cell)
            else:
                self._extra.empty += 1

    def _cell(self, request_id: str, image: CvatImage) -> Cell | Fault:
        cell = cell_of(request_id, image.where, self._requests)
        if isinstance(cell, Fault):
            return cell
        if cell.image_id not in self._finder.find(image.name):
            message = f"Its request '{request_id}' is for another image."
            return Fault(image.where, message, "Remove the tag that was copied.", cell)
        if not self._index.tasks[cell.task].region_names:
            message = "Labels of this task cannot be drawn."
            return Fault(image.where, message, "Remove the tag.", cell)
        return cell


def _tags(image: CvatImage) -> list[Mapping[str, str]]:
    return [tag for tag in image.tags if tag.get(REQUEST_ID)]


def _drawing(image: CvatImage, cell: Cell | None = None) -> DrawnImage:
    return DrawnImage(
        image=image.name, where=image.where, size=image.size, shapes=image.shapes, cell=cell
    )


def _files(answer: Path) -> Iterator[Path]:
    """The XML file, or all `annotations.xml` below a folder; links to folders are not followed."""
    if not answer.is_dir():
        yield answer
        return
    for prefix, folders, names in files.walk(answer):
        folders[:] = sorted(name for name in folders if name != IMAGES and name[0] != ".")
        if ANNOTATIONS in names:
            yield answer / f"{prefix}{ANNOTATIONS}"


def _parts(items: Sequence[RequestItem]) -> Iterator[_Part]:
    """The requests of each task, at most `MOST_IMAGES` a part, best first."""
    by_task: dict[str, list[RequestItem]] = defaultdict(list)
    for item in items:
        by_task[item.cell.task].append(item)
    for task, of_task in sorted(by_task.items()):
        for start in range(0, len(of_task), MOST_IMAGES):
            number = start // MOST_IMAGES + 1
            yield _Part(f"{task}-{number}", task, of_task[start : start + MOST_IMAGES])


def _earlier_files(out: Path) -> set[str]:
    if is_vacant(out):
        return set()
    try:
        mark = json.loads(files.read_text(out / _MARK)) if is_inside(out, out / _MARK) else None
    except (OSError, ValueError, RecursionError):
        mark = None
    if not isinstance(mark, dict) or mark.get("tool") != _TOOL:
        raise foreign_folder_error(out)
    names = mark.get("files")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise foreign_folder_error(out)
    return set(names)
