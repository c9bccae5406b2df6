"""The last operation is undone from the page, after a question, if nothing else happened since."""

import pytest

from labelgrid.api.reader import ProjectReader
from tests.pages import cell_in, client_of, labelled_project, take_back

HTML = {"Accept": "text/html"}


@pytest.fixture
def folder(tmp_path):
    return labelled_project(tmp_path)


def states(folder):
    with ProjectReader.open(folder) as project:
        return [(row["image"], row["task"], row["state"]) for row in project.cells()]


def test_the_overview_names_what_can_be_undone_and_a_page_asks_before(folder):
    before = states(folder)
    with client_of(folder) as client:
        take_back(folder, cell_in(folder, "labelled"))
        overview = client.get("/", headers=HTML).text
        assert ">Undo: unlabel (1 cell from labelled to missing)</a>" in overview
        question = client.get("/undo", headers=HTML).text
        assert "Undo unlabel?" in question and "1 cell becomes labelled again." in question
        assert states(folder) != before
        number = client.get("/api/undo").json()["operation"]["id"]
        assert f'name="operation" value="{number}"' in question
        answer = client.post("/api/undo-form", data={"operation": number})
        assert (answer.status_code, answer.headers["location"]) == (303, "/?done=1")
        assert states(folder) == before
        assert "Done: 1 changed." in client.get("/?done=1", headers=HTML).text
        assert "Undo: query (2 cells from missing to requested)" in client.get("/").text


def test_what_happened_in_between_is_a_conflict_and_nothing_is_undone(folder):
    with client_of(folder) as client:
        number = client.get("/api/undo").json()["operation"]["id"]
        take_back(folder, cell_in(folder, "labelled"))
        before = states(folder)
        answer = client.post("/api/undo", json={"operation": number})
        assert answer.status_code == 409
        assert f"Operation {number} is not the last one any more" in answer.json()["what"]
        assert answer.json()["unchanged"] == "Nothing was undone."
        page = client.post("/api/undo-form", data={"operation": number}, headers=HTML)
        assert page.status_code == 409 and 'href="/undo"' in page.text
        assert states(folder) == before
        undone = client.post("/api/undo", json={"operation": number + 1}).json()
        assert undone["cells"]["labelled"] == 1 and not undone["dry_run"]
        assert client.post("/api/undo", json={"operation": number + 1}).status_code == 409


def test_without_something_to_undo_there_is_no_button(folder):
    with client_of(folder) as client:
        while client.get("/api/undo").status_code == 200:
            number = client.get("/api/undo").json()["operation"]["id"]
            client.post("/api/undo", json={"operation": number}).raise_for_status()
        assert "Undo:" not in client.get("/").text
        refused = client.get("/undo", headers=HTML)
        assert refused.status_code == 404 and "&#39;init&#39;" in refused.text
