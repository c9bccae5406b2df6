"""Errors are a page for browsers and JSON for programs, whatever was asked."""

import pytest

from tests.pages import client_of, labelled_project

BROWSER = {"Accept": "text/html,*/*"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return labelled_project(tmp_path_factory.mktemp("faults"), n=5)


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/grid?task=nothing", 404, "There is no task 'nothing'."),
        ("/grid?state=gone", 400, "There is no state 'gone'."),
        ("/grid?page=", 422, "query.page"),
        ("/grid?page=99999999999999999999", 422, "query.page"),
        (f"/grid?round={'9' * 5000}", 422, "query.round"),
        ("/image", 422, "query.image"),
        ("/image?image=nothing", 404, "nothing"),
        ("/nothing", 404, "There is nothing at this address."),
        ("/static/nothing.js", 404, "There is nothing at this address."),
        ("/static/../app.py", 404, "There is nothing at this address."),
        ("/api/cells/unlabel", 405, "Method Not Allowed."),
    ],
)
def test_an_error_is_a_page_for_browsers_and_json_for_programs(folder, path, status, text):
    with client_of(folder) as client:
        page = client.get(path, headers=BROWSER)
        values = client.get(path)
    assert page.status_code == values.status_code == status
    assert "<h1>That did not work</h1>" in page.text
    assert text in values.json()["what"]
    assert set(values.json()) == {"what", "where", "next_step", "unchanged"}


def test_a_file_in_place_of_a_form_field_is_refused_without_its_content(folder):
    with client_of(folder) as client:
        answer = client.post("/api/form/unlabel", files={"cell": ("a.png", b"secret")})
    assert answer.status_code == 422 and "secret" not in answer.text
    assert answer.json()["what"].startswith("body.cell")


def test_a_damaged_ledger_is_no_wrong_request(tmp_path):
    folder = labelled_project(tmp_path, n=5)
    with client_of(folder) as client:
        for path in folder.glob("labelgrid.db*"):
            path.write_bytes(b"damaged" * 1000)
        answer = client.get("/api/status")
    assert answer.status_code == 503 and "The ledger cannot be used" in answer.json()["what"]
