"""Laws of what an import reads: several sources are one import, and each is what it is."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.annotate.answers import ImportRefused
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.basics.progress import Silent
from labelgrid.imports.import_labels import import_labels
from labelgrid.imports.imported import Tally
from labelgrid.ledger.grid import Cell
from labelgrid.operations.undo import undo
from labelgrid.project.folder import ProjectFolder
from tests.campaigns import copy, snapshot, states
from tests.support import Made


def part(data: Made, folder: Path, task: str, *images: int) -> Path:
    """A folder with the labels of some images."""
    for number in images:
        name = data.names[number]
        copy(data.label(name, task), folder / task / f"{name[:-4]}.png")
    return folder


def test_several_sources_are_one_import_and_one_operation(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    before = states(project)
    first = part(data, tmp_path / "first", "depth", 0, 1)
    second = part(data, tmp_path / "second", "semseg", 2)
    archive = Path(shutil.make_archive(str(tmp_path / "third"), "zip", second))
    shutil.rmtree(second)
    done = import_labels(project, [first, archive])
    assert done.tasks == {"semseg": Tally(new=1), "depth": Tally(new=2)}
    assert list(states(project).values()).count("labelled") == 3
    undo(project, Silent())
    assert states(project) == before


class _Heard(Silent):
    """Keeps how far each step came."""

    def __init__(self) -> None:
        self.steps: list[list[object]] = []
        self.done = 0

    def start(self, what: str, total: int, unit: str) -> None:
        self.done = 0
        self.steps.append([what, total, 0])

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        self.steps[-1][-1] = self.done


def test_matching_many_names_says_how_far_it_came(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    source = part(data, tmp_path / "first", "depth", 0, 1)
    for name in ("no-image-1", "no-image-2", "no-image-3"):
        copy(source / "depth" / f"{data.names[0][:-4]}.png", source / "depth" / f"{name}.png")
    heard = _Heard()
    with pytest.raises(ImportRefused):
        import_labels(project, source, progress=heard)
    assert ["Matching names with images", 5, 5] in heard.steps
    assert ["Looking for images of other names", 3, 3] in heard.steps


def test_a_fault_in_one_source_refuses_all_and_names_it(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    first = part(data, tmp_path / "first", "depth", 0)
    second = part(data, tmp_path / "second", "depth", 1)
    (second / "depth/0001.png").write_bytes(b"")
    before = snapshot(project)
    with pytest.raises(ImportRefused) as refused:
        import_labels(project, [first, second])
    assert [row.where for row in refused.value.rows] == [f"{second}/depth/0001.png"]
    assert f"({first}, {second})" in str(refused.value)
    assert snapshot(project) == before


def test_two_sources_with_one_label_are_refused_unless_one_is_chosen(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    both = [part(data, tmp_path / name, "depth", 0) for name in ("first", "second")]
    with pytest.raises(ImportRefused, match=r"first/depth/0000\.png answers the same cell"):
        import_labels(project, both)


def corrected(path: Path, *images: int) -> Path:
    """An export of Label Studio, whose only task says when each label was made."""
    size = {"original_width": 24, "original_height": 16}
    points = {"points": [[0, 0], [80, 0], [80, 70]], "closed": True, "polygonlabels": ["floor"]}
    region = {"type": "polygonlabels", "from_name": "semseg", "to_name": "image", "value": points}
    tasks = []
    for number in images:
        done = {"id": 1, "result": [{**region, **size, "id": "a"}], "was_cancelled": False}
        done["created_at"] = "2020-01-01T00:00:00Z"
        data = {"image": f"/data/upload/1/000{number}.jpg"}
        tasks.append({"id": 7, "data": data, "annotations": [done]})
    path.write_text(json.dumps(tasks))
    return path


@pytest.mark.parametrize("name", ["a.json", "z-corrected.json"])
def test_of_the_answers_of_two_tools_the_name_of_the_file_decides_and_is_said(
    project: ProjectFolder, data: Made, tmp_path: Path, name: str
) -> None:
    first = part(data, tmp_path / "m", "semseg", 0, 1)
    packed = Path(shutil.make_archive(str(tmp_path / "m"), "zip", first))
    second = corrected(tmp_path / name, 1)
    options = ImportOptions(keep="last")
    done = import_labels(project, [packed, second], options=options, accept=True)
    kept = f"{second} task 7" if name > "m.zip" else f"{packed}/semseg/0001.png"
    note = f"1 cell had two answers; kept {kept}: 0001.jpg:semseg."
    assert note in done.notes and note in str(done)


def test_a_dry_run_says_what_each_source_is(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    first = part(data, tmp_path / "first", "depth", 0)
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "labels.csv").write_text("image,task,path,class\n0001.jpg,semseg,a.png,wall\n")
    Image.fromarray(np.full((16, 24), 255, np.uint8)).save(masks / "a.png")
    done = import_labels(project, [first, masks], dry_run=True)
    assert done.found and done.found.what == "a folder of labels; masks, one a class"
    assert done.tasks == {"semseg": Tally(new=1), "depth": Tally(new=1)}
    assert Cell("0001.jpg", "semseg") not in {
        cell for cell, state in states(project).items() if state == "labelled"
    }


@pytest.mark.parametrize("packed", [False, True])
def test_an_outer_folder_is_passed_by(
    project: ProjectFolder, data: Made, tmp_path: Path, packed: bool
) -> None:
    outer = tmp_path / "outer"
    part(data, outer / "export/sensor", "depth", 0, 1)
    (outer / ".DS_Store").touch()
    given = outer
    if packed:
        given = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", outer))
    done = import_labels(project, given)
    assert done.tasks["depth"] == Tally(new=2)
    assert done.notes == ("Read below export/sensor/.",)


def test_the_folder_of_a_request_is_found_in_an_outer_one(
    project: ProjectFolder, answered: Path, tmp_path: Path
) -> None:
    shutil.copytree(answered, tmp_path / "outer/request")
    assert import_labels(project, tmp_path / "outer").tasks["depth"] == Tally(new=3)


def test_of_folders_that_hold_no_answer_the_outer_one_is_refused(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    copy(data.label(data.names[0], "depth"), tmp_path / "outer/inner/0000.png")
    with pytest.raises(ImportRefused) as refused:
        import_labels(project, tmp_path / "outer")
    assert [row.where for row in refused.value.rows] == ["inner/0000.png"]


@pytest.mark.parametrize("packed", [False, True])
def test_masks_of_images_and_classes_by_name_need_no_format(
    project: ProjectFolder, tmp_path: Path, packed: bool
) -> None:
    masks = tmp_path / "out"
    for name in ("0000/wall.png", "0001/floor_1.png", "0001/box.png"):
        (masks / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.eye(16, 24, dtype=np.uint8) * 255).save(masks / name)
    given = masks
    if packed:
        given = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "out"))
    done = import_labels(project, given, accept=True)
    assert done.tasks["semseg"] == Tally(new=2)


COCO = {
    "images": [{"id": 7, "file_name": "0001.jpg", "height": 16, "width": 24}],
    "categories": [{"id": 1, "name": "wall"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 7,
            "category_id": 1,
            "segmentation": {"size": [16, 24], "counts": [0, 100, 284]},
            "iscrowd": 1,
        }
    ],
}


def test_the_file_of_a_tool_beside_labels_is_read_too(
    project: ProjectFolder, answered: Path
) -> None:
    shutil.rmtree(answered / "labels/semseg")
    (answered / "labels/instances.json").write_text(json.dumps(COCO))
    done = import_labels(project, answered, accept=True)
    assert done.tasks == {"semseg": Tally(new=1), "depth": Tally(new=3)}
    read, uncovered = done.notes
    assert read == "labels/instances.json was read as COCO annotations."
    assert uncovered.startswith("semseg: no region covers 74 % of the pixels of 1 label")
    assert not done.stray


def test_the_file_of_a_tool_alone_in_a_request_s_folder_is_read(
    project: ProjectFolder, answered: Path
) -> None:
    shutil.rmtree(answered / "labels")
    (answered / "instances.json").write_text(json.dumps(COCO))
    done = import_labels(project, answered, accept=True)
    assert done.tasks == {"semseg": Tally(new=1), "depth": Tally()}


def test_a_tool_s_file_that_cannot_be_read_is_left_out_and_said(
    project: ProjectFolder, answered: Path
) -> None:
    other = {**COCO, "categories": [{"id": 1, "name": "lamp"}]}
    path = answered / "labels/instances.json"
    path.write_text(json.dumps(other))
    (answered / "labels/notes.txt").touch()
    (answered / "labels/task_1.zip").touch()
    done = import_labels(project, answered)
    assert done.tasks["depth"] == Tally(new=3)
    assert done.stray == ("labels/instances.json", "labels/notes.txt", "labels/task_1.zip")
    note, archive = done.notes
    assert note.startswith("labels/instances.json looks like COCO annotations, and is left out: ")
    assert note.endswith(f"Next: `labelgrid import {project.folder} {path}`.")
    assert archive.startswith("labels/task_1.zip is a zip file. Next: `labelgrid import ")
    packed = Path(shutil.make_archive(str(answered.parent / "packed"), "zip", answered))
    assert import_labels(project, packed).notes[1] == (
        f"labels/task_1.zip is a zip file. Unpack {packed}, and import it by itself."
    )


@pytest.fixture
def mixed(data: Made, tmp_path: Path) -> Path:
    """A folder with a tool's file, and a sensor's labels beside it."""
    folder = part(data, tmp_path / "mixed", "depth", 0, 2)
    (folder / "instances.json").write_text(json.dumps(COCO))
    return folder


@pytest.mark.parametrize("below", ["", "labels/"])
def test_labels_beside_the_file_of_a_tool_are_read_too(
    project: ProjectFolder, mixed: Path, below: str
) -> None:
    if below:
        (mixed / below).mkdir()
        (mixed / "depth").rename(mixed / below / "depth")
    done = import_labels(project, mixed, accept=True)
    assert done.tasks == {"semseg": Tally(new=1), "depth": Tally(new=2)}


def test_a_fault_of_labels_beside_a_tool_s_file_refuses_all(
    project: ProjectFolder, mixed: Path
) -> None:
    (mixed / "depth/0002.png").write_bytes(b"")
    with pytest.raises(ImportRefused) as refused:
        import_labels(project, mixed)
    assert [row.where for row in refused.value.rows] == ["depth/0002.png"]


def test_the_files_of_two_tools_in_a_folder_are_both_read(
    project: ProjectFolder, mixed: Path
) -> None:
    region = {"shape_type": "polygon", "label": "floor", "points": [[0, 0], [20, 0], [20, 12]]}
    other = {"imagePath": "0002.jpg", "imageHeight": 16, "imageWidth": 24, "shapes": [region]}
    (mixed / "0002.json").write_text(json.dumps({"version": "5.4.1", "flags": {}, **other}))
    done = import_labels(project, mixed, accept=True)
    assert done.tasks == {"semseg": Tally(new=2), "depth": Tally(new=2)}


def test_a_file_of_another_tool_that_the_first_one_cannot_read_is_no_fault(
    project: ProjectFolder, mixed: Path
) -> None:
    size = {"original_width": 24, "original_height": 16}
    points = {"points": [[0, 0], [80, 0], [80, 70]], "closed": True, "polygonlabels": ["floor"]}
    region = {"type": "polygonlabels", "from_name": "semseg", "to_name": "image", "value": points}
    done = {"id": 1, "result": [{**region, **size, "id": "a"}], "was_cancelled": False}
    task = {"id": 1, "data": {"image": "/data/upload/1/0002.jpg"}, "annotations": [done]}
    (mixed / "project-3.json").write_text(json.dumps([task]))
    found = import_labels(project, mixed, accept=True)
    assert found.tasks == {"semseg": Tally(new=2), "depth": Tally(new=2)}
    assert "project-3.json was read as a JSON export of Label Studio." in found.notes


def test_a_zip_beside_a_tool_s_file_is_named_unless_it_was_given(
    project: ProjectFolder, mixed: Path, data: Made, tmp_path: Path
) -> None:
    inside = part(data, tmp_path / "inside", "depth", 1)
    packed = Path(shutil.make_archive(str(mixed / "task_1"), "zip", inside))
    done = import_labels(project, mixed, accept=True, dry_run=True)
    assert done.stray == ("task_1.zip",)
    done = import_labels(project, [mixed, packed], accept=True)
    assert done.tasks == {"semseg": Tally(new=1), "depth": Tally(new=3)}
    assert not done.stray


def test_a_folder_that_is_named_like_a_task_holds_its_labels(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    folder = part(data, tmp_path / "out", "depth", 0, 1)
    done = import_labels(project, folder / "depth")
    assert done.tasks["depth"] == Tally(new=2)


@pytest.mark.parametrize("packed", [False, True])
def test_the_task_of_a_whole_folder_can_be_said(
    project: ProjectFolder, data: Made, tmp_path: Path, packed: bool
) -> None:
    folder = part(data, tmp_path / "out", "depth", 0, 1)
    given = (folder / "depth").rename(tmp_path / "frames")
    if packed:
        given = Path(shutil.make_archive(str(tmp_path / "frames"), "zip", given))
    done = import_labels(project, given, options=ImportOptions(task="depth"))
    assert done.tasks["depth"] == Tally(new=2)


def test_of_a_folder_without_tasks_the_options_that_help_are_said(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    folder = part(data, tmp_path / "out", "depth", 0, 1)
    given = (folder / "depth").rename(tmp_path / "frames")
    with pytest.raises(ImportRefused) as refused:
        import_labels(project, given)
    assert "--task TASK" in str(refused.value)
    assert "--format NAME" in str(refused.value)
