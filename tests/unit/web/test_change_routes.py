"""What the buttons change, as requests of the API and as forms."""

import json
import math

import pytest

from labelgrid.api.reader import ProjectReader
from tests.pages import cell_in, client_of, labelled_project, take_back

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def folder(tmp_path):
    return labelled_project(tmp_path)


def state_of(folder, cell):
    with ProjectReader.open(folder) as project:
        rows = {f"{row['image']}:{row['task']}": row["state"] for row in project.cells()}
    return rows[cell]


def test_a_label_is_taken_back_and_a_request_cancelled(folder):
    for action, before in (("unlabel", "labelled"), ("cancel", "requested")):
        cell = cell_in(folder, before)
        with client_of(folder) as client:
            answer = client.post(f"/api/cells/{action}", json={"cells": [cell]})
            history = client.get("/api/history", params={"cell": cell}).json()
        assert answer.json() == {"changed": [cell]} and state_of(folder, cell) == "missing"
        assert history[-1]["after"] == "missing" and history[-1]["command"] == action


def test_a_form_does_the_same_and_leads_back(folder):
    cell = cell_in(folder, "labelled")
    with client_of(folder) as client:
        form = {"cell": cell, "back": "/image?image=x", "seen": "999999"}
        answer = client.post("/api/form/unlabel", data=form)
        assert answer.status_code == 303 and answer.headers["location"] == "/image?image=x&done=1"
        form = {"cell": cell_in(folder, "requested"), "back": "//evil.example"}
        answer = client.post("/api/form/cancel", data=form)
    assert answer.headers["location"] == "/evil.example?done=1"
    assert state_of(folder, cell) == "missing"


def test_a_cell_that_somebody_else_changed_since_is_a_conflict(folder):
    cell = cell_in(folder, "labelled")
    with client_of(folder) as client:
        seen = client.get("/api/history", params={"cell": cell}).json()[-1]["event"]
        take_back(folder, cell)
        body = {"cells": [cell], "seen": {cell: seen}}
        answer = client.post("/api/cells/unlabel", json=body)
        page = client.post(
            "/api/form/unlabel", data={"cell": cell, "seen": seen}, headers={"Accept": "text/html"}
        )
    assert answer.status_code == 409 and "it became missing" in answer.json()["what"]
    assert page.status_code == 409 and "That is not possible any more" in page.text


def test_the_fitting_cells_of_chosen_images_are_changed(folder):
    with ProjectReader.open(folder) as project:
        rows = project.cells()
        seen = project.disk.store.last_event()
    images = sorted({row["image"] for row in rows if row["split"] == "train"})
    missing = [row for row in rows if row["image"] in images and row["state"] == "missing"]
    form = {"image": images, "task": "depth", "seen": seen, "back": "/grid?page=1"}
    depths = [row for row in missing if row["task"] == "depth"]
    with client_of(folder) as client:
        answer = client.post("/api/form/request", data=form)
        assert answer.headers["location"] == f"/grid?page=1&done={len(depths)}"
        again = client.post("/api/form/request", data=form)
        assert again.status_code == 400 and "No missing cell" in again.json()["what"]
        conflict = client.post("/api/form/skip", data=form)
        assert conflict.status_code == 409  # they were requested since
        form |= {"seen": 10**9, "why": "too dark"}
        assert client.post("/api/form/skip", data=form).status_code == 303
    cell = f"{depths[0]['image']}:depth"
    with ProjectReader.open(folder) as project:
        assert project.cell(cell).history()[-1]["why"] == "too dark"
        assert len(project.cells(state="missing", task="normals")) > 0


def test_images_are_held_out(tmp_path):
    folder = labelled_project(tmp_path)
    with ProjectReader.open(folder) as project:
        first, second, *_ = [
            r["image"] for r in project.cells(task="depth") if r["split"] == "train"
        ]
    with client_of(folder) as client:
        answer = client.post("/api/images/hold-out", json={"images": [first]})
        assert answer.json() == {"held_out": [first]}
        form = {"image": [first, second]}
        assert client.post("/api/form/hold-out", data=form).headers["location"] == "/?done=1"
        page = client.get("/grid?split=heldout&done=1")
    assert first in page.text and second in page.text and "Done: 1 changed." in page.text


def test_a_refused_form_leads_back_to_the_page_that_it_came_from(folder):
    form = {"cell": cell_in(folder, "requested"), "back": "/image?image=x&task=y"}
    with client_of(folder) as client:
        page = client.post("/api/form/unlabel", data=form, headers={"Accept": "text/html"})
    assert page.status_code == 409 and "is requested, not labelled" in page.text
    assert 'href="/image?image=x&amp;task=y">Load the page again' in page.text


def test_a_body_that_is_too_long_is_cut_off(folder):
    parts = iter([b"x" * 2**20] * 65)  # an iterator, so its length is not told
    with client_of(folder) as client:
        answer = client.post("/api/cells/unlabel", content=parts, headers=JSON)
    assert answer.status_code == 413 and answer.json()["what"] == "A request has at most 64 MB."


@pytest.mark.parametrize(
    ("action", "body", "status"),
    [
        ("unlabel", {"cells": ["nothing:depth"]}, 404),
        ("unlabel", {"cells": []}, 400),
        ("unlabel", {"cells": ["x:depth"] * 10_001}, 422),
        ("unlabel", {"cells": ["x:depth"], "seen": dict.fromkeys(map(str, range(10_001)), 1)}, 422),
        ("unlabel", {"cells": [math.nan]}, 422),
        ("unlabel", {"cells": [{"\ud800": 1}]}, 422),
        ("unlabel", {"cells": ["x"]}, 404),
        ("unlabel", {"cells": "x"}, 422),
        ("unlabel", {}, 422),
        ("erase", {"cells": ["x:depth"]}, 422),
        ("cancel", {"cells": ["../../etc/passwd:depth"]}, 404),
        ("cancel", {"cells": ["\ud800:depth"]}, 404),
        ("cancel", {"cells": ["x\x00:depth"]}, 400),
    ],
)
def test_a_wrong_change_is_refused_and_nothing_changes(folder, action, body, status):
    with ProjectReader.open(folder) as project:
        before = project.cells()
    with client_of(folder) as client:
        answer = client.post(f"/api/cells/{action}", content=json.dumps(body), headers=JSON)
    assert answer.status_code == status
    with ProjectReader.open(folder) as project:
        assert project.cells() == before


def test_of_several_cells_all_change_or_none(folder):
    cell = cell_in(folder, "labelled")
    with client_of(folder) as client:
        body = {"cells": [cell, cell_in(folder, "requested")]}
        assert client.post("/api/cells/unlabel", json=body).status_code == 409
    assert state_of(folder, cell) == "labelled"
