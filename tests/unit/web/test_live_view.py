"""Predictions while labels are made: asked for and shown where hints are allowed, and nowhere else."""

import os
import signal
from contextlib import contextmanager

import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import StateError
from labelgrid.executors.job import JobFolder
from labelgrid.ledger.grid import Cell
from labelgrid.project.live_folder import LiveFolder, LiveState
from labelgrid.web import jobs
from labelgrid.web.brush_page import brush_view
from labelgrid.web.image_page import ImageQuery, image_view
from labelgrid.web.job_orders import order_of
from labelgrid.web.predictions import Predictions
from tests.jobs import learns, stopped_afterwards, wait_until
from tests.pages import cell_in, client_of, labelled_project, take_back

LIVE = {"command": "live"}
FROZEN = '[changes.backbone]\ntrain = "frozen"\n'


@pytest.fixture
def folder(tmp_path):
    made = labelled_project(tmp_path)
    settings = made / "labelgrid.toml"
    settings.write_text(settings.read_text() + FROZEN)
    with stopped_afterwards(made):
        yield made


@contextmanager
def predicted(folder, *cells):
    """A model that lives in this process and predicts the first class everywhere."""
    with ProjectReader.open(folder) as project:
        place = LiveFolder.of(project.disk)
        with place.owned():
            with place.publishing(LiveState(event=9, labels=4, folder="9-1")) as building:
                for name in cells:
                    cell = project.cell(name).key
                    image = project.image_size(cell.image_id)
                    task = project.declared_task(cell.task)
                    label = project.label(cell_in(folder, "labelled", cell.task))
                    label = type(label)(
                        label.value[:1, :1].repeat(image[0], 0).repeat(image[1], 1),
                        label.valid[:1, :1].repeat(image[0], 0).repeat(image[1], 1) | True,
                    )
                    task.write(building / place.name_of(cell, ".png"), label)
            yield place


def heldout_cell(folder):
    with ProjectReader.open(folder) as project:
        return f"{project.cells(task='semseg', split='heldout')[0]['image']}:semseg"


def test_a_live_prediction_is_a_hint_of_a_model_before_all_others(folder):
    cell = cell_in(folder, "requested", "semseg")
    with predicted(folder, cell), ProjectReader.open(folder) as project:
        first = brush_view(project, cell, Predictions()).layers[0]
        assert (first.key, first.name, first.hint) == (
            "live",
            "live, not a result: prediction",
            "model",
        )
        image = cell.rpartition(":")[0]
        shown = image_view(project, ImageQuery(image=image, shown="semseg"), Predictions())
        assert [layer.key for layer in shown.details.layers] == ["live"]
        with client_of(folder) as client:
            values = {"image": image, "task": "semseg", "layer": "live"}
            for picture in ("regions", "label", "values"):
                assert client.get(f"/picture/{picture}", params=values).status_code == 200
            assert "live, not a result" in client.get("/brush", params={"cell": cell}).text
    with ProjectReader.open(folder) as project:
        assert brush_view(project, cell, Predictions()).layers == []


def test_no_live_prediction_of_a_label_that_measures_is_shown_or_asked_for(folder):
    cell = heldout_cell(folder)
    take_back(folder, cell)
    with predicted(folder, cell) as place, client_of(folder) as client:
        answer = client.post("/api/live", data={"cell": cell})
        assert answer.json()["version"] == "" and cell.rpartition(":")[0] not in {
            wished.image_id for wished in place.wishes()
        }
        page = client.get("/brush", params={"cell": cell}).text
        assert "No prediction is offered" in page and "Learn while labelling" not in page
        values = {"image": cell.rpartition(":")[0], "task": "semseg", "layer": "live"}
        for picture in ("regions", "label", "values"):
            assert client.get(f"/picture/{picture}", params=values).status_code == 404


def test_a_wish_names_the_cell_and_the_next_request(folder):
    with ProjectReader.open(folder) as project:
        missing = [row["image"] for row in project.cells(state="missing", task="semseg")]
        project.request([f"{image}:semseg" for image in missing[:2]])
    with client_of(folder) as client:
        answer = client.post("/api/live", data={"cell": f"{missing[0]}:semseg"})
        assert answer.json() == {"runs": False, "job": 0, "fault": "", "labels": 0, "version": ""}
        with predicted(folder, f"{missing[0]}:semseg") as place:
            said = client.post("/api/live", data={"cell": f"{missing[0]}:semseg"}).json()
            assert said["runs"] and said["labels"] == 4 and said["version"] == "9-1"
            newest, second = place.wishes()
            assert newest == Cell(missing[0], "semseg") and second.task == "semseg"
            assert client.post("/api/live", data={"cell": "nothing:semseg"}).status_code == 404
            evil = client.post("/api/live", data={"cell": "../../etc/passwd:semseg"})
            assert evil.status_code == 404
            headers = {"Sec-Fetch-Site": "cross-site"}
            foreign = client.post(
                "/api/live", data={"cell": f"{missing[0]}:semseg"}, headers=headers
            )
            assert foreign.status_code == 403


def test_it_goes_on_beside_other_jobs_and_loses_nothing_when_it_is_killed(folder):
    cell = cell_in(folder, "requested", "semseg")
    with ProjectReader.open(folder) as project:
        labelled = len(project.cells(state="labelled"))
        number = jobs.start(project, order_of(LIVE))
        with pytest.raises(StateError, match="Job 1 goes on"):
            jobs.start(project, order_of(LIVE))
        place = LiveFolder.of(project.disk)
        wait_until(
            lambda: (
                place.wish(project.cell(cell).key)
                or place.prediction(project.cell(cell).key, ".png")
            )
        )
        assert jobs.active(project) is None and jobs.staying(project).number == number
        assert jobs.staying(project).last_line.startswith("Learnt from")
        second = jobs.start(project, order_of({"command": "export"}))
        wait_until(lambda: jobs.shown(project, second).state == "ended")
        assert learns(project)
        owner = JobFolder(folder / "jobs/0001").owner
        os.killpg(owner.pid, signal.SIGKILL)
        wait_until(lambda: not learns(project) and place.state is None)
        assert len(project.cells(state="labelled")) == labelled
        assert not project.verify().faults
        with client_of(folder) as client:
            said = client.post("/api/live", data={"cell": cell}).json()
            assert not said["runs"] and "without a result" in said["fault"]
            assert client.get("/brush", params={"cell": cell}).status_code == 200
        third = jobs.again(project, number)
        wait_until(lambda: place.job.state == "running")
        jobs.stop(project, third)
        wait_until(lambda: not learns(project))
        assert not place.path.exists()


def test_missing_weights_are_said_on_the_brush_which_goes_on(folder):
    settings = folder / "labelgrid.toml"
    settings.write_text(
        f"{settings.read_text()}pretrained = true\n".replace('weights = ""', 'weights = "gone"')
    )
    cell = cell_in(folder, "requested", "semseg")
    with ProjectReader.open(folder) as project:
        jobs.start(project, order_of(LIVE))
        wait_until(lambda: not learns(project))
    with client_of(folder) as client:
        said = client.post("/api/live", data={"cell": cell}).json()
        assert not said["runs"] and "gone" in said["fault"]
