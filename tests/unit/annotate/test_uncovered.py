"""What no region covers: the remedy is named, kept for the task and the tool, and told each time."""

import json
import re
import shlex
from pathlib import Path

import pytest

from labelgrid import Project
from labelgrid.annotate.uncovered import background_of
from labelgrid.basics.errors import LabelError
from labelgrid.imports.import_doubts import DoubtedImport
from labelgrid.ledger.grid import State, TaskRow
from labelgrid.project.folder import SETTINGS
from labelgrid.project.settings import read_settings
from tests.campaigns import make_project
from tests.e2e.commands import done, typed
from tests.support import make_dataset

COVERS = ["labelgrid.evidence.missing_rest"]
HEIGHT, WIDTH = SIZE = (24, 32)
NAMES = ["background", "chair"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = make_dataset(tmp_path / "made", n=12, size=SIZE, tasks=())
    project = make_project(tmp_path / "flat", made)
    project.store.add_task(TaskRow("parts", "semseg", 1.0, {"classes": NAMES}))
    return project.folder


def coco(path: Path, *images: int, name: str = "chair", far: int = 20) -> Path:
    """A COCO file with a region in each image."""
    entries = []
    annotations = []
    for number in images:
        file = f"{number:04d}.jpg"
        entries.append({"id": number, "file_name": file, "height": HEIGHT, "width": WIDTH})
        left = number
        ring = [left, 2, far, 2, far, 20, left, 20]
        annotations.append({"image_id": number, "category_id": 1, "segmentation": [ring]})
    categories = [{"id": 1, "name": name}]
    data = {"images": entries, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(data))
    return path


def labelme(path: Path, number: int) -> Path:
    path.mkdir()
    shape = {"label": "chair", "points": [[2, 2], [20, 2], [20, 20]], "shape_type": "polygon"}
    data = {"shapes": [shape], "imagePath": f"{number:04d}.jpg"}
    (path / "a.json").write_text(json.dumps(data | {"imageHeight": HEIGHT, "imageWidth": WIDTH}))
    return path


def test_the_remedy_is_a_command_that_makes_the_labels_right(folder: Path, tmp_path: Path) -> None:
    file = coco(tmp_path / "a.json", 1, 2, 3)
    said = done("import", folder, file, "--accept").out
    assert "no region covers 58 %" in said and "--rest ignore" in said
    (command,) = re.findall(r"`(labelgrid import [^`]*)`", said)
    again = done(*shlex.split(command)[1:])
    assert "parts: 3 replaced" in again.out
    with Project.open(folder) as project:
        (row, *_) = project._project.store.cells(state=State.LABELLED)
        label = project._project.tasks()["parts"].read(project._project.inside(row.path))
    assert label.valid.all() and label.value[0, 0] == 0 and label.value[10, 10] == 1


def test_it_is_kept_for_the_task_and_the_tool_until_none_ends_it(
    folder: Path, tmp_path: Path
) -> None:
    settings = folder / SETTINGS
    settings.write_text(f"# mine\n{settings.read_text()}")
    with Project.open(folder) as project:
        first = project.import_labels(coco(tmp_path / "a.json", 1, 2), rest="background")
        assert "'background', also in later imports of coco" in str(first)
    assert read_settings(settings).rest == {"parts": {"coco": "background"}}
    assert settings.read_text().startswith("# mine\n")
    with Project.open(folder) as project:
        again = project.import_labels(coco(tmp_path / "b.json", 3, 4))
        assert "'background', as in earlier imports of coco" in str(again)
        assert "`--rest none` ends that" in str(again)
        assert again.numbers["parts"].values["not_labelled"] == 0
        other = project.import_labels(labelme(tmp_path / "other", 5), accept=True)
        assert other.numbers["parts"].values["not_labelled"] > 0.5
        ended = project.import_labels(
            coco(tmp_path / "c.json", 6, 7), rest="none", accept=True, replace=True
        )
        assert ended.numbers["parts"].values["not_labelled"] > 0.3
    assert read_settings(settings).rest == {}
    assert "[rest]" not in settings.read_text()


def test_that_it_is_not_labelled_is_kept_too_and_ends_the_advice(
    folder: Path, tmp_path: Path
) -> None:
    with Project.open(folder) as project:
        for name, images, rest in (("a", (1, 2), "ignore"), ("b", (3, 4), "")):
            file = coco(tmp_path / f"{name}.json", *images)
            done = project.import_labels(file, rest=rest, accept=True)
            assert "what no region covers is not labelled" in str(done)
            assert "no region covers" not in str(done).replace("what no region covers is", "")


def test_a_dry_run_keeps_nothing_and_a_wrong_class_is_refused(folder: Path, tmp_path: Path) -> None:
    before = (folder / SETTINGS).read_text()
    file = coco(tmp_path / "a.json", 1, 2)
    typed("import", folder, file, "--rest", "background", "--dry-run")
    with Project.open(folder) as project, pytest.raises(LabelError, match="no class of parts"):
        project.import_labels(file, rest="backround")
    assert (folder / SETTINGS).read_text() == before


def test_gaps_between_regions_are_no_background(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    coco(file, 1)
    data = json.loads(file.read_text())
    data["annotations"][0]["segmentation"] = [[0, 0, WIDTH, 0, WIDTH, HEIGHT - 1, 0, HEIGHT - 1]]
    file.write_text(json.dumps(data))
    with Project.open(folder) as project:
        done = project.import_labels(file, accept=True)
    assert "no region covers" not in str(done)


def test_after_labels_with_background_a_batch_without_is_doubted_and_accept_goes_on(
    folder: Path, tmp_path: Path
) -> None:
    with Project.open(folder) as project:
        project.import_labels(coco(tmp_path / "a.json", 1, 2, 3, 4), rest="background")
        bare = coco(tmp_path / "b.json", 5, 6, 7)
        with pytest.raises(DoubtedImport, match="No pixel of 3 new labels is 'background'") as no:
            project.import_labels(bare, rest="none")
        assert "`rest=` background" in str(no.value) and "`accept=`" in str(no.value)
        assert project.import_labels(bare, rest="none", accept=True).tasks["parts"].new == 3


def test_that_uncovered_pixels_are_not_labelled_answers_this_doubt_and_no_other(
    folder: Path, tmp_path: Path
) -> None:
    with Project.open(folder) as project:
        project.import_labels(coco(tmp_path / "a.json", 1, 2, 3, 4), rest="background")
        bare = coco(tmp_path / "b.json", 5, 6, 7)
        with pytest.raises(DoubtedImport) as no:
            project.import_labels(bare, rest="none")
        assert "`rest=` ignore" in str(no.value)
        alike = tmp_path / "alike.json"
        data = json.loads(bare.read_text())
        for annotation in data["annotations"]:
            annotation["segmentation"] = data["annotations"][0]["segmentation"]
        alike.write_text(json.dumps(data))
        with pytest.raises(DoubtedImport, match="used for 3 images") as no:
            project.import_labels(alike, rest="ignore")
        assert "No pixel" not in str(no.value)
        done = project.import_labels(bare, rest="ignore")
        assert done.tasks["parts"].new == 3
        assert "what no region covers is not labelled" in str(done)


def test_after_labels_without_it_nothing_is_doubted(folder: Path, tmp_path: Path) -> None:
    with Project.open(folder) as project:
        project.import_labels(coco(tmp_path / "a.json", 1, 2, 3, 4), accept=True)
        more = project.import_labels(coco(tmp_path / "b.json", 5, 6, 7))
    assert more.tasks["parts"].new == 3


def test_a_background_goes_by_many_names() -> None:
    assert background_of(("a", "Other")) == "Other" and not background_of(("a", "b"))


@pytest.mark.parametrize("images", [(1, 2), (1, 2, 3)])
def test_two_images_may_have_the_same_regions_and_three_are_doubted(
    folder: Path, tmp_path: Path, images: tuple[int, ...]
) -> None:
    file = coco(tmp_path / "a.json", *images)
    data = json.loads(file.read_text())
    for annotation in data["annotations"]:
        annotation["segmentation"] = data["annotations"][0]["segmentation"]
    file.write_text(json.dumps(data))
    with Project.open(folder) as project:
        if len(images) == 2:
            assert project.import_labels(file, rest="background").tasks["parts"].new == 2
        else:
            with pytest.raises(DoubtedImport, match="used for 3 images"):
                project.import_labels(file, rest="background")
