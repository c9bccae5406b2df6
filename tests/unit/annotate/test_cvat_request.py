"""What CVAT is given: labels with the project's colours, predicted regions, the tag of a request."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from labelgrid.annotate.cvat_request import annotations_text, labels_text
from labelgrid.annotate.cvat_xml import read_images
from labelgrid.basics.errors import ProjectError
from labelgrid.formats.regions import UNCOVERED, Canvas
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.class_colours import class_colours
from tests.support import CLASSES, Made
from tests.unit.annotate.tools.test_folder import request_of


def test_labels_have_the_colours_of_the_project_and_the_tag_comes_last(
    made: Callable[..., Made],
) -> None:
    data = made(n=1, tasks=("semseg",))
    rows = json.loads(labels_text(request_of(data, data.names).tasks["semseg"]))
    assert [row["name"] for row in rows] == [*CLASSES, "labelgrid"]
    for row, colour in zip(rows, class_colours(tuple(CLASSES)).tolist(), strict=False):
        assert row["color"] == "#{:02x}{:02x}{:02x}".format(*colour) and row["type"] == "any"
    assert rows[-1]["type"] == "tag"
    assert [one["name"] for one in rows[-1]["attributes"]] == ["request_id", "done", "skip"]


def test_a_prediction_is_one_mask_a_class_and_comes_back_as_it_is(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data = made(n=2, tasks=("semseg",))
    request = request_of(data, data.names)
    task = request.tasks["semseg"]
    first, second = data.names
    predictions = {Cell(first, "semseg"): data.label(first, "semseg")}
    text = annotations_text(replace(request, prelabels=predictions), task, request.items)
    (tmp_path / "upload.xml").write_text(text, encoding="utf-8")
    predicted, plain = read_images(tmp_path / "upload.xml", "upload.xml")
    canvas = Canvas(predicted.size)
    for shape in predicted.shapes:
        shape.paint(canvas, CLASSES.index(shape.name))
    label = task.read(data.label(first, "semseg"))
    expected = np.where(label.valid, label.value[..., 0], UNCOVERED)
    assert np.array_equal(canvas.regions, expected)
    assert len(predicted.shapes) == len(np.unique(label.value[label.valid]))
    assert predicted.sources.keys() == {"auto"} and not plain.shapes
    tag = {"request_id": "r1-0001-semseg", "done": "false", "skip": ""}
    assert (plain.name, plain.size, plain.tags) == (second, (48, 64), [tag])


def test_names_with_all_that_xml_escapes_come_back_and_others_are_refused(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data = made(n=1, tasks=("semseg",))
    request = request_of(data, data.names)
    (item,) = request.items
    for name in ("a <b> & \"c\" 'ä'.jpg", "tab\tand\nline.jpg"):
        renamed = replace(item, pick=replace(item.pick, cell=Cell(name, "semseg")))
        named = replace(request, names={name: name}, sizes={name: (48, 64)})
        text = annotations_text(named, request.tasks["semseg"], [renamed])
        ElementTree.fromstring(text.encode())
        (tmp_path / "upload.xml").write_text(text, encoding="utf-8")
        assert read_images(tmp_path / "upload.xml", "upload.xml")[0].name == name
    for name in ("bell\a.jpg", "lone\udce4.jpg"):
        renamed = replace(item, pick=replace(item.pick, cell=Cell(name, "semseg")))
        named = replace(request, names={name: name}, sizes={name: (48, 64)})
        with pytest.raises(ProjectError, match="XML cannot hold"):
            annotations_text(named, request.tasks["semseg"], [renamed])
