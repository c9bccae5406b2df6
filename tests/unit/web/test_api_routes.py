"""The API: what a program reads."""

import json

import pytest

from labelgrid.api.reader import ProjectReader
from tests.pages import client_of, labelled_project


@pytest.fixture
def folder(tmp_path):
    return labelled_project(tmp_path)


def test_the_status_and_the_images_are_those_of_the_project(folder):
    with client_of(folder) as client, ProjectReader.open(folder) as project:
        assert client.get("/api/status").json() == json.loads(json.dumps(project.status()))
        images = client.get("/api/images").json()
        cells = {(row["image"], row["task"]): row["state"] for row in project.cells()}
    assert images["total"] == 8 and images["page"] == 1
    for image in images["images"]:
        for task, state in image["states"].items():
            assert cells[image["image"], task] == state


def test_the_api_describes_itself(folder):
    with client_of(folder) as client:
        described = client.get("/api/openapi.json").json()
    assert {"/api/status", "/api/images", "/api/history", "/api/cells/{action}"} <= set(
        described["paths"]
    )
