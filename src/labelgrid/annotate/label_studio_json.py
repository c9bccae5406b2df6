"""Writes and reads the tasks of Label Studio in JSON files and on servers."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

from labelgrid.annotate.answers import Answers, Fault, Skip, join_answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.drawing_requests import predicted_regions, refuse_undrawn
from labelgrid.annotate.image_names import ImageNames
from labelgrid.annotate.import_options import Keep
from labelgrid.annotate.label_studio_regions import (
    IMAGE,
    REASON,
    brush_region,
    reason_of,
    shapes_of,
)
from labelgrid.annotate.manifest import IMAGES
from labelgrid.annotate.matching import cell_of
from labelgrid.annotate.region_answers import DrawnImage, region_answers
from labelgrid.annotate.repeated_answers import CHOOSE
from labelgrid.annotate.request import Request
from labelgrid.basics.errors import LabelError
from labelgrid.basics.type_names import Json, Values
from labelgrid.basics.words import count_text, join_names
from labelgrid.images.listing import EXTENSIONS
from labelgrid.ledger.grid import Cell, State, is_annotator, is_time
from labelgrid.tasks.task import TaskDef

TOOL = "Label Studio"
LOCAL_FILES = "/data/local-files/?d="
#: So many tasks are named in a note.
_FEW = 3
#: What Label Studio puts before the name of a file that was uploaded.
_UPLOAD = re.compile(r".*/data/upload/\d+/(?:[0-9a-f]{8}-)?")


def local_file(name: str) -> str:
    """The address of an image in a request's folder that Label Studio serves."""
    return LOCAL_FILES + quote(f"{IMAGES}/{name}")


def tasks_of(request: Request, address: Callable[[str], str] = local_file) -> list[Json]:
    """The tasks of a request, one a cell, best first, with prelabels as predictions.

    Args:
        request: the request.
        address: the name of an image that is sent -> where Label Studio finds it.

    Raises:
        UsageError: it has cells whose labels cannot be drawn.
        LabelError: a prelabel cannot be read.
    """
    refuse_undrawn(request, TOOL)
    tasks: list[Json] = []
    for item in request.items:
        task: Json = {
            "data": {
                IMAGE: address(request.names[item.cell.image_id]),
                "image_id": item.cell.image_id,
                "request_id": item.request_id,
                "task": item.cell.task,
                "round": item.round,
                "score": item.pick.score,
                "cost": item.pick.cost,
            }
        }
        prelabel = request.prelabels.get(item.cell)
        if prelabel:
            definition = request.tasks[item.cell.task]
            results = []
            for name, mask in predicted_regions(definition, prelabel):
                results.append(brush_region(mask, name, control_name(definition)))
            task["predictions"] = [{"model_version": "labelgrid", "result": results}]
        tasks.append(task)
    return tasks


def control_name(task: TaskDef) -> str:
    """The name of the tag that draws a task's regions."""
    return f"{task.name}-brush"


def config_of(request: Request) -> str:
    """The configuration of a project for the tasks of a request, in XML."""
    lines = [
        "<View>",
        '  <Header value="$task: $image_id"/>',
        f'  <Image name="{IMAGE}" value="${IMAGE}" zoom="true" zoomControl="true"/>',
    ]
    for name in sorted({item.cell.task for item in request.items}):
        task = request.tasks[name]
        control = quoteattr(control_name(task))
        lines.append(f'  <Header value={quoteattr(name)} size="5"/>')
        lines.append(f'  <BrushLabels name={control} toName="{IMAGE}">')
        colours = task.region_colours.tolist()
        for region, (red, green, blue) in zip(task.region_names, colours, strict=True):
            background = f"#{red:02x}{green:02x}{blue:02x}"
            lines.append(f'    <Label value={quoteattr(region)} background="{background}"/>')
        lines.append("  </BrushLabels>")
    lines.append(
        f'  <TextArea name="{REASON}" toName="{IMAGE}" rows="1" maxSubmissions="1" '
        'placeholder="If it cannot be labelled: why not? Then Skip."/>'
    )
    return "\n".join([*lines, "</View>", ""])


@dataclass(frozen=True)
class _Annotation:
    """An annotator's answer to a task; `reason` is None except for a skip.

    `chosen` names the annotation among several, and is empty if there is only one.
    """

    drawn: DrawnImage
    request_id: str
    chosen: str
    reason: str | None = None


def answers_of(exports: Mapping[str, Iterable[object]], index: ProjectIndex) -> Answers:
    """The labels and skips of tasks with their annotations.

    A task without an annotation is none: predictions and drafts are no answers. A task with several
    annotations is a fault, unless `index.options.keep` chooses. A cancelled annotation is a skip,
    and counts only where nobody drew. A skip without the id of a request is that of the image's
    only open request, or is noted.

    Args:
        exports: the file of an export, or empty -> its tasks, which are read once.
        index: the project's tasks, images and requests.

    Raises:
        LabelError: no task, or more than one, knows the names of the regions.
    """
    faults: list[Fault] = []
    annotations: list[_Annotation] = []
    for where, task in _places(exports, faults):
        try:
            if not isinstance(task, Mapping):
                raise LabelError("It is no task of Label Studio.")
            annotation = _annotation(task, where, index.options.keep)
        except LabelError as error:
            faults.append(Fault.of_error(where, error))
            continue
        if annotation:
            annotations.append(annotation)
    answers = _Matching(annotations, index).answers()
    answers.faults += faults
    return answers


def _places(
    exports: Mapping[str, Iterable[object]], faults: list[Fault]
) -> Iterator[tuple[str, object]]:
    """The tasks of all exports, each with its place for messages.

    With several exports, a damaged export is a fault.

    Raises:
        LabelError: the only export is damaged.
    """
    for name, tasks in exports.items():
        try:
            for number, task in enumerate(tasks, 1):
                key = task.get("id", number) if isinstance(task, Mapping) else number
                yield f"{name} task {key!s:.40}".lstrip(), task
        except LabelError as error:
            if len(exports) == 1:
                raise
            faults.append(Fault.of_error(name, error))


def _annotation(task: Values, where: str, keep: Keep | None) -> _Annotation | None:
    submitted = task.get("annotations", ())
    data = task.get("data")
    if "annotation_id" in task or not isinstance(submitted, list | tuple):
        raise LabelError(
            "It is no task of Label Studio with a list of annotations.",
            next_step="Export as JSON, not as JSON-MIN or another format.",
        )
    if not submitted:
        return None
    if not all(isinstance(entry, Mapping) for entry in submitted) or not isinstance(data, Mapping):
        raise LabelError("Its `data` or one of its annotations is damaged.")
    drawn = [entry for entry in submitted if not entry.get("was_cancelled")]
    if len(submitted) > 1 and keep is None:
        skipped = len(submitted) - len(drawn)
        skips = f", {skipped} of which skip it" if skipped else ""
        raise LabelError(f"It has {len(submitted)} annotations{skips}.", next_step=CHOOSE)
    by_time = sorted(drawn or submitted, key=_made)
    chosen = by_time[0 if keep == "first" else -1]
    request_id = data.get("request_id", "")
    if not isinstance(request_id, str):
        raise LabelError(f"Its request_id is {request_id!r:.40}, not a text.")
    address = _address(data)
    image = DrawnImage(
        image=image_name(address),
        where=where,
        size=(0, 0),
        shapes=(),
        made=_made(chosen),
        uploaded=bool(_UPLOAD.match(address)),
    )
    text = _chosen_text(chosen, where) if len(submitted) > 1 else ""
    results = chosen.get("result")
    if chosen.get("was_cancelled"):
        reason = reason_of(results or []) or "skipped in Label Studio"
        return _Annotation(image, request_id, text, reason)
    size, shapes = shapes_of(results)
    image = replace(
        image,
        size=size or (0, 0),
        shapes=shapes,
        seconds=_seconds(chosen.get("lead_time")),
        annotator=_annotator(chosen.get("completed_by")),
    )
    return _Annotation(image, request_id, text)


def _chosen_text(annotation: Values, where: str) -> str:
    """The annotation that was chosen among a task's, in words.

    Example:
        >>> _chosen_text({"id": 22, "completed_by": 5}, "task 2")
        'task 2: annotation 22 by 5'
    """
    name = _annotator(annotation.get("completed_by"))
    by = f" by {name}" if name else ""
    return f"{where}: annotation {annotation.get('id', '?')!s:.40}{by}"


def _made(annotation: Values) -> str:
    return str(annotation.get("created_at", ""))


def _address(data: Values) -> str:
    """The address of a task's image: the key `image`, or the only text with an image's ending."""
    if isinstance(data.get(IMAGE), str):
        return str(data[IMAGE])
    texts = [value for value in data.values() if isinstance(value, str)]
    addresses = [text for text in texts if _extension(image_name(text)) in EXTENSIONS]
    if len(addresses) != 1:
        raise LabelError("Its `data` does not say which image it is of: it has no key `image`.")
    return addresses[0]


def _extension(name: str) -> str:
    return "." + name.rpartition(".")[2].lower()


def image_name(address: str) -> str:
    """The name of an image at an address that Label Studio has.

    Example:
        >>> image_name("/data/local-files/?d=flat/a%20b.jpg")
        'flat/a b.jpg'
        >>> image_name("/data/upload/3/0a1b2c3d-hall.png")
        'hall.png'
        >>> image_name("s3://bucket/flat/hall 1.png"), image_name("https://x.org/a%23.png?key=7")
        ('flat/hall 1.png', 'a#.png')
    """
    if LOCAL_FILES in address:
        return unquote(address.partition(LOCAL_FILES)[2])
    upload = _UPLOAD.match(address)
    if upload:
        return unquote(address[upload.end() :])
    scheme, _, rest = address.partition("://")
    if not rest:
        return address
    if scheme not in ("http", "https"):
        return rest.partition("/")[2]
    return unquote(urlsplit(address).path).lstrip("/")


def _seconds(lead_time: object) -> float | None:
    """How long an annotation took; None where the page was left open for days, or not measured."""
    is_number = isinstance(lead_time, int | float) and not isinstance(lead_time, bool)
    return float(lead_time) if is_number and is_time(lead_time) else None  # type: ignore


def _annotator(completed_by: object) -> str:
    """The user who made an annotation, by mail address or number."""
    if isinstance(completed_by, Mapping):
        completed_by = completed_by.get("email") or completed_by.get("id")
    name = "" if completed_by is None else str(completed_by)
    return name if is_annotator(name) else ""


class _Matching:
    """Matches annotations with cells."""

    def __init__(self, annotations: list[_Annotation], index: ProjectIndex) -> None:
        self._annotations = annotations
        self._index = index
        ids = set()
        for annotation in annotations:
            if annotation.request_id:
                ids.add(annotation.request_id)
        self._requests = index.requests(ids)
        unknown = ids - self._requests.keys()
        self._removed = index.removed().requests if unknown else frozenset[str]()
        self._closed = index.closed(unknown)

    def answers(self) -> Answers:
        answers = Answers()
        drawn = []
        unrequested = []
        for annotation in self._annotations:
            image = annotation.drawn
            cell = self._cell(annotation)
            if isinstance(cell, Fault):
                answers.faults.append(cell)
            elif annotation.request_id in self._removed:
                answers.removed.append(image.where)
            elif annotation.reason is None:
                if cell and not image.shapes:
                    # Without a region only a request is answered: nothing else is painted.
                    image = replace(image, size=self._index.size(cell.image_id))
                drawn.append(replace(image, cell=cell))
            elif cell:
                answers.skips.append(Skip(cell, image.where, annotation.reason, image.made))
            elif annotation.request_id:
                answers.closed.append(image.where)
            else:
                unrequested.append(f"{image.where} ({image.image})")
        answers.notes += self._notes(unrequested)
        return join_answers([answers, region_answers(drawn, self._index) if drawn else Answers()])

    def _notes(self, unrequested: list[str]) -> list[str]:
        kept = [annotation.chosen for annotation in self._annotations if annotation.chosen]
        notes = []
        if kept:
            tasks = count_text(len(kept), "task")
            notes.append(f"{tasks} had several annotations; kept {join_names(kept, _FEW)}.")
        if unrequested:
            tasks = count_text(len(unrequested), "skipped task is", "skipped tasks are")
            names = join_names(unrequested, _FEW)
            notes.append(f"{tasks} of no single open request, and changed nothing: {names}.")
        return notes

    def _cell(self, annotation: _Annotation) -> Cell | Fault | None:
        """The cell of a request; None without one, and of a request that is not open any more.

        The request of a skip without an id is the only request that the image's name can mean.
        """
        request_id = annotation.request_id
        if request_id in self._closed or request_id in self._removed:
            return None
        if request_id:
            return cell_of(request_id, annotation.drawn.where, self._requests)
        if annotation.reason is None:
            return None
        images = annotation.drawn.find(self._names)
        cells = [cell for cell in self._requested if cell.image_id in images]
        if len(cells) != 1:
            return None
        return cells[0]

    @cached_property
    def _names(self) -> ImageNames:
        return self._index.image_names()

    @cached_property
    def _requested(self) -> list[Cell]:
        cells = []
        for name, task in self._index.tasks.items():
            if task.region_names and self._index.options.task in ("", name):
                images = self._index.images_by_state(name).get(State.REQUESTED, ())
                cells += [Cell(image_id, name) for image_id in images]
        return cells
