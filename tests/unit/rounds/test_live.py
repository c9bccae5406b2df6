"""The worker that learns while labelling: what it predicts, for which cells, and when it ends."""

import subprocess
import sys
import threading
import time

import pytest

from labelgrid.basics.errors import StateError
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import Cell, State
from labelgrid.operations.cancel import unlabel
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.live_folder import LiveFolder
from labelgrid.rounds import query
from labelgrid.rounds.live import LiveWorker, learn_while_labelling
from labelgrid.select.strategy import Budget
from tests.jobs import wait_until
from tests.projects import Said, answer, make_project
from tests.started import Started

FROZEN = '[changes.backbone]\ntrain = "frozen"\n'


@pytest.fixture(autouse=True)
def _no_haste(monkeypatch):
    monkeypatch.setattr("labelgrid.rounds.live_model.STEPS", 20)
    monkeypatch.setattr("labelgrid.project.live_folder.FORGOTTEN", 1e6)


@pytest.fixture
def made(tmp_path):
    project, made = make_project(tmp_path, n=8, holdout=2, tasks=("semseg", "depth"))
    project.close()
    settings = project.folder / "labelgrid.toml"
    settings.write_text(settings.read_text() + FROZEN)
    with ProjectFolder.open(project.folder) as opened:
        yield opened, made


@pytest.fixture
def worker(made):
    project, _ = made
    place = LiveFolder.of(project)
    with place.owned():
        yield LiveWorker(project, place, Said())


def label(made, count, **options):
    project, images = made
    query.query(
        project, Budget(count, "images"), Silent(), strategy="random_images", new=True, **options
    )
    answer(project, images)


def missing(project):
    labelled = {row.cell.image_id for row in project.store.cells(state=State.LABELLED)}
    images = {row.image_id for row in project.store.images(("train",))} - labelled
    return [Cell(image_id, "semseg") for image_id in sorted(images)]


def test_a_wish_is_met_by_what_has_learnt_from_all_labels(made, worker):
    project, _ = made
    worker.place.wish(missing(project)[0])
    assert not worker.turn()  # nothing is labelled
    label(made, 2)
    wished = missing(project)[0]
    worker.place.wish(wished)
    assert worker.turn()
    state = worker.place.state
    assert state.labels == 4 and state.event == project.store.last_event()
    first = worker.place.prediction(wished, ".png")
    assert first.parent.name == state.folder and state.folder.startswith(f"{state.event}-")
    while worker.turn():
        pass
    assert worker.place.state.labels == 4
    label(made, 1)
    assert worker.turn() and worker.place.state.labels == 6
    assert worker.place.prediction(wished, ".png") != first
    while worker.turn():
        pass
    other = missing(project)[1]
    worker.place.wish(other)
    assert worker.turn() and not worker.turn()
    assert worker.place.prediction(other, ".png") and worker.place.prediction(wished, ".png")
    assert any("Learnt from 4 labels" in line for line in worker.progress.lines)


def test_labels_that_measure_are_never_predicted(made, worker):
    project, _ = made
    label(made, 1)
    query.query(
        project, Budget(2, "images"), Silent(), strategy="random_images", new=True, control="100%"
    )
    requested = list(project.store.cells(state=State.REQUESTED))
    control = next(row.cell for row in requested if row.cell.task == "semseg")
    heldout = next(row.image_id for row in project.store.images(("heldout",)))
    cells = [control, Cell(heldout, "semseg"), Cell("no such image", "semseg")]
    cells.append(Cell(heldout, "no such task"))
    for cell in cells:
        worker.place.wish(cell)
    while worker.turn():
        pass
    assert worker.place.state.labels == 2
    assert not any(worker.place.prediction(cell, ".png") for cell in cells)


def test_an_image_that_cannot_be_read_hides_no_other(made, worker):
    project, images = made
    label(made, 2)
    gone, other = missing(project)[:2]
    (images.images / gone.image_id).unlink()
    for cell in (gone, other):
        worker.place.wish(cell)
    while worker.turn():
        pass
    assert worker.place.prediction(other, ".png") and not worker.place.prediction(gone, ".png")
    assert len([line for line in worker.progress.lines if gone.image_id in line]) == 1


def test_without_labels_any_more_nothing_is_predicted(made, worker):
    project, _ = made
    label(made, 1)
    worker.place.wish(missing(project)[0])
    while worker.turn():
        pass
    assert worker.place.state.labels == 2
    rows = project.store.cells(state=State.LABELLED, splits=("train",))
    unlabel(project, [f"{row.cell.image_id}:{row.cell.task}" for row in rows])
    worker.place.wish(missing(project)[1])
    while worker.turn():
        pass
    assert not worker.place.prediction(missing(project)[1], ".png")


def test_a_full_disk_is_said_and_labelling_goes_on(made, worker, monkeypatch):
    label(made, 1)
    worker.place.wish(missing(made[0])[0])

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("labelgrid.rounds.live_model.write_label", full)
        while worker.turn():
            pass
    assert worker.place.state is None
    said = [line for line in worker.progress.lines if "No space left" in line]
    assert len(said) == 1
    label(made, 1)
    assert worker.turn() and worker.place.state.labels == 4


def test_it_ends_without_a_new_label_and_leaves_nothing(made):
    project, _ = made
    said = Said()
    learn_while_labelling(project.folder, minutes=0.01, server=0, progress=said)
    assert not (project.folder / "live").exists()
    assert "no new label" in said.lines[-1].lower()


def test_it_ends_with_the_server(made):
    project, _ = made
    said = Said()
    with Started(sys.executable, "-c", "input()", stdin=subprocess.PIPE) as process:
        options = {"minutes": 5, "server": process.pid, "progress": said}
        thread = threading.Thread(
            target=learn_while_labelling, args=(project.folder,), kwargs=options
        )
        thread.start()
        wait_until(lambda: (project.folder / "live/pid").exists())
        with pytest.raises(StateError, match="already"):
            learn_while_labelling(project.folder, minutes=1, server=0, progress=Silent())
        began = time.monotonic()
        process.communicate("\n")
        thread.join(20)
    assert not thread.is_alive() and time.monotonic() - began < 10
    assert "server" in said.lines[-1]
