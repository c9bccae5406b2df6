"""The folder of live predictions: seen while its process lives, never a part of a file, no path from outside."""

import json
import os

import pytest

from labelgrid.basics.errors import LabelgridError, ProjectError, StateError
from labelgrid.executors.job import JobOwner
from labelgrid.ledger.grid import Cell
from labelgrid.project.live_folder import FORGOTTEN, LiveFolder, LiveState
from tests.projects import make_project


@pytest.fixture
def project(tmp_path):
    with make_project(tmp_path, n=4)[0] as opened:
        yield opened


def publish(place, number, cell, content=b"label"):
    with place.publishing(LiveState(event=number, labels=3, folder=f"{number}-1")) as building:
        path = building / place.name_of(cell, ".png")
        path.write_bytes(content)


def test_a_prediction_is_there_while_its_process_lives(project):
    place = LiveFolder.of(project)
    cell = Cell("rooms/../odd name.png", "semseg")
    assert place.state is None and place.prediction(cell, ".png") is None
    with place.owned():
        assert place.state is None
        publish(place, 7, cell)
        assert place.state.labels == 3
        assert place.prediction(cell, ".png").read_bytes() == b"label"
        assert place.prediction(cell, ".png").is_relative_to(project.folder.resolve() / "live/7-1")
        assert place.prediction(Cell(cell.image_id, "depth"), ".png") is None
        with pytest.raises(StateError, match="already"), LiveFolder.of(project).owned():
            pass
        assert place.state.event == 7
    assert not place.path.exists()


def test_the_last_two_publications_are_kept(project):
    place = LiveFolder.of(project)
    cell = Cell("a.png", "semseg")
    with place.owned():
        for number in (1, 2, 3):
            publish(place, number, cell)
        folders = {path.name for path in place.path.iterdir() if path.name.endswith("-1")}
        assert folders == {"2-1", "3-1"} and place.state.event == 3


def test_a_killed_process_leaves_nothing_that_is_shown(project):
    place = LiveFolder.of(project)
    with place.owned():
        publish(place, 7, Cell("a.png", "semseg"))
        place.job.write("pid", JobOwner(os.getpid(), "long ago", JobOwner.current().host))
        assert place.state is None and place.prediction(Cell("a.png", "semseg"), ".png") is None


@pytest.mark.parametrize("name", ["photo.jpg", "rooms", "1-1.png", ".hidden"])
def test_what_somebody_else_put_there_stays(project, name):
    place = LiveFolder.of(project)
    (place.path / name).mkdir(parents=True)
    (place.path / "state.json").write_text("{}")
    with pytest.raises(StateError, match="did not put there"), place.owned():
        pass
    assert {path.name for path in place.path.iterdir()} == {name, "state.json"}
    (place.path / name).rmdir()
    with place.owned():
        (place.path / name).mkdir()
    assert [path.name for path in place.path.iterdir()] == [name]


def test_nothing_is_shown_that_was_withdrawn(project):
    place = LiveFolder.of(project)
    cell = Cell("a.png", "semseg")
    with place.owned():
        publish(place, 7, cell)
        place.withdraw()
        assert place.state is None and place.prediction(cell, ".png") is None


def test_wishes_are_the_newest_and_are_forgotten(project):
    place = LiveFolder.of(project)
    place.wish(Cell("a.png", "semseg"))  # nobody listens
    assert not place.path.exists()
    with place.owned():
        for name in ("a.png", "../b.png"):
            place.wish(Cell(name, "semseg"))
        place.wish(Cell("a.png", "semseg"))
        assert {cell.image_id for cell in place.wishes()} == {"a.png", "../b.png"}
        for path in (place.path / "wishes").iterdir():
            os.utime(path, (0, 0))
        assert place.wishes() == [] and not list((place.path / "wishes").iterdir())
        (place.path / "wishes" / "odd").write_text("[1, 2]")
        (place.path / "wishes" / "odder").write_text("{")
        assert place.wishes() == [] and FORGOTTEN > 5


def test_no_foreign_folder_is_read(project, tmp_path):
    place = LiveFolder.of(project)
    cell = Cell("a.png", "semseg")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / place.name_of(cell, ".png")).write_bytes(b"secret")
    with place.owned():
        for folder in ("../../outside", str(outside), "", "wishes/.."):
            state = {"event": 1, "labels": 1, "folder": folder}
            (place.path / "state.json").write_text(json.dumps(state))
            assert place.state is None
        for text in ("{", "[]", '{"event": "x"}'):
            (place.path / "state.json").write_text(text)
            assert place.state is None
        (place.path / "1-1").symlink_to(outside)
        (place.path / "state.json").write_text('{"event": 1, "labels": 1, "folder": "1-1"}')
        assert place.prediction(cell, ".png") is None
    (project.folder / "live").symlink_to(outside)
    with pytest.raises(ProjectError, match="leads out"):
        LiveFolder.of(project)


def test_a_full_disk_is_said(project, monkeypatch):
    place = LiveFolder.of(project)
    with place.owned():
        publish(place, 1, Cell("a.png", "semseg"))
        with (
            pytest.raises(LabelgridError, match="No space left"),
            place.publishing(LiveState(event=2, labels=3, folder="2-1")),
        ):
            raise OSError(28, "No space left on device")
        assert place.state.event == 1
