"""The query of the grid's address."""

import html
import sys

import numpy as np
import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import UsageError
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import State
from labelgrid.ledger.image_pages import ListedImage
from labelgrid.operations.by_hand import hold_out
from labelgrid.project.image_order import neighbours
from labelgrid.project.other_labels import OtherLabel
from labelgrid.score.table import Table
from labelgrid.score.table_files import write_table
from labelgrid.web.grid_page import GridQuery, grid_page, overlays, shown_task
from labelgrid.web.image_page import ImageQuery, image_view
from labelgrid.web.predictions import Predictions
from tests.pages import client_of, labelled_project


def test_an_address_holds_what_differs_from_the_defaults():
    query = GridQuery(task="depth & co", state="labelled", page=3)
    assert query.address(page=4) == "task=depth+%26+co&state=labelled&page=4"
    assert query.address(page=1, task="") == "state=labelled"


def test_a_query_asks_for_images_with_such_a_cell():
    wanted = GridQuery(task="depth", state="skipped", split="heldout", round="2", name="a").filter()
    assert wanted.state == State.SKIPPED and wanted.splits == ("heldout",)
    assert (wanted.task, wanted.round, wanted.name) == ("depth", 2, "a")


@pytest.mark.parametrize("wrong", [{"state": "x"}, {"split": "val"}, {"round": "two"}])
def test_a_wrong_query_is_refused(wrong):
    with pytest.raises(UsageError, match=r"Found|There is no"):
        GridQuery(**wrong).filter()


def test_the_grid_and_the_neighbours_have_the_chosen_order(tmp_path):
    with ProjectReader.open(labelled_project(tmp_path)) as project:
        page = grid_page(project, GridQuery(order="changed"))
        ids = [image.image_id for image in page.matches.images]
        wanted = GridQuery().filter()
        newest = {row["image"]: 0 for row in project.cells()}
        for row in project.cells():
            for event in project.cell(f"{row['image']}:{row['task']}").history():
                newest[row["image"]] = max(newest[row["image"]], event["event"])
        assert ids == sorted(newest, key=lambda image_id: (-newest[image_id], image_id))
        assert page.seen == max(newest.values()) and page.orders == ["changed"]
        around = neighbours(project.disk, wanted, ids[1], order="changed")
        assert around == (ids[0], ids[2])
        assert neighbours(project.disk, wanted, ids[0], order="changed") == ("", ids[1])
        assert neighbours(project.disk, wanted, "unknown", order="changed") == ("", "")
        with pytest.raises(UsageError, match="no order 'beauty'"):
            grid_page(project, GridQuery(order="beauty"))


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({}, ""),
        ({"task": "normals"}, "normals"),
        ({"task": "semseg", "state": "requested"}, "semseg"),
        ({"state": "skipped"}, "normals"),
        ({"state": "labelled"}, "semseg"),
        ({"shows": "depth:near"}, "depth"),
        ({"order": "loss/depth"}, "depth"),
        ({"order": "share/depth:near"}, "depth"),
        ({"task": "dropped"}, ""),
    ],
)
def test_the_page_of_an_image_shows_first_what_was_looked_for(query, shown):
    states = {"semseg": State.LABELLED, "depth": State.MISSING, "normals": State.SKIPPED}
    image = ListedImage(image_id="a.png", split="train", digest="", states=states)
    assert shown_task(GridQuery(**query), image, []) == shown
    assert shown_task(GridQuery(**query), image, ["depth"]) == "depth"  # a suspect comes first


def test_the_grid_shows_the_images_whose_labels_show_a_class_or_are_suspect(tmp_path):
    folder = labelled_project(tmp_path)
    with ProjectReader.open(folder) as project:
        everything = grid_page(project, GridQuery(state="labelled", task="semseg"))
        assert everything.classes == {"semseg": project.tasks["semseg"].class_names}
        query = GridQuery(shows="semseg:ball")
        expected = []
        for image in everything.matches.images:
            label = project.label(f"{image.image_id}:semseg")
            if (label.value[label.valid] == 3).any():
                expected.append(image.image_id)
        page = grid_page(project, query)
        shown = [image.image_id for image in page.matches.images]
        assert shown == expected and page.matches.unread == 0
        for place, image_id in enumerate(shown):
            around = neighbours(
                project.disk, query.filter(), image_id, labels=query.labels(project)
            )
            assert around == ("".join(shown[:place][-1:]), "".join(shown[place + 1 :][:1]))
        assert not page.is_audited
        assert grid_page(project, GridQuery(suspect=True)).matches.total == 0
        project.audit()
        label = project.audit().labels[0]
        line = f"{label.task},{label.image},1,0.5,odd,{label.path},"
        table = f"task,image,place,doubt,reasons,path,confirmed\n{line}\n"
        (folder / "audit.csv").write_text(table)
        query = GridQuery(suspect=True, task=label.task)
        page = grid_page(project, query)
        assert [image.image_id for image in page.matches.images] == [label.image]
        assert page.suspects == {label.image: [label.task]}
        assert page.is_audited and query.address() == f"task={label.task}&suspect=true"
        project.confirm([f"{label.image}:{label.task}"])
        assert grid_page(project, query).matches.total == 0
    with client_of(folder) as client:
        found = client.get("/api/images", params={"shows": "semseg:ball"}).json()
        assert [image["image"] for image in found["images"]] == expected
        text = client.get("/grid?shows=semseg:ball&suspect=true").text
        assert '<option value="semseg:ball" selected>ball</option>' in text
        assert client.get("/grid?shows=semseg:bed").status_code == 400


def test_pages_follow_one_another(tmp_path, monkeypatch):
    monkeypatch.setattr("labelgrid.web.grid_page.COUNT", 3)
    with ProjectReader.open(labelled_project(tmp_path)) as project:
        pages = [grid_page(project, GridQuery(page=number)) for number in (1, 2, 3, 4)]
        ids = [image.image_id for page in pages[:3] for image in page.matches.images]
        assert ids == sorted({row["image"] for row in project.cells()})
    assert [page.query.page for page in pages] == [1, 2, 3, 3] and pages[0].pages == 3


def test_without_the_reader_of_scores_the_grid_and_its_images_say_what_installs_it(
    tmp_path, monkeypatch
):
    folder = labelled_project(tmp_path)
    install = "pip install 'labelgrid[parquet]'"
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with client_of(folder) as client:
        assert install not in html.unescape(client.get("/grid").text)
        (folder / "rounds/0001/scores").mkdir(parents=True, exist_ok=True)
        (folder / "rounds/0001/scores/scores.parquet").write_bytes(b"scored elsewhere")
        answer = client.get("/grid")
        assert answer.status_code == 200 and install in html.unescape(answer.text)
        answer = client.get("/grid", params={"order": "entropy"})
        assert answer.status_code >= 400 and install in html.unescape(answer.text)
    with ProjectReader.open(folder) as project:
        page = grid_page(project, GridQuery())
        assert page.orders == ["changed"] and page.matches.images
        view = image_view(project, ImageQuery(image=page.matches.images[0].image_id), Predictions())
        assert install in view.details.problem


def test_the_form_offers_the_classes_whose_shares_were_scored(tmp_path):
    folder = labelled_project(tmp_path)
    with ProjectReader.open(folder) as project:
        names = project.tasks["semseg"].class_names
        images = [image.image_id for image in grid_page(project, GridQuery()).matches.images]
        shares = np.random.default_rng(0).random((len(images), 3 * len(names))).astype(np.float32)
        table = Table(
            images=images,
            statistics={"classes": shares},
            tasks=tuple(project.tasks),
            stamp={},
            axes={"classes": "feature"},
        )
        (folder / "rounds/0001/scores").mkdir(parents=True, exist_ok=True)
        write_table(table, folder / "rounds/0001/scores/explaining.parquet")
        order = f"share/semseg:{names[1]}"
        page = grid_page(project, GridQuery(order=order))
        column = list(project.tasks).index("semseg") * len(names) + 1
        ranked = [images[place] for place in np.argsort(-shares[:, column])]
        assert [image.image_id for image in page.matches.images] == ranked
    with client_of(folder) as client:
        text = client.get("/grid", params={"order": order}).text
    assert f'<option value="{order}" selected>semseg:{names[1]}</option>' in text
    assert text.count('value="share/semseg:') == len(names)
    assert text.count('<optgroup label="most predicted as">') == 1


def test_a_label_or_a_prediction_is_shown_over_the_photographs_that_have_one(tmp_path, monkeypatch):
    folder = labelled_project(tmp_path)
    with ProjectReader.open(folder) as project:
        page = grid_page(project, GridQuery(over="label/depth"))
        labelled = {row["image"] for row in project.cells(state="labelled", task="depth")}
        found = overlays(project, page, Predictions())
        assert found == dict.fromkeys(sorted(labelled), ("depth", "label")) and labelled
        page = grid_page(project, GridQuery(over="prediction/depth"))
        assert overlays(project, page, Predictions()) == {}
        guess = OtherLabel(key="prediction", name="newest", version="1", read=lambda: None)
        monkeypatch.setattr(Predictions, "of", lambda *_: guess)
        hold_out(
            project.disk,
            [next(iter(project.cells(state="missing", task="depth")))["image"]],
            Silent(),
        )
        measuring = {
            row["image"]
            for row in project.cells(task="depth", split="heldout")
            if row["state"] != "labelled"
        }
        page = grid_page(project, GridQuery(over="prediction/depth"))
        everything = {image.image_id for image in page.matches.images}
        assert measuring and set(overlays(project, page, Predictions())) == everything - measuring
        for wrong in ("depth", "label/", "label/nothing", "script/depth"):
            page = grid_page(project, GridQuery(over=wrong))
            with pytest.raises(UsageError, match="no overlay"):
                overlays(project, page, Predictions())
    with client_of(folder) as client:
        text = client.get("/grid", params={"over": "label/depth"}).text
        assert text.count("task=depth&amp;layer=label") == 3 * len(labelled)
        assert '<option value="label/depth" selected>' in text and 'class="tiles ' in text
        assert client.get("/grid?over=label/nothing").status_code == 400
