"""What stops a round, and what is said then."""

import json
import os
import shutil
from dataclasses import make_dataclass
from pathlib import Path

import pytest
import torch

from labelgrid.basics.errors import LabelError, ModelError, ProjectError, TrainingError
from labelgrid.basics.progress import Silent
from labelgrid.cli import STOPPED, screen
from labelgrid.executors.job import JobFolder
from labelgrid.ledger.grid import State
from labelgrid.nets.networks import pad_net
from labelgrid.project.records import newest_fit
from labelgrid.rounds import fit, predict, query
from labelgrid.rounds.filled_labels import FilledLabels
from labelgrid.select.strategy import Budget
from labelgrid.train.checkpoint import load, same_training
from tests.e2e.commands import done, typed
from tests.projects import Said, answer, make_project
from tests.rounds import Killed, Killing, open_copy


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The folder of a project with labels of its first round, not fitted; each test copies it."""
    project, made = make_project(tmp_path_factory.mktemp("first"), n=8, tasks=("depth",))
    with project:
        query.query(project, Budget(3), Silent())
        answer(project, made)
    return project.folder


@pytest.fixture
def project(first, tmp_path):
    """A test's own copy of the project."""
    with open_copy(first, tmp_path / "flat") as opened:
        yield opened


class Watched(screen.Bar):
    """Watches a command's job, and asks it to stop when it has done something."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        super().advance(amount, note)
        assert self.job.state == "running" and self.job.step.what == self.what
        (self.job.path / "stop").touch()


@pytest.mark.parametrize(
    ("words", "what"), [("fit", "Caching decoded images"), ("score", "Scoring")]
)
def test_a_command_shows_itself_in_the_round_s_folder_and_stops_by_its_file_as_by_ctrl_c(
    project, monkeypatch, words, what
):
    if words == "score":
        fit.fit(project, Silent())
    job = JobFolder(project.round_folder(2) / "job")
    with monkeypatch.context() as patch:
        patch.setattr(screen, "Bar", Watched)
        patch.setattr(Watched, "job", job, raising=False)
        patch.setattr(Watched, "what", what, raising=False)
        ended = typed(words, project.folder)
    assert ended.code == STOPPED
    assert ended.err.endswith("Stopped. Finished work is kept. Run the same command to resume.\n")
    assert job.state == "stopped"
    done(words, project.folder)
    assert job.state == "ended" and job.step.done == job.step.total


@pytest.mark.parametrize("left", ["last.ckpt", "terms/mine/half", "log.jsonl"])
def test_a_query_does_not_close_a_round_whose_training_was_stopped(project, left):
    folder = project.round_folder(2) / "fit"
    (folder / left).parent.mkdir(parents=True)
    (folder / left).write_bytes(b"half")
    before = list(project.store.events())
    with pytest.raises(
        ProjectError, match=r"training was stopped before its end.*\n.*labelgrid fit"
    ):
        query.query(project, Budget(2), Silent())
    assert list(project.store.events()) == before
    shutil.rmtree(folder)
    assert query.query(project, Budget(2), Silent()).round == 2


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_a_damaged_label_stops_a_fit_before_it_removes_the_finished_one(project, split):
    done = fit.fit(project, Silent())
    folder = project.round_folder(2)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    row = next(row for row in project.store.cells(state=State.LABELLED, splits=(split,)))
    project.inside(row.path).write_bytes(b"damaged")
    with pytest.raises(LabelError, match="the content of its file has changed"):
        fit.fit(project, Silent(), changes={"train": {"epochs": 3}})
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert newest_fit(project.folder) == done


def test_a_fit_that_fails_after_it_removed_an_outdated_one_stops_the_query(project, monkeypatch):
    fit.fit(project, Silent())

    def fails(*_: object, **__: object) -> None:
        raise TrainingError("The loss is not finite.")

    monkeypatch.setattr(fit, "train", fails)
    with pytest.raises(TrainingError):
        fit.fit(project, Silent(), changes={"train": {"epochs": 3}})
    with pytest.raises(ProjectError, match="training was stopped before its end"):
        query.query(project, Budget(1), Silent())


def test_a_disk_that_refuses_predictions_is_no_fault_of_theirs(project, monkeypatch, tmp_path):
    fit.fit(project, Silent())

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    images = tmp_path / "one"
    images.mkdir()
    shutil.copy(Path(project.store.image("0000.jpg").root) / "0000.jpg", images)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LabelError, match="No space left on device"):
        predict.predict(project, images, out=tmp_path / "out", known_labels=None, progress=Silent())


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"backbone": {"name": "levit_128s", "pretrained": False}},
            "does not accept images of 32x64",
        ),
        ({"train": {"device": "cuda"}}, "no device 'cuda'"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_sentence(project, changes, fault):
    if fault.endswith("'cuda'") and torch.cuda.is_available():
        pytest.skip("there is such a device here")
    with pytest.raises((ModelError, TrainingError), match=fault):
        fit.fit(project, Silent(), changes=changes)


def test_a_stopped_training_is_not_resumed_with_another_default_of_the_network(
    project, monkeypatch
):
    with pytest.raises(Killed):
        fit.fit(project, Killing(2))
    path = project.round_folder(2) / "fit" / "last.ckpt"
    stopped = load(path)
    options = json.loads(stopped.identity)["options"]
    assert options["networks"]["pad_net"]["encoder_dropout"] == 0.0
    with monkeypatch.context() as changed:
        earlier = make_dataclass(
            "Options", [("encoder_dropout", float, 0.5)], bases=(pad_net.Options,), frozen=True
        )
        changed.setattr(pad_net, "Options", earlier)
        context = fit.context_of(project)
        train, val = fit.splits_for_training(context, Silent())
        identity = fit.identity_of(FilledLabels(context, train), val, "")
        assert not same_training(stopped.identity, identity)
    said = Said()
    fit.fit(project, said)
    assert said.lines == ["Resuming after epoch 1 of 2."]
