"""A study in the browser: verdicts, curves and runs of its report, with charts that the page's policy allows."""

import re

import pytest

from labelgrid.lab.reports.study_data import study_report
from labelgrid.lab.simulation.run_study import run_study
from tests.pages import client_of
from tests.studies import study_request


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study of two strategies and one seed."""
    place = tmp_path_factory.mktemp("study")
    assert not run_study(study_request(place)).failed
    return place / "out"


def test_a_study_shows_its_curves_and_runs(folder):
    with client_of(folder) as client:
        page = client.get("/", headers={"Accept": "text/html"})
        addresses = re.findall(r'src="(/picture/study/[^"]+)"', page.text)
        assert addresses and "data:" not in page.text and "Learning curves" in page.text
        kinds = {}
        for address in addresses:
            picture = client.get(address)
            kinds[picture.headers["content-type"]] = picture.content
        assert client.get("/", headers={"Accept": "text/html"}).text == page.text
        assert client.get("/picture/study/none").status_code == 404
    assert b"<svg" in kinds["image/svg+xml"] and kinds["image/jpeg"].startswith(b"\xff\xd8")
    for run in study_report(folder).runs:
        assert run.key in page.text


def test_a_program_reads_the_numbers_of_a_study(folder):
    with client_of(folder) as client:
        values = client.get("/api/study").json()
        assert client.get("/grid").status_code == 404
    assert values
