"""The application: errors are a page for browsers and JSON for programs."""

import pytest

from labelgrid.errors import LabelgridError
from labelgrid.web.app import build_app
from tests.pages import client_of, labelled_project


def test_an_error_is_a_page_for_browsers_and_json_for_programs(tmp_path):
    with client_of(labelled_project(tmp_path, n=5)) as client:
        page = client.get("/grid?task=nothing", headers={"Accept": "text/html,*/*"})
        values = client.get("/api/images?task=nothing")
    assert page.status_code == values.status_code == 404
    assert "<h1>That did not work</h1>" in page.text
    assert values.json()["what"] == "There is no task 'nothing'."
    assert set(values.json()) == {"what", "where", "next_step", "unchanged"}


def test_a_folder_without_a_project_is_refused_at_once(tmp_path):
    with pytest.raises(LabelgridError):
        build_app(tmp_path)
