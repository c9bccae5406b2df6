"""The picks of a dry run are shown, and exactly these are requested, if no cell changed since."""

import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.rounds.proposal import read_proposal
from tests.jobs import stopped_afterwards, wait_until
from tests.pages import cell_in, client_of, labelled_project, take_back

HTML = {"Accept": "text/html"}
DRY = {"command": "query", "budget": 3, "dry_run": True, "new": True}


@pytest.fixture
def folder(tmp_path):
    with stopped_afterwards(labelled_project(tmp_path)) as made:
        yield made


def ended(client, number):
    wait_until(lambda: client.get(f"/api/jobs/{number}").json()["ended"])
    return client.get(f"/api/jobs/{number}").json()


def requested(folder):
    with ProjectReader.open(folder) as project:
        rows = project.cells(state="requested")
    return {(row["image"], row["task"]) for row in rows}


def test_exactly_the_shown_picks_are_requested(folder):
    before = requested(folder)
    with client_of(folder) as client:
        number = client.post("/api/jobs", json=DRY).json()["number"]
        assert ended(client, number)["state"] == "ended" and requested(folder) == before
        picks = read_proposal(folder / "jobs/0001/picks.json").picks
        page = client.get("/jobs/1", headers=HTML).text
        assert "3 picks, nothing requested yet" in page and "Request exactly these" in page
        assert all(pick.cell.image_id in page for pick in picks)
        answer = client.post("/api/job-form/request/1")
        assert (answer.status_code, answer.headers["location"]) == (303, "/jobs/2")
        assert ended(client, 2)["state"] == "ended", client.get("/api/jobs/2").json()["log"]
        cells = {(pick.cell.image_id, pick.cell.task) for pick in picks}
        assert requested(folder) - before == cells and len(cells) == 3
        assert "A cell changed since" in client.get("/jobs/1", headers=HTML).text
        assert client.post("/api/jobs/1/request").status_code == 409


def test_picks_of_a_pool_that_changed_are_refused_and_nothing_starts(folder):
    with client_of(folder) as client:
        ended(client, client.post("/api/jobs", json=DRY).json()["number"])
        take_back(folder, cell_in(folder, "labelled"))
        before = requested(folder)
        answer = client.post("/api/jobs/1/request")
        assert answer.status_code == 409
        assert answer.json()["unchanged"] == "Nothing was requested."
        page = client.post("/api/job-form/request/1", headers=HTML)
        assert page.status_code == 409 and 'href="/jobs/1"' in page.text
        assert client.post("/api/jobs/2/request").status_code == 404
        assert requested(folder) == before and len(client.get("/api/jobs").json()) == 1
