"""The pages in HTML: what they show, that all text is escaped, and that wrong addresses are told."""

import re

import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.operations.class_rows import class_rows
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import measured_rounds
from tests.pages import cell_in, client_of, labelled_project


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return labelled_project(tmp_path_factory.mktemp("pages"))


def read(client, address):
    answer = client.get(address, headers={"Accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return answer.text


def test_the_overview_says_what_there_is_and_what_comes_next(folder):
    with client_of(folder) as client:
        page = read(client, "/")
    assert "<h1>flat</h1>" in page and "8 images, 2 of them held out" in page
    assert "labelgrid export" in page and "random_images" in page
    assert 'href="/grid?task=depth&amp;state=labelled"' in page
    assert "labels cost" in page and "labels for" not in page
    assert re.search(r"<code>labelgrid export [^<]*</code>, then <code>labelgrid import", page)


def test_the_grid_shows_matching_images_and_keeps_the_filter(folder):
    with client_of(folder) as client:
        page = read(client, "/grid?state=labelled&task=depth&split=train")
        everything = read(client, "/grid")
    assert page.count('loading="lazy"') == 2 and everything.count('loading="lazy"') == 8
    assert "2 images" in page and "<option selected>labelled</option>" in page
    tiles = page.partition('class="tiles ')[2]
    assert "state=labelled" in tiles and tiles.count("&amp;shown=depth&amp;task=depth") == 4


def test_a_page_beyond_the_last_one_is_the_last_one(folder):
    with client_of(folder) as client:
        assert read(client, "/grid?page=99").count('loading="lazy"') == 8


def test_an_image_shows_its_label_its_history_and_what_can_be_done(folder):
    image, _, task = cell_in(folder, "labelled", "semseg").rpartition(":")
    with client_of(folder) as client:
        page = read(client, f"/image?image={image}&shown={task}&state=labelled")
        requested = cell_in(folder, "requested").rpartition(":")
        other = read(client, f"/image?image={requested[0]}&shown={requested[2]}")
    assert 'class="over"' in page and "Take the label back" in page
    assert "<strong>labelled</strong> in round 1" in page and 'fill="#' in page
    assert "Cancel the request" in other and 'class="over"' not in other


def test_the_neighbours_of_an_image_are_those_of_the_grid_that_the_user_came_from(folder):
    with client_of(folder) as client:
        found = client.get("/api/images?state=labelled").json()["images"]
        ids = [row["image"] for row in found]
        page = read(client, f"/image?image={ids[1]}&state=labelled")
        first = read(client, f"/image?image={ids[0]}&state=labelled")
        last = read(client, f"/image?image={ids[-1]}&state=labelled")
    assert f'rel="prev" href="/image?image={ids[0]}' in page
    assert f'rel="next" href="/image?image={ids[2]}' in page
    assert 'rel="prev"' not in first and 'rel="next"' not in last


@pytest.mark.parametrize(
    ("address", "status", "text"),
    [
        ("/grid?state=drawn", 400, "There is no state &#39;drawn&#39;"),
        ("/grid?split=all", 400, "There are: train, heldout"),
        ("/grid?round=-1", 400, "A round is a number"),
        ("/grid?task=nothing", 404, "There is no task"),
        ("/image?image=nothing.jpg", 404, "no image"),
        ("/image?image=../../etc/passwd", 404, "no image"),
        ("/image?image={image}&shown=nothing", 404, "no task"),
    ],
)
def test_a_wrong_address_is_told_on_a_page(folder, address, status, text):
    image = cell_in(folder, "labelled").rpartition(":")[0]
    with client_of(folder) as client:
        answer = client.get(address.format(image=image), headers={"Accept": "text/html"})
    assert answer.status_code == status and text in answer.text
    assert "Traceback" not in answer.text


def test_names_are_escaped_wherever_they_are_shown(tmp_path):
    folder = labelled_project(tmp_path)
    evil = "<script>alert(1)</script>"
    with ProjectFolder.open(folder) as project:
        image = project.store.image(cell_in(folder, "labelled").rpartition(":")[0])
        original = tmp_path / "made" / "images" / image.image_id
        other = original.with_name('"><img src=x onerror=alert(1)>.png')
        other.write_bytes(original.read_bytes())
        named = type(image)(**{**vars(image), "image_id": other.name, "digest": ""})
        project.store.add_images([named])
    with client_of(folder) as client:
        for address in ("/grid", "/grid?name=%22%3E%3Cimg", f"/grid?name={evil}", "/"):
            page = read(client, address)
            assert "<img src=x" not in page and evil not in page
        address = "/image?image=%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E.png"
        assert "<img src=x" not in read(client, address)
        wrong = client.get(f"/grid?state={evil}", headers={"Accept": "text/html"})
        assert evil not in wrong.text


def test_classes_are_listed_with_the_worst_first(tmp_path):
    folder = labelled_project(tmp_path)
    with client_of(folder) as client:
        assert "No network has been measured" in read(client, "/classes")
        with ProjectReader.open(folder) as project:
            project.fit()
            rows = class_rows(measured_rounds(project.folder, newest=2))["semseg"]
        page = read(client, "/classes")
    links = [
        f'/grid?shows=semseg%3A{row.name}&amp;over=label%2Fsemseg">{row.name}</a>' for row in rows
    ]
    places = [page.index(link) for link in links]
    assert places == sorted(places) and "semseg, the worst first" in page
