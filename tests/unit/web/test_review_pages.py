"""The pages of review in HTML: a round, suspect labels, and the picture of a refused import."""

import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.audit.suspects import suspects
from tests.pages import client_of, labelled_project, suspicious_project


def read(client, address):
    answer = client.get(address, headers={"Accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return answer.text


def test_a_round_shows_its_picks_with_reasons(tmp_path):
    with client_of(labelled_project(tmp_path)) as client:
        assert 'href="/round?number=2"' in read(client, "/")
        page = read(client, "/round?number=2")
        labelled = read(client, "/round?number=1")
        assert client.get("/round?number=9").status_code == 404
        assert client.get("/round").status_code == 422
    assert page.count("/picture/image") in (1, 2) and "2 open" in page and "random cell" in page
    assert labelled.count("/picture/image") == 2 and labelled.count("/picture/label") == 6
    assert "score" not in page  # that of a random pick means nothing


def test_suspects_are_found_right_or_taken_back(tmp_path):
    folder = suspicious_project(tmp_path)
    with client_of(folder) as client, ProjectReader.open(folder) as project:
        assert "No audit has looked" in read(client, "/suspects")
        project.audit()
        first, second, *rest = suspects(project.disk)
        page = read(client, "/suspects")
        assert page.count("It is right") == len(rest) + 2 and first.reasons[0][:20] in page
        for action, label in (("confirm", first), ("unlabel", second)):
            form = {"cell": f"{label.image}:{label.task}", "back": "/suspects?page=1"}
            answer = client.post(f"/api/form/{action}", data=form)
            assert answer.headers["location"] == "/suspects?page=1&done=1"
        assert suspects(project.disk) == rest
        cells = [f"{label.image}:{label.task}" for label in rest]
        assert client.post("/api/cells/confirm", json={"cells": cells}).status_code == 200
        assert "Nothing speaks against" in read(client, "/suspects")


@pytest.mark.parametrize("content", [b"", b"\x89PNG"])
def test_a_refused_import_is_shown_by_its_picture(tmp_path, content):
    folder = labelled_project(tmp_path)
    with client_of(folder) as client:
        assert client.get("/picture/refused-import").status_code == 404
        (folder / "import-suspicious.png").write_bytes(content)
        assert "An import was refused" in read(client, "/suspects")
        picture = client.get("/picture/refused-import")
        assert picture.content == content and picture.headers["content-type"] == "image/png"
        (folder / "import-suspicious.png").unlink()
        (folder / "import-suspicious.png").symlink_to("/etc/hostname")
        assert client.get("/picture/refused-import").status_code == 404


def test_a_report_opens_here_and_may_run_and_load_nothing(tmp_path):
    folder = labelled_project(tmp_path)
    path = folder / "report.html"
    with client_of(folder) as client:
        assert client.get("/report").status_code == 404
        assert 'href="/report"' not in read(client, "/jobs") + read(client, "/")
        path.write_text("<h1>flat</h1><script>alert(1)</script>")
        answer = client.get("/report")
        assert answer.status_code == 200 and "<h1>flat" in answer.text
        policy = answer.headers.get_list("content-security-policy")
        assert len(policy) == 1 and "sandbox" in policy[0] and "script" not in policy[0]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert 'href="/report"' in read(client, "/jobs") and 'href="/report"' in read(client, "/")
        path.unlink()
        path.symlink_to("/etc/passwd")
        assert client.get("/report").status_code == 404
        assert 'href="/report"' not in read(client, "/jobs")


def test_each_page_bears_its_projects_name_and_says_what_colours_mean(tmp_path):
    folder = suspicious_project(tmp_path).rename(tmp_path / "kitchens <1>")
    with client_of(folder) as client, ProjectReader.open(folder) as project:
        project.audit()
        name = suspects(project.disk)[0].task
        for address in ("/", "/grid", "/classes", "/jobs", "/suspects", "/undo"):
            page = read(client, address)
            assert " · kitchens &lt;1&gt; · labelgrid</title>" in page
            assert ">kitchens &lt;1&gt;</span>" in page
        for address in ("/suspects", f"/grid?over=label/{name}", "/round?number=1"):
            assert "What the colours mean" in read(client, address)
        assert "What the colours mean" not in read(client, "/grid")
