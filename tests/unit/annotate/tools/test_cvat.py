"""Requests for CVAT and its answers, but for the laws of all connectors."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest

from labelgrid.annotate.answers import Answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.annotate.tools import cvat
from labelgrid.basics.errors import LabelError, ProjectError, UsageError
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import Cell, Move, State, TaskRow
from tests.campaigns import ask, cells_of, make_project
from tests.support import CLASSES, Made, make_dataset
from tests.unit.annotate.tools.test_folder import listing, request_of

Index = partial[ProjectIndex]
BOX = '<box label="{}" source="{}" xtl="0" ytl="0" xbr="5" ybr="4"/>'


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """A project that asked for all labels but the second image's saliency."""
    made = make_dataset(tmp_path / "made", n=2, size=(8, 12), tasks=("semseg", "saliency"))
    project = make_project(tmp_path / "project", made)
    ask(project, cells_of(made)[:3], 1)
    return partial(ProjectIndex, project.store, project.tasks())


def request_id(index: ProjectIndex, cell: Cell) -> str:
    return next(row.request_id for row in index._store.cells() if row.cell == cell)


def tag(request_id: str, done: str = "false", skip: str = "") -> str:
    fields = {"request_id": request_id, "done": done, "skip": skip}
    texts = [f'<attribute name="{name}">{text}</attribute>' for name, text in fields.items()]
    return f'<tag label="labelgrid">{"".join(texts)}</tag>'


def received(folder: Path, index: ProjectIndex, **images: str) -> Answers:
    """The answers of a file of images by their names without extension."""
    parts = ["<annotations>"]
    for name, elements in images.items():
        parts.append(f'<image name="{name[1:]}.jpg" width="12" height="8">{elements}</image>')
    (folder / "annotations.xml").write_text("".join([*parts, "</annotations>"]))
    return cvat.build().receive(folder / "annotations.xml", index)


def test_each_task_has_folders_of_at_most_so_many_images_best_first(
    made: Callable[..., Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cvat, "MOST_IMAGES", 2)
    data, out = made(n=3, tasks=("semseg", "saliency")), tmp_path / "out"
    cvat.build().send(request_of(data, data.names[::-1]), out, Silent())
    parts = ["saliency-1", "saliency-2", "semseg-1", "semseg-2"]
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == parts
    assert sorted(path.name for path in (out / "semseg-1/images").iterdir()) == [
        "0001.jpg",
        "0002.jpg",
    ]
    root = ElementTree.parse(out / "semseg-1/upload.xml").getroot()
    assert [image.get("name") for image in root.iter("image")] == ["0002.jpg", "0001.jpg"]
    readme = (out / "README.txt").read_text()
    assert all(f"{part}/" in readme for part in parts) and "Labels: 6" in readme
    cvat.build().send(request_of(data, data.names[:1]), out, Silent())
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == parts[::2]


def test_images_can_be_links(made: Callable[..., Made], tmp_path: Path) -> None:
    data = made(n=1, tasks=("semseg",))
    cvat.build().send(request_of(data, data.names), tmp_path / "out", Silent(), link=True)
    assert (tmp_path / "out/semseg-1/images/0000.jpg").is_symlink()


def test_labels_that_cannot_be_drawn_are_refused_with_the_tool_that_takes_them(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data = made(n=1, tasks=("semseg", "depth", "normals"))
    with pytest.raises(UsageError, match="depth, normals") as refused:
        cvat.build().send(request_of(data, data.names), tmp_path / "out", Silent())
    assert "--to folder --task depth, and what can be drawn with --task semseg" in str(
        refused.value
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "mark", ["[]", "{", '{"tool": "other", "files": []}', '{"tool": "cvat", "files": [1]}']
)
def test_a_folder_with_another_mark_is_left_as_it_is(
    made: Callable[..., Made], tmp_path: Path, mark: str
) -> None:
    data, out = made(n=1, tasks=("semseg",)), tmp_path / "out"
    out.mkdir()
    (out / "request.json").write_text(mark)
    with pytest.raises(ProjectError, match="neither empty"):
        cvat.build().send(request_of(data, data.names), out, Silent())
    assert listing(out) == {"request.json": mark.encode()}


def test_a_mark_that_names_files_elsewhere_removes_none_of_them(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data, out = made(n=1, tasks=("semseg",)), tmp_path / "out"
    out.mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    names = ["../mine.txt", str(tmp_path / "mine.txt"), "\0"]
    (out / "request.json").write_text(json.dumps({"tool": "cvat", "files": names}))
    cvat.build().send(request_of(data, data.names), out, Silent())
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_regions_without_a_request_are_found_by_the_names_of_image_and_class(
    index: Index, tmp_path: Path
) -> None:
    plain = index()
    boxes = BOX.format("wall", "auto") + BOX.format("saliency", "manual")
    answers = received(tmp_path, plain, _0000=boxes, _other=boxes, _0001="")
    assert sorted(label.cell for label in answers.labels) == [
        Cell("0000.jpg", "saliency"),
        Cell("0000.jpg", "semseg"),
    ]
    assert (answers.foreign, answers.empty, answers.faults) == (1, 1, [])


def test_of_images_with_a_request_those_that_nobody_touched_stay_unlabelled(
    index: Index, tmp_path: Path
) -> None:
    plain = index()
    semseg = request_id(plain, Cell("0000.jpg", "semseg"))
    saliency = request_id(plain, Cell("0000.jpg", "saliency"))
    other = request_id(plain, Cell("0001.jpg", "semseg"))
    predicted = BOX.format("wall", "auto")
    answers = received(
        tmp_path,
        plain,
        _0000=predicted + tag(semseg) + tag(saliency),
        _0001=tag(other, skip="dark"),
    )
    assert (answers.labels, answers.empty, len(answers.skips)) == ([], 2, 1)
    for elements in (predicted + tag(semseg, "true"), BOX.format("wall", "manual") + tag(semseg)):
        (label,) = received(tmp_path, plain, _0000=elements).labels
        assert label.cell == Cell("0000.jpg", "semseg")
    (label,) = received(tmp_path, plain, _0000=tag(saliency, "true")).labels
    assert label.cell == Cell("0000.jpg", "saliency")
    with pytest.raises(LabelError, match="Nobody drew"):
        received(tmp_path, plain, _0000=predicted + tag(semseg))


def test_the_request_says_the_task_where_several_know_a_name(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "made", n=1, size=(8, 12), tasks=("semseg",))
    rows = (*made.rows, TaskRow("parts", "semseg", 1.0, {"classes": ["wall", "hand"]}))
    project = make_project(tmp_path / "project", replace(made, rows=rows))
    cells = [Cell("0000.jpg", "parts"), Cell("0000.jpg", "semseg")]
    ask(project, cells, 1)
    index = ProjectIndex(project.store, project.tasks())
    ids = [request_id(index, cell) for cell in cells]
    elements = BOX.format("wall", "manual") + "".join(map(tag, ids))
    answers = received(tmp_path, index, _0000=elements)
    assert [label.cell for label in answers.labels] == cells and not answers.faults


def test_a_tag_that_was_copied_to_another_image_is_refused(index: Index, tmp_path: Path) -> None:
    plain = index()
    semseg = request_id(plain, Cell("0000.jpg", "semseg"))
    elements = BOX.format("wall", "manual") + tag(semseg)
    (fault,) = received(tmp_path, plain, _0001=elements).faults
    assert "for another image" in fault.what and fault.cell == Cell("0000.jpg", "semseg")


def test_a_request_for_what_cannot_be_drawn_is_a_fault(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "made", n=1, size=(8, 12), tasks=("semseg", "depth"))
    project = make_project(tmp_path / "project", made)
    ask(project, cells_of(made), 1)
    index = ProjectIndex(project.store, project.tasks())
    depth = request_id(index, Cell("0000.jpg", "depth"))
    (fault,) = received(tmp_path, index, _0000=tag(depth, "true")).faults
    assert "cannot be drawn" in fault.what


def test_a_cancelled_request_is_left_out(index: Index, tmp_path: Path) -> None:
    plain = index()
    cell = Cell("0000.jpg", "semseg")
    semseg = request_id(plain, cell)
    plain._store.move([Move(cell=cell, to=State.MISSING, request_id=semseg)])
    answers = received(tmp_path, plain, _0000=BOX.format("wall", "manual") + tag(semseg, "true"))
    assert answers.closed == ["annotations.xml, image '0000.jpg'"] and not answers.labels


def test_points_and_lines_are_refused_unless_the_map_ignores_them(
    index: Index, tmp_path: Path
) -> None:
    elements = BOX.format("wall", "manual") + '<points label="nose" points="1,2"/>'
    (fault,) = received(tmp_path, index(), _0000=elements).faults
    assert "'points nose'" in fault.what and "--map" in fault.next_step
    ignoring = index(ImportOptions(names={"nose": "ignore"}))
    assert len(received(tmp_path, ignoring, _0000=elements).labels) == 1


@pytest.mark.parametrize(
    "content",
    [
        '<!DOCTYPE a [<!ENTITY b "x">]><annotations><image name="&b;"/></annotations>',
        "<annotations><track/></annotations>",
        "<annotations><image",
        "",
    ],
)
def test_a_file_that_cannot_be_read_is_a_fault(index: Index, tmp_path: Path, content: str) -> None:
    folder = tmp_path / "answer" / "1"
    folder.mkdir(parents=True)
    (folder / "annotations.xml").write_text(content)
    (fault,) = cvat.build().receive(tmp_path / "answer", index()).faults
    assert fault.where == "1/annotations.xml"


def test_a_file_without_images_and_one_of_foreign_ones_are_no_answers(
    index: Index, tmp_path: Path
) -> None:
    with pytest.raises(LabelError, match="no image"):
        received(tmp_path, index())
    with pytest.raises(LabelError, match="None of the images"):
        received(tmp_path, index(), _other=BOX.format("wall", ""))
    with pytest.raises(LabelError, match="no image"):
        cvat.build().receive(tmp_path / "project", index())


def test_names_of_classes_are_matched_and_unknown_ones_refused(
    index: Index, tmp_path: Path
) -> None:
    with pytest.raises(LabelError, match="'cat': no task"):
        received(tmp_path, index(), _0000=BOX.format("cat", ""))
    mapped = index(ImportOptions(names={"cat": CLASSES[2]}))
    (label,) = received(tmp_path, mapped, _0000=BOX.format("cat", "")).labels
    found = label.label()  # type: ignore[operator]
    assert set(found.value[found.valid].ravel().tolist()) == {2}


def test_a_file_and_a_folder_are_recognised_by_their_first_elements(tmp_path: Path) -> None:
    connector = cvat.build()
    path = tmp_path / "deep" / "annotations.xml"
    path.parent.mkdir()
    for content, is_cvat in {
        "<annotations><version>1.1</version><meta>": True,
        "<annotations><image": False,
        '<annotations><image name="a"/>': True,
        "<annotation><image/>": False,
        "<!DOCTYPE a><annotations><image/>": False,
        "": False,
    }.items():
        path.write_text(content)
        assert bool(connector.recognise(path)) is is_cvat
        assert bool(connector.recognise(tmp_path)) is is_cvat
