"""What tools' names of classes mean: said once, kept for later imports, and told at each of these."""

import json
from pathlib import Path

import pytest

from labelgrid import Project
from labelgrid.annotate.answers import ImportRefused
from labelgrid.basics.errors import LabelError
from labelgrid.project.folder import SETTINGS
from labelgrid.project.settings import read_settings
from tests.campaigns import make_project
from tests.support import CLASSES, make_dataset

SIZE = (24, 32)


def coco(path: Path, image: str, *names: str) -> Path:
    """A COCO file whose categories divide an image into columns."""
    width = SIZE[1] // len(names)
    annotations = []
    for number, _ in enumerate(names, 1):
        left, right = width * (number - 1), width * number
        ring = [left, 0, right, 0, right, SIZE[0], left, SIZE[0]]
        region = {"id": number, "image_id": 1, "category_id": number, "iscrowd": 0}
        annotations.append({**region, "segmentation": [ring], "bbox": [left, 0, width, SIZE[0]]})
    images = [{"id": 1, "file_name": image, "height": SIZE[0], "width": SIZE[1]}]
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    data = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(data))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = make_dataset(tmp_path / "made", n=3, size=SIZE, tasks=("semseg", "saliency"))
    return make_project(tmp_path / "flat", made).folder


def test_names_are_kept_for_later_imports_which_say_so(folder: Path, tmp_path: Path) -> None:
    first = coco(tmp_path / "a.json", "0000.jpg", "sol", "mur")
    second = coco(tmp_path / "b.json", "0001.jpg", "sol", "mur")
    floor, wall = CLASSES[:2]
    with Project.open(folder) as project:
        done = project.import_labels(first, map={"sol": floor, "mur": wall}, accept=True)
        assert "earlier imports" not in str(done)
        assert read_settings(folder / SETTINGS).names == {"sol": floor, "mur": wall}
    with Project.open(folder) as project:
        again = project.import_labels(second, accept=True)
    assert again.tasks["semseg"].new == 1
    said = f"Names as in earlier imports: sol = {floor}, mur = {wall} (labelgrid.toml, [names])."
    assert said in str(again)


def test_another_meaning_replaces_the_kept_one(folder: Path, tmp_path: Path) -> None:
    floor, wall = CLASSES[:2]
    with Project.open(folder) as project:
        project.import_labels(
            coco(tmp_path / "a.json", "0000.jpg", "sol"), map={"sol": floor}, accept=True
        )
        text = (folder / SETTINGS).read_text()
        done = project.import_labels(
            coco(tmp_path / "b.json", "0001.jpg", "sol"), map={"sol": wall}, accept=True
        )
        assert done.tasks["semseg"].new == 1
    assert (folder / SETTINGS).read_text() == text.replace(f'sol = "{floor}"', f'sol = "{wall}"')


def test_a_refused_import_and_a_dry_run_keep_nothing(folder: Path, tmp_path: Path) -> None:
    before = (folder / SETTINGS).read_text()
    unknown = coco(tmp_path / "a.json", "0000.jpg", "sol", "plafond")
    known = coco(tmp_path / "b.json", "0000.jpg", "sol")
    with Project.open(folder) as project:
        with pytest.raises((ImportRefused, LabelError)):
            project.import_labels(unknown, map={"sol": CLASSES[0]}, accept=True)
        project.import_labels(known, map={"sol": CLASSES[0]}, accept=True, dry_run=True)
    assert (folder / SETTINGS).read_text() == before


def test_kept_names_of_other_tasks_do_not_stop_an_import_of_one(
    folder: Path, tmp_path: Path
) -> None:
    with Project.open(folder) as project:
        project.import_labels(
            coco(tmp_path / "a.json", "0000.jpg", "sol"), map={"sol": CLASSES[0]}, accept=True
        )
        done = project.import_labels(
            coco(tmp_path / "b.json", "0001.jpg", "saliency"), task="saliency", accept=True
        )
    assert done.tasks["saliency"].new == 1


def test_a_kept_meaning_is_not_told_where_this_import_says_another(
    folder: Path, tmp_path: Path
) -> None:
    first = coco(tmp_path / "a.json", "0000.jpg", "sol", "mur")
    second = coco(tmp_path / "b.json", "0001.jpg", "sol", "mur")
    floor, wall = CLASSES[:2]
    with Project.open(folder) as project:
        project.import_labels(first, map={"sol": floor, "mur": wall}, accept=True)
        again = project.import_labels(second, map={"sol": wall}, accept=True)
    assert f"Names as in earlier imports: mur = {wall} (labelgrid.toml, [names])." in str(again)
