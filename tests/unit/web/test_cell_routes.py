"""What a user hands in for a cell is checked as any import, and never overwrites a newer change."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from labelgrid.api.reader import ProjectReader
from tests.pages import cell_in, client_of, labelled_project, take_back
from tests.projects import make_project
from tests.support import CLASSES

#: Pictures of a cell's label.
PICTURES = ("label", "values", "regions", "uncertainty")


@pytest.fixture
def folder(tmp_path):
    return labelled_project(tmp_path)


def history_of(folder, cell):
    with ProjectReader.open(folder) as project:
        return project.cell(cell).history()


def drawing_of(folder, cell, number=1):
    """A drawing of one region, as a form sends it."""
    with ProjectReader.open(folder) as project:
        size = project.image_size(cell.rpartition(":")[0])
    return {"drawing": ("drawing", np.full(size, number, "<i2").tobytes())}


def file_of(folder, cell, size=None):
    """A class map as a file that a user chose."""
    with ProjectReader.open(folder) as project:
        height, width = size or project.image_size(cell.rpartition(":")[0])
    file = io.BytesIO()
    Image.fromarray(np.full((height, width), 1, np.uint8)).save(file, "PNG")
    return {"file": ("mine.png", file.getvalue(), "image/png")}


@pytest.mark.parametrize("state", ["labelled", "requested", "missing"])
def test_a_drawing_becomes_the_label_with_the_seconds_that_it_took(folder, state):
    cell = cell_in(folder, state, "semseg")
    form = {"cell": cell, "seconds": "41.5", "annotator": "Ada", "accept": "true"}
    with client_of(folder) as client:
        answer = client.post("/api/labels", data=form, files=drawing_of(folder, cell))
    assert answer.status_code == 200, answer.text
    last = history_of(folder, cell)[-1]
    assert (last["after"], last["seconds"], last["annotator"]) == ("labelled", 41.5, "Ada")
    assert answer.json()["event"] == last["event"]
    with ProjectReader.open(folder) as project:
        assert (project.label(cell).value == 1).all()


def test_a_file_replaces_the_label_and_leads_a_browser_back(folder):
    cell = cell_in(folder, "labelled", "semseg")
    seen = history_of(folder, cell)[-1]["event"]
    form = {"cell": cell, "seen": seen, "accept": "true", "back": "//image?image=x"}
    with client_of(folder) as client:
        answer = client.post("/api/labels", data=form, files=file_of(folder, cell))
    assert answer.status_code == 303 and answer.headers["location"] == "/image?image=x"
    assert [event["why"] for event in history_of(folder, cell)][-2:] == ["replaced", ""]


def test_a_cell_that_somebody_else_changed_since_keeps_that_change(folder):
    cell = cell_in(folder, "labelled", "semseg")
    seen = history_of(folder, cell)[-1]["event"]
    take_back(folder, cell)
    form = {"cell": cell, "seen": seen, "accept": "true"}
    with client_of(folder) as client:
        answer = client.post("/api/labels", data=form, files=drawing_of(folder, cell))
    assert answer.status_code == 409 and "it became missing" in answer.json()["what"]
    assert history_of(folder, cell)[-1]["after"] == "missing"


@pytest.mark.parametrize(
    ("files", "status", "text"),
    [
        ({}, 400, "one file or one drawing"),
        ({"file": ("mine.png", b"no picture")}, 422, "PNG"),
        ({"file": ("mine.jpg", b"x")}, 422, "not '.jpg'"),
        ({"file": ("../../mine", b"x")}, 422, "not ''"),
        ({"drawing": ("drawing", b"abc")}, 400, "has 3 bytes"),
    ],
)
def test_a_wrong_label_is_refused_and_nothing_changes(folder, files, status, text):
    cell = cell_in(folder, "labelled", "semseg")
    before = history_of(folder, cell)
    with client_of(folder) as client:
        answer = client.post("/api/labels", data={"cell": cell}, files=files or None)
    assert answer.status_code == status and text in answer.json()["what"]
    assert history_of(folder, cell) == before


def test_a_label_of_another_size_is_refused_as_by_an_import(folder):
    cell = cell_in(folder, "labelled", "semseg")
    with client_of(folder) as client:
        answer = client.post(
            "/api/labels", data={"cell": cell}, files=file_of(folder, cell, (4, 4))
        )
    assert answer.status_code == 422 and "The label is 4x4" in answer.json()["what"]


def test_a_file_that_is_too_large_is_refused(folder, monkeypatch):
    monkeypatch.setattr("labelgrid.web.cell_routes.MOST_BYTES", 10)
    cell = cell_in(folder, "labelled", "semseg")
    with client_of(folder) as client:
        answer = client.post("/api/labels", data={"cell": cell}, files=file_of(folder, cell))
    assert answer.status_code == 400 and "at most" in answer.json()["what"]


def test_a_depth_map_is_not_drawn(folder):
    cell = cell_in(folder, "labelled", "depth")
    with client_of(folder) as client:
        answer = client.post("/api/labels", data={"cell": cell}, files=drawing_of(folder, cell))
    assert answer.status_code == 400 and "measured, not drawn" in answer.json()["what"]


def test_a_drawing_is_written_as_a_file_that_can_be_handed_in(folder):
    cell = cell_in(folder, "labelled", "semseg")
    with client_of(folder) as client:
        form = {"cell": cell}
        answer = client.post("/api/drawings", data=form, files=drawing_of(folder, cell, 2))
    assert "attachment; filename*=UTF-8''" in answer.headers["content-disposition"]
    assert (np.asarray(Image.open(io.BytesIO(answer.content))) == 2).all()


def test_a_note_is_written_and_read(folder):
    cell = cell_in(folder, "requested")
    with client_of(folder) as client:
        form = {"cell": cell, "text": "too dark", "back": "/image?image=x"}
        assert client.post("/api/notes", data=form).status_code == 303
        assert client.post("/api/notes", data={"cell": cell, "text": ""}).status_code in (400, 422)
        notes = client.get("/api/notes", params={"cell": cell}).json()
        assert client.get("/api/notes", params={"cell": "nothing:depth"}).status_code == 404
    assert [note["text"] for note in notes] == ["too dark"]


def test_an_image_is_not_predicted_without_a_model(folder):
    image = cell_in(folder, "labelled").rpartition(":")[0]
    with client_of(folder) as client:
        answer = client.post("/api/predictions", data={"image": image})
    assert answer.status_code == 404 and "There is no model yet" in answer.json()["what"]


@pytest.mark.parametrize("task", ["saliency", "edges"])
def test_a_drawing_of_yes_and_no_becomes_the_label(tmp_path, task):
    project, made = make_project(tmp_path, n=2, holdout=0, tasks=(task,))
    with project:
        folder = project.folder
    cell = f"{made.names[0]}:{task}"
    with ProjectReader.open(folder) as project:
        regions = np.full(project.image_size(made.names[0]), -1, "<i2")
    regions[3:9, 4:20] = 0
    drawing = {"drawing": ("drawing", regions.tobytes())}
    with client_of(folder) as client:
        answer = client.post("/api/labels", data={"cell": cell, "accept": "1"}, files=drawing)
    assert answer.status_code == 200, answer.text
    with ProjectReader.open(folder) as project:
        label = project.label(cell)
    assert label.valid.all() and np.array_equal(label.value[..., 0], regions == 0)


def test_a_drawing_keeps_the_classes_that_its_label_knows(folder):
    cell = cell_in(folder, "labelled", "semseg")
    with ProjectReader.open(folder) as project:
        assert project.label(cell).annotated is None
        project.change_task("semseg", classes=["hat"])
        assert project.label(cell).annotated.tolist() == [True] * 4 + [False]
    image, _, task = cell.rpartition(":")
    form = {"cell": cell, "accept": "true"}
    with client_of(folder) as client:
        address = {"image": image, "task": task}
        answer = client.get("/picture/regions", params=address)
        assert json.loads(answer.content.partition(b"\n")[0])["known"] == list(CLASSES)
        hat = drawing_of(folder, cell, 4)
        before = history_of(folder, cell)
        for known in ([], list(CLASSES)):
            refused = client.post("/api/labels", data={**form, "known": known}, files=hat)
            assert refused.status_code == 400 and "shows hat" in refused.json()["what"]
        wrong = client.post("/api/labels", data={**form, "known": ["bed"]}, files=hat)
        assert wrong.status_code == 400 and "no class 'bed'" in wrong.json()["what"]
        assert history_of(folder, cell) == before
        drawn = drawing_of(folder, cell, 1)
        written = client.post("/api/drawings", data={"cell": cell}, files=drawn)
        assert b"annotated" in written.content
        assert client.post("/api/labels", data=form, files=drawn).status_code == 200
        with ProjectReader.open(folder) as project:
            assert project.label(cell).annotated.tolist() == [True] * 4 + [False]
        few = {**form, "known": ["wall", "floor"]}
        assert client.post("/api/labels", data=few, files=drawn).status_code == 200
        with ProjectReader.open(folder) as project:
            assert project.label(cell).annotated.tolist() == [True] * 2 + [False] * 3
        whole = {**form, "complete": "true"}
        assert client.post("/api/labels", data=whole, files=hat).status_code == 200
        answer = client.get("/picture/regions", params=address)
        assert json.loads(answer.content.partition(b"\n")[0])["known"] is None
    with ProjectReader.open(folder) as project:
        assert project.label(cell).annotated is None


@pytest.mark.parametrize(("sent", "kept"), [("model", "model"), ("nothing", "nothing"), ("", None)])
def test_the_event_keeps_what_was_shown_while_a_label_was_drawn(folder, sent, kept):
    cell = cell_in(folder, "missing", "semseg")
    form = {"cell": cell, "accept": "true", "hint": sent}
    with client_of(folder) as client:
        wrong = client.post(
            "/api/labels", data=form | {"hint": "x"}, files=drawing_of(folder, cell)
        )
        answer = client.post("/api/labels", data=form, files=drawing_of(folder, cell))
    assert (wrong.status_code, answer.status_code) == (422, 200)
    assert [event["hint"] for event in history_of(folder, cell)] == [kept]


@pytest.mark.parametrize("name", ["my label.png", "../../etc/ä <b>.png", "C:\\photos\\mine.PNG"])
def test_a_wrong_file_is_named_as_its_user_named_it(folder, name):
    cell = cell_in(folder, "missing", "semseg")
    with client_of(folder) as client:
        for content in (b"no picture", file_of(folder, cell, (7, 7))["file"][1]):
            answer = client.post(
                "/api/labels", data={"cell": cell}, files={"file": (name, content)}
            )
            assert answer.status_code == 422, answer.text
            said = " ".join(answer.json().values())
            assert name.replace("\\", "/").rpartition("/")[2].lower() in said.lower()
            assert "/tmp" not in said and "labelgrid-" not in said


def test_a_cell_of_a_dropped_task_is_not_found_on_any_page(folder):
    cell = cell_in(folder, "labelled", "semseg")
    image = cell.rpartition(":")[0]
    drawing = drawing_of(folder, cell)
    with ProjectReader.open(folder) as project:
        project.drop_task("semseg")
    form = {"cell": cell, "seconds": "1", "accept": "true"}
    named = {"image": image, "task": "semseg"}
    with client_of(folder) as client:
        answers = [
            client.get("/brush", params={"cell": cell}),
            client.post("/api/drawings", data=form, files=drawing),
            client.post("/api/labels", data=form, files=drawing),
            *(client.get(f"/picture/{name}", params=named) for name in PICTURES),
        ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
