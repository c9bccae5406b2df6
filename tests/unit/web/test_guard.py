"""Who is let in, and the headers of each answer."""

import pytest

from labelgrid.web.guard import COOKIE, Access
from tests.pages import cell_in, client_of, labelled_project

TOKEN = "secret-token"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return labelled_project(tmp_path_factory.mktemp("guard"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost", "[::1]:8000", "LOCALHOST:1", "127.0.0.2:80"]
)
def test_names_of_this_machine_are_answered(folder, host):
    with client_of(folder) as client:
        assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "127.0.0.1:80@evil.example",
        "127.0.0.1, evil.example",
        "localhost:x",
        "",
    ],
)
def test_other_names_are_refused_without_a_token(folder, host):
    with client_of(folder) as client:
        answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 421 and "localhost" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8000"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_changes_from_another_site_are_refused(folder, headers):
    cell = cell_in(folder, "labelled")
    with client_of(folder) as client:
        answer = client.post("/api/cells/unlabel", json={"cells": [cell]}, headers=headers)
        assert answer.status_code == 403 and "Nothing was changed" in answer.text
    assert cell_in(folder, "labelled") == cell


def test_changes_from_the_page_or_a_program_are_made(tmp_path):
    folder = labelled_project(tmp_path)
    for headers in ({"Origin": "http://127.0.0.1:8000"}, {"Sec-Fetch-Site": "same-origin"}, {}):
        with client_of(folder) as client:
            body = {"cells": [cell_in(folder, "labelled")]}
            answer = client.post("/api/cells/unlabel", json=body, headers=headers)
        assert answer.status_code == 200 and answer.json()["changed"] == body["cells"]


def test_a_token_lets_in_from_any_name_and_nothing_else_does(folder):
    with client_of(folder, Access(token=TOKEN), "http://lab.example") as client:
        for wrong in ("/", "/api/status", "/static/page.css", "/?token=wrong", "/?token=\xe4"):
            assert client.get(wrong).status_code == 401
        header = {"Authorization": f"Bearer {TOKEN}"}
        assert client.get("/api/status", headers=header).status_code == 200
        opened = client.get(f"/grid?state=labelled&token={TOKEN}")
        assert opened.status_code == 303 and opened.headers["location"] == "/grid?state=labelled"
        assert f"{COOKIE}-80" in client.cookies
        kept = opened.headers["set-cookie"]
        assert "HttpOnly" in kept and "samesite=strict" in kept.lower()
        assert client.get("/").status_code == 200
        again = client.get(f"/grid?token={TOKEN}")
        assert again.status_code == 303 and again.headers["location"] == "/grid"


def test_the_cookie_is_not_the_token_and_ends_with_its_server(folder):
    access = Access(token=TOKEN)
    with client_of(folder, access) as client:
        client.get(f"/?token={TOKEN}")
        kept = dict(client.cookies)
        assert len(kept) == 1 and TOKEN not in kept.values()
        session = next(iter(kept.values()))
        assert client.get("/", headers={"Authorization": f"Bearer {session}"}).status_code == 401
    with client_of(folder, access) as client:
        client.cookies.update(kept)
        assert client.get("/").status_code == 401


def test_a_refusal_names_what_lets_in(folder):
    with client_of(folder, Access(token=TOKEN)) as client:
        refused = client.get("/")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert "printed" in refused.text and "Authorization: Bearer" in refused.text


def test_two_pages_on_two_ports_keep_their_tokens(folder):
    with client_of(folder, Access(token=TOKEN), "http://lab.example:8001") as client:
        client.get(f"/?token={TOKEN}")
        assert list(client.cookies) == [f"{COOKIE}-8001"]
        assert client.get("/", headers={"Host": "lab.example:8002"}).status_code == 401


def test_a_token_in_the_address_changes_nothing(folder):
    cell = cell_in(folder, "labelled")
    with client_of(folder, Access(token=TOKEN)) as client:
        answer = client.post(f"/api/cells/unlabel?token={TOKEN}", json={"cells": [cell]})
    assert answer.status_code == 401


def test_an_address_with_a_token_leads_to_no_other_site(folder):
    with client_of(folder, Access(token=TOKEN)) as client:
        for path in ("//evil.example", "/\\evil.example", "//evil.example/%2e%2e"):
            answer = client.get(f"{path}?token={TOKEN}")
            place = answer.headers.get("location", "/")
            assert place.startswith("/") and not place.startswith(("//", "/\\"))


def test_every_answer_has_the_headers(folder):
    with client_of(folder) as client:
        for path in ("/", "/nothing", "/api/status", "/static/page.js", "/grid?state=none"):
            headers = client.get(path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cross-origin-resource-policy"] == "same-origin"
        refused = client.get("/", headers={"Host": "evil.example"})
        assert "content-security-policy" in refused.headers
