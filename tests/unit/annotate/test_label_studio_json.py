"""Tasks go to Label Studio with all that it needs, and its annotations come back as answers."""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from labelgrid.annotate.answers import Answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.import_options import ImportOptions, Keep
from labelgrid.annotate.label_studio_json import (
    answers_of,
    config_of,
    control_name,
    image_name,
    local_file,
    tasks_of,
)
from labelgrid.annotate.label_studio_regions import brush_region
from labelgrid.annotate.request import Request, RequestItem
from labelgrid.basics.errors import UsageError
from labelgrid.formats.codec import LabelArray
from labelgrid.formats.label_studio_runs import decode
from labelgrid.ledger.grid import Cell, Pick, TaskRow
from labelgrid.operations.cancel import cancel
from labelgrid.project.folder import ProjectFolder
from labelgrid.tasks.task import definitions
from tests.campaigns import ask, make_project
from tests.support import make_dataset

SIZE = (8, 12)
CELL = Cell("0000.jpg", "semseg")


@pytest.fixture
def project(tmp_path: Path) -> ProjectFolder:
    made = make_dataset(tmp_path / "made", n=2, size=SIZE, tasks=("semseg", "saliency"))
    return make_project(tmp_path / "project", made)


@pytest.fixture
def index(project: ProjectFolder) -> partial[ProjectIndex]:
    return partial(ProjectIndex, project.store, project.tasks())


def annotation(*names: str, **other: Any) -> dict[str, Any]:
    """An annotation with one brush a name, side by side."""
    regions = []
    for number, name in enumerate(names):
        mask = np.zeros(SIZE, np.bool_)
        mask[:, 3 * number : 3 * number + 3] = True
        regions.append(brush_region(mask, name, "brush"))
    return {"result": regions, "was_cancelled": False, **other}


def read(tasks: Iterable[object], index: ProjectIndex) -> Answers:
    return answers_of({"": tasks}, index)


def task(image: str, *annotations: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {"id": 7, "annotations": list(annotations), "data": {"image": image, **data}}


def requested(project: ProjectFolder, cell: Cell) -> str:
    ask(project, [cell], 1)
    return project.store.find([cell])[cell].request_id


def test_an_annotation_is_found_by_its_image_and_its_classes(index: partial[ProjectIndex]) -> None:
    one = annotation("floor", "ball", lead_time=3.5, completed_by={"id": 3, "email": "a@b.org"})
    address = "/data/upload/1/0a1b2c3d-0001.jpg"
    (answer,) = read([task(address, one)], index()).labels
    assert answer.cell == Cell("0001.jpg", "semseg")
    assert (answer.where, answer.seconds, answer.annotator) == ("task 7", 3.5, "a@b.org")
    label = answer.label()  # type: ignore[operator]
    assert (label.value[:, :3, 0] == 1).all() and (label.value[:, 3:6, 0] == 3).all()
    assert label.valid.sum() == 6 * 8


@pytest.mark.parametrize("lead_time", [None, "3", True, 0, -1, 10**6, float("nan")])
def test_a_time_that_is_none_is_unknown(index: partial[ProjectIndex], lead_time: object) -> None:
    tasks = [task("0001.jpg", annotation("wall", lead_time=lead_time, completed_by=5))]
    (answer,) = read(tasks, index()).labels
    assert (answer.seconds, answer.annotator) == (None, "5")


def test_predictions_and_drafts_are_no_answers(index: partial[ProjectIndex]) -> None:
    other = task("0001.jpg") | {"predictions": [annotation("wall")], "drafts": [annotation("box")]}
    assert read([other, {"data": {"image": "0000.jpg"}}], index()) == Answers()


def test_an_image_is_foreign_or_empty_or_a_request_of_nothing(
    project: ProjectFolder, index: partial[ProjectIndex]
) -> None:
    found = read([task("a.jpg", annotation()), task("0001.jpg", annotation())], index())
    assert (found.labels, found.foreign, found.empty) == ([], 1, 1)
    cell = Cell("0001.jpg", "saliency")
    name = requested(project, cell)
    (answer,) = read([task("?", annotation(), request_id=name)], index()).labels
    label = answer.label()  # type: ignore[operator]
    assert answer.cell == cell and label.size == SIZE and not label.value.any()


def test_a_request_knows_its_task_so_two_tasks_may_have_one_class(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "made", n=1, size=SIZE, tasks=("semseg",))
    project = make_project(tmp_path / "project", made)
    project.store.add_task(TaskRow("parts", "semseg", 1.0, {"classes": ["wall", "hand"]}))
    index = ProjectIndex(project.store, project.tasks())
    name = requested(project, Cell("0000.jpg", "parts"))
    (answer,) = read([task("?", annotation("wall"), request_id=name)], index).labels
    assert answer.cell.task == "parts"
    found = read([task("?", annotation("ball"), request_id=name)], index)
    assert "'ball': 'parts' has no such class" in str(found.faults[0])


def test_a_skip_answers_a_request_and_nothing_else(
    project: ProjectFolder, index: partial[ProjectIndex]
) -> None:
    name = requested(project, CELL)
    skipped = annotation("wall", was_cancelled=True)
    found = read([task("?", skipped, request_id=name), task("0001.jpg", skipped)], index())
    (skip,) = found.skips
    assert (skip.cell, skip.reason) == (CELL, "skipped in Label Studio")
    assert not (found.labels or found.faults)


def test_of_several_annotations_a_person_chooses_by_time(index: partial[ProjectIndex]) -> None:
    later = annotation("wall", created_at="2026-02-02T10:00:00Z", lead_time=2)
    sooner = annotation("box", created_at="2026-02-01T10:00:00Z", lead_time=1)
    tasks = [task("0000.jpg", later, sooner)]
    (fault,) = read(tasks, index()).faults
    assert "--keep first" in fault.next_step
    for keep, seconds in (("first", 1), ("last", 2)):
        options = ImportOptions(keep=keep)  # type: ignore[arg-type]
        (answer,) = read(tasks, index(options)).labels
        assert answer.seconds == seconds


@pytest.mark.parametrize("keep", ["first", "last"])
@pytest.mark.parametrize("cancelled", [0, 1])
def test_a_cancelled_annotation_counts_only_where_nobody_drew_and_what_was_kept_is_said(
    index: partial[ProjectIndex], keep: Keep, cancelled: int
) -> None:
    both = [
        annotation("wall", id=21 + n, was_cancelled=n == cancelled, created_at=f"2026-02-0{n + 1}")
        for n in range(2)
    ]
    found = read([task("0000.jpg", *both)], index(ImportOptions(keep=keep)))
    assert [label.cell for label in found.labels] == [CELL] and not found.faults
    kept = 22 - cancelled
    assert found.notes == [f"1 task had several annotations; kept task 7: annotation {kept}."]
    (fault,) = read([task("0000.jpg", *both)], index()).faults
    assert fault.what == "It has 2 annotations, 1 of which skip it."
    skips = [each | {"was_cancelled": True} for each in both]
    options = ImportOptions(keep=keep)
    assert not read([task("0000.jpg", *skips)], index(options)).labels


def test_a_skip_without_a_request_s_id_is_of_the_image_s_only_request_or_is_noted(
    project: ProjectFolder, index: partial[ProjectIndex]
) -> None:
    skipped = task("/data/upload/1/0a1b2c3d-0000.jpg", annotation(was_cancelled=True))
    found = read([skipped], index())
    assert not found.skips
    assert found.notes == [
        "1 skipped task is of no single open request, and changed nothing: task 7 (0000.jpg)."
    ]
    requested(project, CELL)
    assert [skip.cell for skip in read([skipped], index()).skips] == [CELL]
    requested(project, Cell("0000.jpg", "saliency"))
    assert not read([skipped], index()).skips
    options = ImportOptions(task="semseg")
    assert [skip.cell for skip in read([skipped], index(options)).skips] == [CELL]


def test_a_request_that_is_not_open_any_more_is_known_by_its_image_or_listed(
    project: ProjectFolder, index: partial[ProjectIndex]
) -> None:
    name = requested(project, CELL)
    cancel(project, [name])
    skipped = task("?", annotation(was_cancelled=True), request_id=name)
    found = read([skipped, task("0000.jpg", annotation("wall"), request_id=name)], index())
    assert found.closed == ["task 7"] and found.labels[0].cell == CELL
    project.store.remove("images", ["0000.jpg"])
    found = read([task("0000.jpg", annotation("wall"), request_id=name)], index())
    assert found.removed == ["task 7"] and not (found.labels or found.faults)


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (3, "no task"),
        ({"id": 1, "annotations": {}}, "JSON-MIN"),
        ({"id": 1, "annotation_id": 4, "image": "a.png"}, "JSON-MIN"),
        ({"annotations": [3], "data": {}}, "damaged"),
        ({"annotations": [{}]}, "damaged"),
        ({"annotations": [{"result": []}], "data": {"text": "a"}}, "which image"),
        ({"annotations": [{"result": []}], "data": {"a": "b.png", "c": "d.jpg"}}, "which image"),
        ({"annotations": [{"result": None}], "data": {"image": "b.png"}}, "no list"),
        ({"annotations": [annotation()], "data": {"image": "a", "request_id": 5}}, "not a text"),
        (task("a", annotation("wall"), request_id="r9-x"), "no request 'r9-x'"),
    ],
)
def test_a_wrong_task_is_a_fault(index: partial[ProjectIndex], wrong: object, what: str) -> None:
    good = task("0000.jpg", annotation("wall"))
    found = read([wrong, good], index())
    assert len(found.faults) == 1 and what in str(found.faults[0])
    assert len(found.labels) == 1


def test_an_image_may_have_any_key(index: partial[ProjectIndex]) -> None:
    one = task("?", annotation("wall")) | {"data": {"photo": "s3://mine/0001.jpg", "note": "dark"}}
    assert read([one], index()).labels[0].cell.image_id == "0001.jpg"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (local_file("a b/#1 ä+100%?.jpg"), "images/a b/#1 ä+100%?.jpg"),
        ("http://127.0.0.1:8080/data/local-files/?d=images/a%20b.jpg", "images/a b.jpg"),
        ("/data/local-files/?d=old/100%.jpg", "old/100%.jpg"),
        ("/data/upload/12/0a1b2c3d-a.png", "a.png"),
        ("/data/upload/12/a%20b.png", "a b.png"),
        ("gs://bucket/flat/a%20b#1.png", "flat/a%20b#1.png"),
        ("https://x.org/flat/a%20b.png?X-Amz-Key=1#2", "flat/a b.png"),
        ("flat/a?b#1%20.png", "flat/a?b#1%20.png"),
    ],
)
def test_the_name_of_an_image_is_in_its_address(address: str, name: str) -> None:
    assert image_name(address) == name


ROWS = (
    TaskRow("semseg", "semseg", 1.0, {"classes": ["wall", 'a "<b>" & c']}),
    TaskRow("saliency", "saliency", 1.0),
    TaskRow("depth", "depth", 1.0),
)


def request(tmp_path: Path, *tasks: str) -> Request:
    """A request of one image with a prelabel of the first task."""
    known = definitions(ROWS)
    items = []
    for name in tasks:
        pick = Pick(cell=Cell("a b.jpg", name), score=0.5, cost=2.0, request_id=f"r3-{name}")
        path = f"labels/{name}.png"
        items.append(RequestItem(pick=pick, path=path, format=known[name].spec.codec, round=3))
    prelabel = tmp_path / "prelabel.png"
    value = np.arange(96).reshape(8, 12, 1) % 2
    known["semseg"].write(prelabel, LabelArray(value, value[..., 0] < 2))
    return Request(
        items=items,
        tasks=known,
        images={"a b.jpg": tmp_path / "a b.jpg"},
        names={"a b.jpg": "a b.jpg"},
        sizes={"a b.jpg": (8, 12)},
        prelabels={items[0].cell: prelabel},
    )


def test_a_task_has_what_the_request_says_and_one_region_a_class(tmp_path: Path) -> None:
    first, second = tasks_of(request(tmp_path, "semseg", "saliency"))
    assert first["data"] == {
        "image": "/data/local-files/?d=images/a%20b.jpg",
        "image_id": "a b.jpg",
        "request_id": "r3-semseg",
        "task": "semseg",
        "round": 3,
        "score": 0.5,
        "cost": 2.0,
    }
    (prediction,) = first["predictions"]
    regions = prediction["result"]
    assert [each["value"]["brushlabels"] for each in regions] == [["wall"], ['a "<b>" & c']]
    columns = np.indices((8, 12))[1]
    for number, each in enumerate(regions):
        mask = decode(bytes(each["value"]["rle"]), (8, 12))
        assert (mask == (columns % 2 == number)).all()
    assert "predictions" not in second
    (moved, _) = tasks_of(request(tmp_path, "semseg", "saliency"), lambda name: f"x/{name}")
    assert moved["data"]["image"] == "x/a b.jpg"


def test_the_configuration_has_the_classes_and_colours_of_each_task(tmp_path: Path) -> None:
    asked = request(tmp_path, "semseg", "saliency")
    view = ElementTree.fromstring(config_of(asked))
    found: dict[str | None, Mapping[str, str]] = {}
    for tag in view.iter("BrushLabels"):
        found[tag.get("name")] = {
            label.attrib["value"]: label.attrib["background"] for label in tag
        }
    semseg = asked.tasks["semseg"]
    picture = semseg.render(np.array([[[0], [1]]]), np.ones((1, 2), np.bool_))
    colours = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in picture[0].tolist()]
    assert found[control_name(semseg)] == dict(zip(semseg.classes, colours, strict=True))
    assert [*found["saliency-brush"]] == ["saliency"]
    assert all(tag.get("toName", "image") == "image" for tag in view.iter())


def test_what_cannot_be_drawn_is_refused_with_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as fault:
        tasks_of(request(tmp_path, "semseg", "depth"))
    assert "depth cannot be drawn" in str(fault.value)
    assert "--to folder --task depth" in str(fault.value) and "--task semseg" in str(fault.value)
