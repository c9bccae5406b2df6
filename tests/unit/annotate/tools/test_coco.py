"""COCO data sets: regions become pixels, requests become files that COCO's own tools read."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as peer
from pycocotools.coco import COCO

from labelgrid.annotate.answers import Answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.annotate.request import Request, RequestItem
from labelgrid.annotate.tools.coco import SENT, build
from labelgrid.basics.errors import LabelError, ProjectError, UsageError
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import Cell, Pick
from labelgrid.tasks.task import definitions
from tests.annotators.coco import uncompressed
from tests.campaigns import make_project
from tests.odd_json import is_read_without_another_error
from tests.support import CLASSES, Made, make_dataset

COVERS = ["labelgrid.annotate.coco_file"]
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools' decode
SIZE = (9, 14)
Index = Callable[..., ProjectIndex]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_dataset(tmp_path / "made", n=2, size=SIZE, tasks=("semseg", "saliency"))


@pytest.fixture
def index(tmp_path: Path, made: Made) -> Index:
    project = make_project(tmp_path / "project", made)
    return partial(ProjectIndex, project.store, project.tasks())


def image(number: int = 1, name: str = "0000.jpg", **others: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "height": SIZE[0], "width": SIZE[1], **others}


def annotation(
    segmentation: Any, category: Any = 10, image: Any = 1, **others: Any
) -> dict[str, Any]:
    entry = {"id": 1, "image_id": image, "category_id": category, "segmentation": segmentation}
    return entry | {"iscrowd": 0, "bbox": [0, 0, 1, 1]} | others


def file_of(folder: Path, *annotations: Any, images: Any = None, name: str = "a.json") -> Path:
    categories = [{"id": 10 * i, "name": name} for i, name in enumerate(CLASSES, 1)]
    data = {
        "annotations": annotations,
        "images": images or [image()],
        "categories": [*categories, {"id": 1, "name": "saliency"}],
    }
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(json.dumps(data))
    return path


def painted(answers: Answers) -> NDArray[np.int64]:
    """The only label: the class of each pixel, -1 where there is none."""
    (answer,) = answers.labels
    label = answer.label()  # type: ignore[operator]
    return np.where(label.valid, label.value[..., 0], -1)


def runs(mask: NDArray[np.bool_], compressed: bool) -> dict[str, Any]:
    counts: Any = uncompressed(mask)
    if compressed:
        counts = peer.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    return {"size": list(mask.shape), "counts": counts}


def test_regions_are_painted_in_the_order_of_the_file_with_the_pixels_of_pycocotools(
    tmp_path: Path, index: Index
) -> None:
    rng = np.random.default_rng(0)
    for number in range(20):
        annotations: list[dict[str, Any]] = []
        for kind in rng.integers(0, 3, 5):
            rings = [rng.uniform(-2, 16, 8).tolist() for _ in range(2)]
            segmentation: Any = rings if kind == 2 else runs(rng.random(SIZE) < 0.4, kind == 1)
            category = 10 * int(rng.integers(1, len(CLASSES) + 1))
            annotations.append(
                annotation(segmentation, category, id=len(annotations) + 1, iscrowd=int(kind == 0))
            )
        path = file_of(tmp_path / "in", *annotations)
        theirs = COCO(str(path))
        expected = np.full(SIZE, -1)
        for entry in theirs.loadAnns(range(1, 6)):
            expected[theirs.annToMask(entry) > 0] = entry["category_id"] // 10 - 1
        answers = build().receive(path, index())
        assert not answers.faults
        assert (painted(answers) == expected).all(), number


def test_the_rings_of_an_annotation_are_one_region(tmp_path: Path, index: Index) -> None:
    rings = [[0, 0, 3, 0, 3, 3, 0, 3], [6, 6, 8, 6, 8, 8, 6, 8]]
    label = painted(build().receive(file_of(tmp_path / "in", annotation(rings)), index()))
    assert (label[:3, :3] == 0).all() and (label[6:8, 6:8] == 0).all()
    assert (label == 0).sum() == 9 + 4


def test_a_crowd_is_of_its_class(tmp_path: Path, index: Index) -> None:
    mask = np.zeros(SIZE, np.bool_)
    mask[2:5, 3:9] = True
    crowd = annotation(runs(mask, compressed=False), 20, iscrowd=1)
    label = painted(build().receive(file_of(tmp_path / "in", crowd), index()))
    assert ((label == 1) == mask).all() and ((label == -1) == ~mask).all()


def test_images_without_regions_and_foreign_ones_are_counted(tmp_path: Path, index: Index) -> None:
    images = [image(), image(2, "0001.jpg"), image(3, "other.jpg")]
    square = [[0, 0, 3, 0, 3, 3, 0, 3]]
    path = file_of(tmp_path / "in", annotation(square), annotation(square, image=3), images=images)
    answers = build().receive(path, index())
    assert (len(answers.labels), answers.empty, answers.foreign) == (1, 1, 1)


def faults_of(path: Path, index: Index) -> list[str]:
    return [str(fault) for fault in build().receive(path, index()).faults]


def test_boxes_are_refused_by_their_count(tmp_path: Path, index: Index) -> None:
    boxes = [annotation(segmentation) for segmentation in (None, [], [[]])]
    square = annotation([[0, 0, 3, 0, 3, 3, 0, 3]])
    (fault,) = faults_of(file_of(tmp_path / "in", square, *boxes), index)
    assert fault.startswith("a.json annotations[1] and 2 more: ") and "labels no pixels" in fault


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"image_id": 7}, "image_id is in no entry"),
        ({"category_id": 7}, "category_id is in no entry"),
        ({"image_id": True}, "neither a whole number"),
        ({"segmentation": [0, 0, 3, 0, 3, 3]}, "polygon"),
        ({"segmentation": [[0, 0, 3, 0, 3, 3, 0]]}, "polygon"),
        ({"segmentation": [[0, 0, 3, 0, 3, "3"]]}, "polygon"),
        ({"segmentation": {"size": [9], "counts": [126]}}, "size"),
        ({"segmentation": {"size": [9, 14], "counts": [126.0]}}, "run lengths"),
        ({"segmentation": {"size": [9, 14], "counts": [10**30]}}, "run lengths"),
        ({"segmentation": 3}, "neither a list"),
    ],
)
def test_a_wrong_annotation_is_a_fault(
    tmp_path: Path, index: Index, changes: dict[str, Any], match: str
) -> None:
    square = annotation([[0, 0, 3, 0, 3, 3, 0, 3]])
    (fault,) = faults_of(file_of(tmp_path / "in", square, square | changes), index)
    assert "annotations[1]" in fault and match in fault


@pytest.mark.parametrize(
    ("segmentation", "match"),
    [
        ({"size": [14, 9], "counts": [126]}, "14x9, and its image 9x14"),
        ({"size": [9, 14], "counts": [125]}, "sum up"),
        ({"size": [9, 14], "counts": "\x00"}, "no compressed string"),
        ({"size": [9, 14], "counts": "\ud800"}, "no compressed string"),
        ([[0, 0, 3, 0]], "three points"),
        ([[0, 0, 3, 0, 1e9, 3]], "outline"),
        ([[0, 0, 3, 0, 1e999, 3]], "finite"),
    ],
)
def test_a_region_that_cannot_be_painted_is_an_error_of_its_annotation(
    tmp_path: Path, index: Index, segmentation: Any, match: str
) -> None:
    path = file_of(tmp_path / "in", annotation(segmentation))
    path.write_text(path.read_text().replace("Infinity", "1e999"))
    with pytest.raises(LabelError, match=match) as error:
        painted(build().receive(path, index()))
    assert error.value.what.startswith("annotations[0]: ")


def test_two_entries_of_one_id_are_faults(tmp_path: Path, index: Index) -> None:
    square = annotation([[0, 0, 3, 0, 3, 3, 0, 3]])
    (fault,) = faults_of(file_of(tmp_path / "in", square, images=[image(), image()]), index)
    assert "images[1]: Another image has the same id" in fault


def test_no_wrong_value_is_another_error(tmp_path: Path, index: Index) -> None:
    mask = np.eye(*SIZE, dtype=np.bool_)
    path = file_of(
        tmp_path / "in",
        annotation([[0, 0, 3, 0, 3, 3, 0, 3]]),
        annotation(runs(mask[:, :14], compressed=True)),
        annotation({"size": list(SIZE), "counts": [100, 20, 6]}),
        images=[image(labelgrid_request_ids=[])],
    )
    assert is_read_without_another_error(build(), path.parent, path, index())


def test_names_are_matched_not_numbers_and_the_rest_has_the_class_that_is_said(
    tmp_path: Path, index: Index
) -> None:
    path = file_of(tmp_path / "in", annotation([[0, 0, 3, 0, 3, 3, 0, 3]], 10 * len(CLASSES)))
    label = painted(build().receive(path, index(ImportOptions(rest=CLASSES[0]))))
    assert (label[:3, :3] == len(CLASSES) - 1).all() and (label == 0).sum() == label.size - 9


def test_other_files_of_a_data_set_are_left_out(tmp_path: Path, index: Index) -> None:
    path = file_of(tmp_path / "in", annotation([[0, 0, 3, 0, 3, 3, 0, 3]]), name="instances_a.json")
    file_of(path.parent, annotation(None), name="person_keypoints_a.json")
    (path.parent / "about.json").write_text('{"images": []}')
    answers = build().receive(path.parent, index())
    assert len(answers.labels) == 1 and not answers.faults
    assert answers.stray == ["about.json", "person_keypoints_a.json"]


def request_of(made: Made, *, predicted: bool = True) -> Request:
    items: list[RequestItem] = []
    prelabels: dict[Cell, Path] = {}
    for name in made.names:
        for row in made.rows:
            cell = Cell(name, row.name)
            request_id = f"r1-{name[:-4]}-{row.name}"
            pick = Pick(cell=cell, score=0.5, request_id=request_id)
            path = f"labels/{row.name}/{name[:-4]}.png"
            items.append(RequestItem(pick=pick, path=path, format=row.kind))
            if predicted:
                prelabels[cell] = made.label(name, row.name)
    return Request(
        items=items,
        tasks=definitions(made.rows),
        images={name: made.images / name for name in made.names},
        names={name: name for name in made.names},
        sizes=dict.fromkeys(made.names, SIZE),
        prelabels=prelabels,
    )


def test_a_request_is_a_data_set_with_a_region_for_each_class_of_a_prediction(
    tmp_path: Path, made: Made
) -> None:
    request = request_of(made)
    build().send(request, tmp_path / "out", Silent())
    sent = COCO(str(tmp_path / "out" / SENT))
    names = [category["name"] for category in sent.loadCats(sent.getCatIds())]
    assert names == ["saliency", *CLASSES] and min(sent.getCatIds()) == 1
    assert [entry["file_name"] for entry in sent.dataset["images"]] == list(made.names)
    for cell, path in request.prelabels.items():
        task = request.tasks[cell.task]
        regions = task.to_regions(task.read(path))
        (key,) = (x["id"] for x in sent.dataset["images"] if x["file_name"] == cell.image_id)
        found = np.full(SIZE, -1)
        for entry in sent.loadAnns(sent.getAnnIds([key])):
            name = sent.loadCats(entry["category_id"])[0]["name"]
            mask = sent.annToMask(entry) > 0
            if name in task.region_names:
                assert entry["area"] == mask.sum()
                assert entry["bbox"] == peer.toBbox(sent.annToRLE(entry)).tolist()
                assert (found[mask] == -1).all()
                found[mask] = task.region_names.index(name)
        assert (found == regions).all(), cell


def test_depth_cannot_be_sent_and_the_message_names_the_folder(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "deep", n=1, size=SIZE, tasks=("semseg", "depth", "normals"))
    advice = r"depth, normals cannot be drawn[^$]*--to folder --task depth,[^$]*--task semseg"
    with pytest.raises(UsageError, match=advice):
        build().send(request_of(made), tmp_path / "out", Silent())
    assert not (tmp_path / "out").exists()


def test_two_tasks_with_a_class_of_one_name_cannot_be_sent(tmp_path: Path, made: Made) -> None:
    request = request_of(made)
    tasks = dict(request.tasks)
    tasks["saliency"] = tasks["semseg"]
    with pytest.raises(ProjectError, match="saliency and semseg both have a class"):
        build().send(replace(request, tasks=tasks, prelabels={}), tmp_path / "out", Silent())


def test_an_answer_in_the_file_that_was_sent_is_not_read_and_the_message_says_so(
    tmp_path: Path, made: Made, index: Index
) -> None:
    build().send(request_of(made), tmp_path / "out", Silent())
    with pytest.raises(LabelError, match=f"another file than {SENT}"):
        build().receive(tmp_path / "out", index())
    assert len(build().receive(tmp_path / "out" / SENT, index()).faults) == 4  # ids of no request


def test_another_data_set_is_never_overwritten(tmp_path: Path, made: Made) -> None:
    out = tmp_path / "out"
    (out / "annotations").mkdir(parents=True)
    path = file_of(out / "annotations", annotation(None), name="instances_default.json")
    before = path.read_bytes()
    with pytest.raises(ProjectError, match="neither empty nor an earlier request"):
        build().send(request_of(made), out, Silent())
    assert path.read_bytes() == before and list(out.iterdir()) == [path.parent]


SQUARE = [[0, 0, 6, 0, 6, 6, 0, 6]]
NO_BOX = {"bbox": [0, 0, 0, 0], "area": 0}


@pytest.mark.parametrize(
    "empty",
    [
        annotation([], **NO_BOX),
        annotation([[]], **NO_BOX),
        annotation(None, bbox=[3, 4, 0, 0]),
        {"image_id": 1, "category_id": 10},
        annotation([], area=0, bbox=[]),
    ],
)
def test_an_empty_entry_is_named_and_its_image_is_the_same_without_it(
    tmp_path: Path, index: Index, empty: dict[str, Any]
) -> None:
    answers = build().receive(file_of(tmp_path / "a", annotation(SQUARE), empty), index())
    (fault,) = answers.faults
    assert fault.where == "a.json annotations[1]" and "It is empty" in fault.what
    assert (painted(answers) == 0).sum() == 36


@pytest.mark.parametrize(
    "wrong",
    [
        annotation(None, bbox=[3, 4, 5, 6]),
        annotation([], area=30, bbox=[0, 0, 0, 0]),
        annotation([["x"]]),
        annotation(SQUARE, category=999),
        annotation(SQUARE, category=None),
    ],
)
def test_the_image_of_a_wrong_entry_has_no_label_since_its_pixels_may_be_any(
    tmp_path: Path, index: Index, wrong: dict[str, Any]
) -> None:
    images = [image(), image(2, "0001.jpg")]
    entries = [annotation(SQUARE), wrong, annotation(SQUARE, image=2)]
    answers = build().receive(file_of(tmp_path / "a", *entries, images=images), index())
    assert len(answers.faults) == 1
    assert [answer.cell for answer in answers.labels] == [Cell("0001.jpg", "semseg")]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-30],
        lambda text: text.replace('"id": 20, "name": "floor"', '"id": 10, "name": "floor"'),
    ],
)
def test_of_a_file_that_is_cut_or_names_a_category_twice_no_image_has_a_label(
    tmp_path: Path, index: Index, spoil: Callable[[str], str]
) -> None:
    path = file_of(tmp_path / "a", annotation(SQUARE))
    before = path.read_text()
    path.write_text(spoil(before))
    assert path.read_text() != before
    answers = build().receive(path, index())
    assert answers.faults and not answers.labels
