"""Pictures: those of the project's files, kept by the browser until they change."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from labelgrid.api.reader import ProjectReader
from labelgrid.tasks.pictures import colour_map
from tests.pages import cell_in, client_of, labelled_project, take_back


@pytest.fixture
def folder(tmp_path):
    return labelled_project(tmp_path)


def test_a_photograph_is_a_jpeg_of_the_tile_s_size(folder):
    image = cell_in(folder, "labelled").rpartition(":")[0]
    with client_of(folder) as client:
        answer = client.get("/picture/image", params={"image": image})
    picture = Image.open(io.BytesIO(answer.content))
    with ProjectReader.open(folder) as project:
        original = project.image(image)
    assert answer.headers["content-type"] == "image/jpeg"
    assert picture.size == original.shape[1::-1]
    assert abs(np.asarray(picture, float) - original).mean() < 12


@pytest.mark.parametrize("task", ["semseg", "depth", "normals"])
def test_a_label_has_the_colours_of_its_task_and_is_transparent_where_not_valid(folder, task):
    cell = cell_in(folder, "labelled", task)
    image = cell.rpartition(":")[0]
    with client_of(folder) as client:
        answer = client.get("/picture/label", params={"image": image, "task": task})
    pixels = np.asarray(Image.open(io.BytesIO(answer.content)))
    with ProjectReader.open(folder) as project:
        label = project.label(cell)
        colours = colour_map(project.tasks[task], label.value, label.valid)
    valid = label.valid & np.isfinite(label.value).all(2)
    assert np.array_equal(pixels[..., 3] > 0, valid)
    if task != "depth":  # whose scale is that of the valid pixels
        assert np.array_equal(pixels[valid][:, :3], colours[valid])


def test_a_browser_that_has_the_picture_gets_nothing_until_the_label_changes(folder):
    cell = cell_in(folder, "labelled", "depth")
    words = {"image": cell.rpartition(":")[0], "task": "depth"}
    with client_of(folder) as client:
        first = client.get("/picture/label", params=words)
        tag = {"If-None-Match": first.headers["etag"]}
        again = client.get("/picture/label", params=words, headers=tag)
        assert again.status_code == 304 and not again.content
        take_back(folder, cell)
        gone = client.get("/picture/label", params=words, headers=tag)
    assert gone.status_code == 404 and "has no label" in gone.text


def test_a_file_that_is_gone_or_unknown_is_said(folder, tmp_path):
    image = cell_in(folder, "labelled").rpartition(":")[0]
    with client_of(folder) as client:
        for words in ({"image": "../../etc/passwd"}, {"image": "nothing.png"}):
            assert client.get("/picture/image", params=words).status_code == 404
        (tmp_path / "made" / "images" / image).unlink()
        answer = client.get("/picture/image", params={"image": image})
    assert answer.status_code == 404 and image in answer.text


def unpacked(answer, kind):
    """The array in an answer."""
    head, _, numbers = answer.content.partition(b"\n")
    return np.frombuffer(numbers, kind).reshape(json.loads(head)["shape"])


@pytest.mark.parametrize("task", ["semseg", "depth", "normals"])
def test_the_values_are_those_of_the_label_and_not_a_number_where_not_valid(folder, task):
    cell = cell_in(folder, "labelled", task)
    words = {"image": cell.rpartition(":")[0], "task": task}
    with client_of(folder) as client:
        answer = client.get("/picture/values", params=words)
    values = unpacked(answer, "<f4")
    with ProjectReader.open(folder) as project:
        label = project.label(cell)
    valid = label.valid & np.isfinite(label.value).all(2)
    assert np.array_equal(np.isfinite(values).all(2), valid)
    assert np.allclose(values[valid], label.value[valid], atol=1e-4)


def test_the_regions_are_those_of_a_label_that_can_be_drawn(folder):
    cell = cell_in(folder, "labelled", "semseg")
    image = cell.rpartition(":")[0]
    with client_of(folder) as client:
        answer = client.get("/picture/regions", params={"image": image, "task": "semseg"})
        depth = client.get("/picture/regions", params={"image": image, "task": "depth"})
    with ProjectReader.open(folder) as project:
        label = project.label(cell)
    regions = np.where(label.valid, label.value[..., 0], -1)
    assert np.array_equal(unpacked(answer, "<i2"), regions)
    assert depth.status_code == 404 and "measured, not drawn" in depth.text


def test_an_uncertainty_that_nobody_drew_is_said(folder):
    words = {"image": cell_in(folder, "labelled").rpartition(":")[0], "task": "depth"}
    with client_of(folder) as client:
        answer = client.get("/picture/uncertainty", params=words)
    assert answer.status_code == 404 and "No round drew" in answer.json()["what"]
