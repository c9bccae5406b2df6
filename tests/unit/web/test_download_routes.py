"""Requests are exported for a tool, downloaded as a zip file, and answered next."""

import io
import os
from zipfile import ZipFile

import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.web import jobs
from labelgrid.web.exports import current_exports, sending_tools
from tests.jobs import stopped_afterwards, wait_until
from tests.pages import cell_in, client_of, labelled_project

COVERS = ["labelgrid.web.exports"]
PAGE = {"Accept": "text/html"}


@pytest.fixture
def folder(tmp_path):
    with stopped_afterwards(labelled_project(tmp_path)) as made:
        yield made


def wait_for_end(folder):
    with ProjectReader.open(folder) as project:
        wait_until(lambda: jobs.active(project) is None)


def test_the_tools_are_those_that_requests_can_be_sent_to():
    assert sending_tools()[0] == "folder" and "voc" not in sending_tools()
    assert {"coco", "cvat", "label_studio"} <= set(sending_tools())


def test_what_was_exported_is_downloaded_and_its_answers_come_next(folder):
    task = cell_in(folder, "requested").rpartition(":")[2]
    with client_of(folder) as client:
        page = client.get("/", headers=PAGE).text
        assert '<button class="main">Export the requests' in page and "/download" not in page
        form = {"to": "folder", "task": task}
        assert client.post("/api/job-form/start/export", data=form).status_code == 303
        wait_for_end(folder)
        page = client.get("/jobs/1", headers=PAGE).text
        assert 'href="/download/job/1"' in page
        overview = client.get("/", headers=PAGE).text
        answer = client.get("/download/job/1")
    assert 'class="button main" href="/jobs#import">Import answers' in overview
    assert 'class="main">Export' not in overview and "/download/job/1" in overview
    assert "flat-job-1.zip" in answer.headers["content-disposition"]
    with ZipFile(io.BytesIO(answer.content)) as archive:
        names = archive.namelist()
    assert "manifest.json" in names and any(name.startswith("images/") for name in names)


def test_an_export_counts_until_a_further_request(folder):
    request = folder / "rounds/0002/request"
    with ProjectReader.open(folder) as project:
        assert current_exports(project) == []
        project.export()  # as in a terminal
        (found,) = current_exports(project)
        assert found.address == "/download/round/2" and "round 2" in found.name
        os.utime(request, (0, 0))  # and later another request
        assert current_exports(project) == []


def test_nothing_else_of_the_project_or_the_machine_is_sent(folder, tmp_path):
    (folder / "rounds/0001").mkdir(exist_ok=True)
    (folder / "rounds/0001/request").symlink_to(tmp_path)
    with client_of(folder) as client:
        for address in ("round/7", "job/1", "round/-1"):
            assert client.get(f"/download/{address}").status_code == 404
        for address in ("../1", "labels/1", "round/..%2f.."):
            assert client.get(f"/download/{address}").status_code in (404, 422)
        answer = client.get("/download/round/1")
    assert answer.status_code in (400, 404) and "leads out of the project" in answer.text
