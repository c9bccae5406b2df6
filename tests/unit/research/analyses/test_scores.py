"""What scores go with: rank correlations against slow ones, of losses and labels computed independently."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from labelgrid.basics.progress import Silent
from labelgrid.lab.simulation.analyse import AnalysisResult, analyse
from labelgrid.lab.simulation.measuring import Question, measure_cells
from labelgrid.lab.simulation.runs import Run
from labelgrid.ledger.grid import Cell, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.score.table_files import read_table
from tests.unit.drawings.test_charts import texts
from tests.unit.lab.simulation.analyses.slow_analyses import outputs, truth, value, values
from tests.unit.lab.simulation.finished import SIMULATE, finished_study

ROUNDS = (2, 3)


class Counted(Silent):
    """Counts the images."""

    images = 0

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.images += amount


@pytest.fixture(scope="module")
def whole(study: Any, tmp_path_factory: pytest.TempPathFactory) -> AnalysisResult:
    return analyse(
        study.folder, "research.analyses.scores:build", tmp_path_factory.mktemp("scores") / "out"
    )


def candidates(
    study: Any, number: int, task: str
) -> tuple[list[str], list[float], dict[str, list[str]]]:
    """The images whose label of a task could be picked, their scores, and the labels that images had."""
    folder = study.folder / "runs" / "uncertain-seed0"
    table = read_table(folder / "rounds" / f"{number:04d}" / "scores" / "scores.parquet")
    before = [
        (p.cell.image_id, p.cell.task)
        for n in range(1, number)
        for p in study.picked("uncertain", 0, n)
    ]
    known = {image: [name for at, name in before if at == image] for image in table.images}
    rows = [row for row, image in enumerate(table.images) if task not in known[image]]
    scores = table.statistics["dropout"][rows, table.tasks.index(task)]
    return [table.images[row] for row in rows], [float(score) for score in scores], known


def slow_loss(study: Any, number: int, image: str, task: str, known: list[str]) -> float:
    prediction = outputs(study, "uncertain", number=number, image=image, known=known)[
        task
    ].transpose(1, 2, 0)
    label, valid = truth(study, image, task)
    if task == "depth":
        return float(np.abs(prediction - label)[valid].mean())
    classes = np.where(valid, label[..., 0], 0).astype(np.int64)
    return float(-np.log(np.take_along_axis(prediction, classes[..., None], -1))[valid].mean())


def test_losses_of_cells_are_those_of_the_network_given_the_labels_that_images_had(
    study: Any,
) -> None:
    images, _, known = candidates(study, 3, "depth")
    fed = frozenset(Cell(image, task) for image in images for task in known[image])
    assert fed
    cells = frozenset(Cell(image, "depth") for image in images)
    folder, run = (
        study.folder / "runs" / "uncertain-seed0",
        Run(kind="strategy", name="uncertain", seed=0),
    )
    question, counted = Question(run=run, folder=folder, round=3, cells=cells, known=fed), Counted()
    found, again = measure_cells([question, question], lambda measure: measure.loss, counted)
    assert counted.images == len(images) and again == found  # measured once
    assert found.keys() == cells
    for image in images:
        expected = slow_loss(study, 3, image=image, task="depth", known=known[image])
        assert found[Cell(image, "depth")] == pytest.approx(expected, rel=1e-5)
        if known[image]:
            assert slow_loss(study, 3, image=image, task="depth", known=[]) != pytest.approx(
                expected, rel=1e-5
            )


@pytest.mark.parametrize("task", ["semseg", "depth"])
@pytest.mark.parametrize("number", ROUNDS)
def test_the_rank_correlation_with_the_loss_is_that_of_the_candidates(
    study: Any, whole: AnalysisResult, number: int, task: str
) -> None:
    images, scores, known = candidates(study, number, task)
    losses = [
        slow_loss(study, number, image=image, task=task, known=known[image]) for image in images
    ]
    found = value(
        whole,
        "uncertain",
        "Spearman's rho",
        round=number,
        scores="dropout",
        task=task,
        **{"with": "the loss"},
    )
    assert found == pytest.approx(spearmanr(scores, losses).statistic, abs=1e-9)


def test_the_rank_correlations_with_labels_are_those_of_rare_classes_and_mean_values(
    study: Any, whole: AnalysisResult
) -> None:
    pool = study.made.names[:10]
    labels = {image: truth(study, image, "semseg") for image in pool}
    every = np.concatenate([label[valid].ravel() for label, valid in labels.values()]).astype(int)
    share = np.bincount(every) / every.size
    for number in ROUNDS:
        images, scores, _ = candidates(study, number, "depth")
        rare = [-np.log(share[labels[i][0][labels[i][1]].astype(int)]).mean() for i in images]
        far = [
            float(label[valid].mean())
            for label, valid in (truth(study, i, "depth") for i in images)
        ]
        for name, traits in (("rare classes of semseg", rare), ("the mean of depth", far)):
            found = value(
                whole, "uncertain", "Spearman's rho", round=number, task="depth", **{"with": name}
            )
            assert found == pytest.approx(spearmanr(scores, traits).statistic, abs=1e-9)


OTHER = """
[simulate.arms.depth-only]
strategy = "partal"
tasks = ["depth"]
rounds = 1
[simulate.arms.all]
strategy = "partal"
"""


def test_skipped_cells_cannot_be_picked_and_arms_may_have_other_tasks(tmp_path: Path) -> None:
    made = finished_study(tmp_path, SIMULATE + OTHER, [(index, "depth") for index in range(5)])
    result = analyse(made.folder, "research.analyses.scores:build")
    of_depth_only = {
        finding.keys["with"] for finding in result.findings if finding.run.name == "depth-only"
    }
    assert of_depth_only == {
        finding.keys["with"] for finding in result.findings if finding.run.name == "all"
    }
    assert {"rare classes of semseg", "the mean of depth", "the mean of normals"} <= of_depth_only
    counted = {
        finding.count
        for finding in result.findings
        if (finding.run.name, finding.keys["round"], finding.keys["with"])
        == ("all", 3, "noise of the image")
        and finding.keys["task"] == "depth"
    }
    asked = {
        (p.cell.image_id, p.cell.task) for number in (1, 2) for p in made.picked("all", 0, number)
    }
    table = read_table(made.folder / "runs/all-seed0/rounds/0003/scores/scores.parquet")
    with ProjectFolder.open(made.folder / "runs" / "all-seed0") as project:
        skipped = [
            row.cell.image_id for row in project.store.cells(state=State.SKIPPED) if row.round < 3
        ]
    assert set(skipped) & set(table.images)
    assert counted == {sum((image, "depth") not in asked for image in table.images)}


def test_strategies_without_scores_have_none(whole: AnalysisResult) -> None:
    assert {finding.run.name for finding in whole.findings} == {"uncertain"}
    assert {finding.keys["round"] for finding in whole.findings} == set(ROUNDS)


def test_a_run_counts_once_however_many_rounds_it_has(whole: AnalysisResult) -> None:
    keys = {"scores": "dropout", "task": "depth", "with": "noise of the image"}
    (mean,) = [mean for mean in whole.means if mean.keys == keys]
    assert mean.seeds == 1
    assert mean.result.value == pytest.approx(
        np.mean(values(whole, "uncertain", "Spearman's rho", **keys))
    )


def test_each_task_has_a_drawing_with_a_row_for_each_trait(whole: AnalysisResult) -> None:
    (drawing,) = [path for path in whole.files if path.name == "scores-semseg.svg"]
    shown = set(texts(drawing.read_bytes()))
    assert {
        "the loss",
        "rare classes of semseg",
        "the mean of depth",
        "noise of the image",
    } <= shown
