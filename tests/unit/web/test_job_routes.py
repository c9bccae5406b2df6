"""The API of jobs: a program starts, reads and stops one; a form does the same and leads to its page."""

import json
import zipfile

import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.web import jobs
from tests.jobs import stopped_afterwards, wait_until
from tests.pages import client_of, labelled_project

COVERS = ["labelgrid.web.job_forms"]
PAGE = {"Accept": "text/html"}


@pytest.fixture
def folder(tmp_path):
    with stopped_afterwards(labelled_project(tmp_path)) as made:
        yield made


def wait_for_end(folder):
    with ProjectReader.open(folder) as project:
        wait_until(lambda: jobs.active(project) is None)


def test_a_program_starts_a_job_and_reads_its_end(folder):
    with client_of(folder) as client:
        assert client.get("/api/jobs").json() == []
        answer = client.post("/api/jobs", json={"command": "audit"})
        assert answer.status_code == 201 and answer.json()["number"] == 1
        wait_for_end(folder)
        job = client.get("/api/jobs/1").json()
        assert client.post("/api/jobs/1/stop").status_code == 409
        assert client.get("/api/jobs/2").status_code == 404
        described = client.get("/api/openapi.json").json()["paths"]
    assert job["state"] == "ended" and "audit.csv" in job["log"]
    assert {"/api/jobs", "/api/jobs/{number}", "/api/jobs/{number}/stop", "/api/advice"} <= set(
        described
    )


def test_a_form_starts_a_job_and_leads_to_its_page(folder):
    with client_of(folder) as client:
        answer = client.post("/api/job-form/start/export", data={"epochs": ""})
        assert answer.status_code == 303 and answer.headers["location"] == "/jobs/1"
        wait_for_end(folder)
        late = client.post("/api/job-form/stop/1", headers=PAGE)
    assert late.status_code == 409 and 'href="/jobs/1"' in late.text


@pytest.mark.parametrize(
    ("command", "form"),
    [
        ("query", {}),
        ("query", {"budget": "many"}),
        ("fit", {"epochs": "-1"}),
        ("serve", {}),
        ("fit;ls", {}),
        ("import", {"round": "../.."}),
        ("import", {"round": "1"}),
    ],
)
def test_a_wrong_form_starts_nothing(folder, command, form):
    with client_of(folder) as client:
        answer = client.post(f"/api/job-form/start/{command}", data=form, headers=PAGE)
        assert answer.status_code in (400, 422) and "That did not work" in answer.text
        assert client.get("/api/jobs").json() == []


def test_other_sites_start_nothing(folder):
    with client_of(folder) as client:
        for path in ("/api/jobs", "/api/job-form/start/fit", "/api/jobs/import"):
            answer = client.post(path, headers={"Origin": "http://evil.example"})
            assert answer.status_code == 403


def test_a_file_that_is_sent_is_imported(folder, tmp_path):
    with ProjectReader.open(folder) as project:
        request = tmp_path / "request"
        project.export(request)
        made = tmp_path / "made"
        wanted = json.loads((request / "manifest.json").read_text())
        for row in wanted:
            source = next((made / "labels" / row["task"]).glob(f"{row['image'].split('.')[0]}*"))
            target = request / row["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    packed = tmp_path / "answer.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in request.rglob("*"):
            archive.write(path, path.relative_to(request))
    with client_of(folder) as client:
        answer = client.post(
            "/api/job-form/import",
            files={"file": ("a.zip", packed.read_bytes())},
            data={"format": "folder"},
        )
        assert answer.headers["location"] == "/jobs/1"
        wait_for_end(folder)
        job = client.get("/api/jobs/1").json()
        page = client.get("/jobs/1", headers=PAGE).text
        picture = client.get("/picture/import?job=1")
        twice = client.post("/api/job-form/import", files={"file": ("a.json", b"{}")})
        assert twice.headers["location"] == "/jobs/2"
        wait_for_end(folder)
        failed = client.get("/jobs/2", headers=PAGE).text
        refused = client.post("/api/jobs/import", files={"file": ("a.py", b"print()")})
    assert job["state"] == "ended", job["log"]
    assert job["line"].endswith("/sent/a.zip --format folder")
    assert 'src="/picture/import?job=1"' in page and "/picture/import" not in failed
    assert picture.status_code == 200 and picture.headers["content-type"] == "image/png"
    told = failed.partition('class="card problem fault">')[2].partition(".")[0]
    assert told and failed.count(told) == 1
    assert refused.status_code == 400 and ".zip" in refused.json()["what"]
    with ProjectReader.open(folder) as project:
        assert not list(project.cells(state="requested"))


def test_the_advice_for_a_budget_is_that_of_the_command(folder):
    with client_of(folder) as client, ProjectReader.open(folder) as project:
        advised = client.get("/api/advice?budget=30").json()
        texts = [advice.text for advice in project.advise(budget=30).advice]
        assert client.get("/api/advice?budget=nan").status_code == 422
    assert advised["budget"] == 30 and [row["text"] for row in advised["advice"]] == texts
