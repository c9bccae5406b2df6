"""What else is known of a label: predicted for its request, derived from others, or supplied."""

from dataclasses import replace

import numpy as np
import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.progress import Silent
from labelgrid.imports.import_supplied import import_supplied
from labelgrid.ledger.grid import Cell
from labelgrid.project.requests import open_requests
from labelgrid.project.settings import settings_text
from labelgrid.rounds import fit, query
from labelgrid.select.strategy import Budget
from tests.projects import answer, make_project
from tests.rounds import QUICK

RELATED = QUICK | {"relations": {"depth_normals": {"trust": 0.9}}}
CAMERA = "field_of_view = 60.0\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project with a model, an open request, a relation, and a supplier of class maps."""
    place = tmp_path_factory.mktemp("other")
    project, made = make_project(place, n=8, strategy="random_cells")
    settings = replace(project.settings, changes=RELATED)
    (project.folder / "labelgrid.toml").write_text(settings_text(settings))
    (project.folder / "camera.toml").write_text(CAMERA)
    project.settings = settings
    with project:
        query.query(project, Budget(3, "images"), Silent(), strategy="random_images")
        answer(project, made)
        fit.fit(project, Silent())
        query.query(project, Budget(2), Silent(), strategy="random_cells")
        import_supplied(project, made.labels, supplier="cheap", format="folder")
        return project.folder


def labels_of(project, cell):
    return {label.key: label for label in project.cell(cell).other_labels()}


def test_a_request_came_with_the_model_s_prediction(folder):
    with ProjectReader.open(folder) as project:
        cell = next(iter(open_requests(project._project)))
        found = labels_of(project, cell)["prelabel"]
        assert found.name == "prediction of the request"
        assert found.read().size == project.image(cell.image_id).shape[:2]
        labelled = project.cells(state="labelled", task=cell.task)[0]
        assert "prelabel" not in labels_of(project, f"{labelled['image']}:{cell.task}")


def test_a_label_follows_from_the_image_s_others_also_where_there_is_one(folder):
    with ProjectReader.open(folder) as project:
        row = project.cells(state="labelled", task="depth")[0]
        found = labels_of(project, f"{row['image']}:normals")["derived/depth_normals"]
        label = found.read()
        assert found.name == "derived from depth" and label.valid.any()
        assert np.allclose(np.linalg.norm(label.value[label.valid], axis=1), 1, atol=1e-3)
        missing = project.cells(state="missing", task="depth")[0]
        assert "derived/depth_normals" not in labels_of(project, f"{missing['image']}:normals")


def test_nothing_follows_through_an_unknown_camera(folder):
    camera = folder / "camera.toml"
    camera.unlink()
    try:
        with ProjectReader.open(folder) as project:
            row = project.cells(state="labelled", task="depth")[0]
            assert "derived/depth_normals" not in labels_of(project, f"{row['image']}:normals")
    finally:
        camera.write_text(CAMERA)


def test_a_supplied_label_is_read_from_its_file(folder):
    with ProjectReader.open(folder) as project:
        row = next(row for row in project.cells(task="semseg") if row["split"] == "train")
        found = labels_of(project, f"{row['image']}:semseg")["supplied/cheap"]
        assert found.name == "supplied by cheap" and found.read().valid.any()


def test_requests_of_one_task_follow_one_another_in_a_circle(folder):
    with ProjectReader.open(folder) as project:
        missing = [row["image"] for row in project.cells(state="missing", task="semseg")]
        project.request([f"{image}:semseg" for image in missing[:3]])
        requested = [row["image"] for row in project.cells(state="requested", task="semseg")]
        for image, following in zip(requested, [*requested[1:], requested[0]], strict=True):
            assert project.next_request(Cell(image, "semseg")) == Cell(following, "semseg")
        project.cancel([f"{image}:semseg" for image in requested[1:]])
        assert project.next_request(Cell(requested[0], "semseg")) is None
        project.cancel([f"{requested[0]}:semseg"])
        assert project.next_request(Cell(requested[0], "semseg")) is None
