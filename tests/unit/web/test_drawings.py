"""Drawings and labels: the same regions both ways, for every task that can be drawn."""

import numpy as np
import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import UsageError
from labelgrid.ledger.grid import Cell, TaskRow
from labelgrid.tasks.task import TaskDef
from labelgrid.web.drawings import drawn_label, erased_name, layer_regions, regions_of, value_names
from labelgrid.web.layers import layer_of
from labelgrid.web.predictions import Predictions
from tests.pages import cell_in, labelled_project


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return labelled_project(tmp_path_factory.mktemp("drawn"), n=5)


def drawing(project, cell, number):
    height, width = project.image_size(cell.rpartition(":")[0])
    return np.full((height, width), number, "<i2").tobytes()


def test_a_drawing_of_a_label_s_regions_is_the_label(folder):
    name = cell_in(folder, "labelled", "semseg")
    with ProjectReader.open(folder) as project:
        cell = project.cell(name).key
        layer = layer_of(project, cell, "label", Predictions())
        regions = layer_regions(project, cell, layer)
        again = drawn_label(project, cell, regions.tobytes())
        label = project.label(cell)
    assert np.array_equal(again.valid, label.valid)
    assert np.array_equal(again.value[label.valid], label.value[label.valid])


@pytest.mark.parametrize("number", [-2, 99])
def test_an_unknown_region_is_refused(folder, number):
    name = cell_in(folder, "labelled", "semseg")
    with ProjectReader.open(folder) as project, pytest.raises(UsageError, match=f"{number}"):
        drawn_label(project, project.cell(name).key, drawing(project, name, number))


def test_a_drawing_of_another_size_is_refused(folder):
    name = cell_in(folder, "labelled", "semseg")
    with ProjectReader.open(folder) as project, pytest.raises(UsageError, match="has 3 bytes"):
        drawn_label(project, project.cell(name).key, b"abc")


def test_the_background_is_drawn_with_a_colour_that_is_transparent():
    row = TaskRow("semseg", "semseg", 1.0, {"classes": ["background", "shirt"]})
    clothes = TaskDef.of(row)
    (background, clear), (shirt, colour) = regions_of(clothes)
    assert (background, shirt) == ("background", "shirt")
    assert len(clear) == 9 and clear.endswith("00") and len(colour) == 7
    assert value_names(clothes) == regions_of(clothes)


@pytest.mark.parametrize("task", ["depth", "normals"])
def test_what_is_measured_is_not_drawn(folder, task):
    name = cell_in(folder, "labelled", task)
    with ProjectReader.open(folder) as project:
        cell = Cell(*name.rsplit(":", 1))
        assert not value_names(project.tasks[task])
        with pytest.raises(UsageError, match="measured, not drawn"):
            drawn_label(project, cell, b"")


def test_a_region_has_a_colour_and_erasing_a_meaning():
    rows = {
        "semseg": TaskRow("parts", "semseg", 1.0, {"classes": ["head", "arm", "leg"]}),
        "saliency": TaskRow("saliency", "saliency", 1.0),
        "edges": TaskRow("edges", "edges", 1.0),
    }
    tasks = {kind: TaskDef.of(row) for kind, row in rows.items()}
    assert [name for name, _ in regions_of(tasks["semseg"])] == ["head", "arm", "leg"]
    assert regions_of(tasks["edges"]) == [("edges", "#ff28a0")]
    assert value_names(tasks["saliency"]) == [("no", "#000000"), ("yes", "#ffffff")]
    assert [erased_name(task) for task in tasks.values()] == ["not labelled", "no", "no"]
