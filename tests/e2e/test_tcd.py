"""A tiny project goes through rounds with TCD.

A round killed in its trainings is the one that was not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labelgrid.basics.errors import LabelgridError, ModelError, ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import override
from labelgrid.rounds import fit, query, score
from labelgrid.rounds.query import QueryResult
from labelgrid.score import training
from labelgrid.score.table_files import read_table
from labelgrid.score.weights import read_weights, write_weights
from labelgrid.select.strategy import Budget
from labelgrid.train.trainer import Trainer
from tests.projects import Said, answer, make_project
from tests.rounds import open_copy
from tests.support import Made

SCORE = {
    "committee": {"epochs": 3, "width": 8},
    "embedding": {"epochs": 3, "width": 4, "dimensions": 6},
}


class Killed(Silent):
    """Stops after a number of epochs of the training of a statistic."""

    def __init__(self, what: str, epochs: int) -> None:
        self.what, self.left, self.now = what, epochs, ""

    def start(self, what: str, total: int, unit: str) -> None:
        self.now = what

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.left -= self.now == self.what
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Made]:
    """A project with a trained network; its next query scores with TCD."""
    project, made = make_project(tmp_path_factory.mktemp("prepared"), n=12, strategy="tcd")
    with project:
        assert {p.weight for p in query.query(project, Budget(12), Silent()).picks} == {
            1.0
        }  # drawn at random
        answer(project, made)
        fit.fit(project, Silent())
    return project.folder, made


@contextmanager
def copied(prepared: tuple[Path, Made], folder: Path) -> Iterator[ProjectFolder]:
    """A copy of the prepared project, whose committee and auto-encoder are small."""
    with open_copy(prepared[0], folder) as project:
        project.settings = replace(project.settings, changes={"score": SCORE})
        yield project


@pytest.fixture
def project(prepared: tuple[Path, Made], tmp_path: Path) -> Iterator[ProjectFolder]:
    with copied(prepared, tmp_path / "flat") as project:
        yield project


@pytest.fixture(scope="module")
def whole(
    prepared: tuple[Path, Made], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ProjectFolder, QueryResult]]:
    """A copy with a query that nobody killed, and its result. Nobody changes it."""
    with copied(prepared, tmp_path_factory.mktemp("whole") / "flat") as project:
        yield project, query.query(project, Budget(5), Silent())


def states(project: ProjectFolder) -> dict[str, Any]:
    folder = project.round_folder(2) / "scores"
    found = {}
    for path in sorted(folder.glob("*.weights")):
        found |= {
            f"{path.stem} {name}": value for name, value in read_weights(path)["state"].items()
        }
    return found


@pytest.mark.parametrize("what", ["Training the committee", "Training the auto-encoder", "Scoring"])
def test_a_killed_round_ends_with_the_same_weights_scores_and_picks(
    what: str,
    whole: tuple[ProjectFolder, QueryResult],
    project: ProjectFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", 0)
    with pytest.raises(KeyboardInterrupt):
        query.query(project, Budget(5), Killed(what, 1 if what != "Scoring" else 0))
    assert query.query(project, Budget(5), Silent()) == whole[1]
    mine, its = states(project), states(whole[0])
    assert len(mine) > 40 and all(torch.equal(value, its[name]) for name, value in mine.items())
    tables = [
        read_table(each.round_folder(2) / "scores" / "scores.parquet")
        for each in (project, whole[0])
    ]
    for name, values in tables[0].statistics.items():
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(values, tables[1].statistics[name])
    assert tables[0].axes == {"committee": "cell", "embedding": "feature"}
    names = sorted(path.name for path in (project.round_folder(2) / "scores").iterdir())
    assert names == [
        "committee.weights",
        "embedding.weights",
        "explaining.parquet",
        "scores.parquet",
    ]


def test_the_weights_of_picked_labels_reach_the_training_loss(
    prepared: tuple[Path, Made],
    project: ProjectFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picks = query.query(project, Budget(2, "images"), Silent()).picks
    weights = {(pick.cell.image_id, pick.cell.task): pick.weight for pick in picks}
    assert len(weights) == 6 and len(set(weights.values())) > 1
    answer(project, prepared[1])
    seen: dict[tuple[str, str], float] = {}
    step = Trainer.train_step

    def watched(trainer: Trainer, batch: Any, *given: Any) -> Any:
        for image, row in zip(batch.ids, batch.weights.tolist(), strict=True):
            seen.update(
                {
                    (image, task): weight
                    for task, weight in zip(trainer.plan.tasks, row, strict=True)
                }
            )
        return step(trainer, batch, *given)

    monkeypatch.setattr(Trainer, "train_step", watched)
    # six images: batches of two are all of them, whichever were picked
    project.settings = replace(project.settings, changes={"score": SCORE, "train": {"batch": 2}})
    fit.fit(project, Silent())
    for cell, weight in seen.items():
        assert weight == pytest.approx(weights.get(cell, 1.0), rel=1e-6)
    assert seen.keys() >= weights.keys()
    assert query.query(project, Budget(1, "images"), Silent()).round == 3


def test_single_cells_can_be_picked_too(project: ProjectFolder) -> None:
    project.settings = replace(
        project.settings, strategy=PluginChoice("tcd", {"unit": "cells", "distance": "cosine"})
    )
    picks = query.query(project, Budget(4), Silent()).picks
    assert len(picks) == 4 and all(np.isfinite(pick.score) for pick in picks)


def test_a_network_of_one_stage_is_refused_before_anything_is_trained(
    project: ProjectFolder,
) -> None:
    before = sorted(project.folder.rglob("fit*"))
    changes = {"network": {"name": "shared_heads", "options": {"width": 16}}}
    own = project.settings
    project.settings = replace(own, changes=override(own.changes, changes))
    with pytest.raises(ModelError, match=r"(?s)SharedHeads has one stage.*Nothing was trained"):
        fit.fit(project, Silent())
    assert sorted(project.folder.rglob("fit*")) == before
    project.settings = own
    said = Said()
    fit.fit(project, said, changes=changes)
    assert "'tcd' cannot pick: The network SharedHeads has one stage" in str(said.lines)


def test_changed_weights_make_the_scores_stale(project: ProjectFolder) -> None:
    before = score.score(project, Silent()).statistics["committee"]
    path = project.round_folder(2) / "scores" / "committee.weights"
    kept = read_weights(path)
    write_weights(
        path, kept | {"state": {name: value + 1 for name, value in kept["state"].items()}}
    )
    with pytest.raises(
        ProjectError, match="The scores are stale: the weights changed since they were computed"
    ):
        query.query(project, Budget(2), Silent())
    assert not np.allclose(score.score(project, Silent()).statistics["committee"], before)
    path.unlink()
    with pytest.raises(
        ProjectError, match="The scores are stale: the weights changed since they were computed"
    ):
        query.query(project, Budget(2), Silent())
    np.testing.assert_array_equal(score.score(project, Silent()).statistics["committee"], before)


def test_options_are_read_from_the_recipe_and_are_part_of_the_stamp(
    project: ProjectFolder,
) -> None:
    score.score(project, Silent())
    for wrong, message in (
        ({"epochs": 1}, "the recipe changed"),
        ({"epoch": 1}, "did you mean 'epochs'"),
    ):
        project.settings = replace(
            project.settings, changes={"score": {**SCORE, "committee": wrong}}
        )
        with pytest.raises(LabelgridError, match=message):
            query.query(project, Budget(2), Silent())
