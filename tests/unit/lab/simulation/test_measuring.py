"""What is measured of runs: hidden labels, each question once, and runs whose networks are gone."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.lab.simulation.analyse import analyse
from labelgrid.lab.simulation.measuring import HiddenLabels, Question, measure_networks
from labelgrid.lab.simulation.runs import Run
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.sources import dataset_of


class Heard(Silent):
    """Keeps the steps, and how far they came."""

    def __init__(self) -> None:
        self.steps: list[list[Any]] = []

    def start(self, what: str, total: int, unit: str) -> None:
        self.steps.append([what, total, unit, 0])

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.steps[-1][-1] += amount


def question(study: Any, arm: str, images: int) -> Question:
    cells = frozenset(Cell(image, "depth") for image in study.made.names[:images])
    return Question(
        run=Run(kind="strategy", name=arm, seed=0),
        folder=study.folder / "runs" / f"{arm}-seed0",
        round=2,
        cells=cells,
    )


def test_equal_questions_to_equal_networks_are_answered_once(study: Any) -> None:
    heard = Heard()
    asked = [question(study, "cells", 4), question(study, "images", 4), question(study, "cells", 2)]
    answers = measure_networks(asked, heard)
    assert heard.steps == [["Measuring", 6, "images", 6]]
    assert [answer.question for answer in answers] == asked
    assert answers[0].evaluation is answers[1].evaluation
    assert [answer.evaluation.labels["depth"] for answer in answers] == [4, 4, 2]
    assert (
        not list(answers[0].findings("semseg", {}))
        and len(list(answers[0].findings("depth", {}))) == 2
    )


def test_only_the_labels_of_the_cells_are_read_and_none_without_a_valid_pixel(
    study: Any, tmp_path: Path
) -> None:
    shutil.copytree(study.made.root, tmp_path / "data")
    with ProjectFolder.open(study.folder / "runs" / "cells-seed0") as project:
        task = project.tasks()["depth"]
    first, second, third = study.made.names[:3]
    shutil.copyfile(study.made.label(first, "depth"), tmp_path / "data/labels/depth/0000.png")
    whole = dataset_of(type("Oracle", (), {"data": "folder", "root": str(tmp_path / "data")})())
    hidden = HiddenLabels(whole, frozenset({Cell(first, "depth"), Cell(second, "depth")}))
    assert hidden.label(first, task) is not None and hidden.label(third, task) is None
    (tmp_path / "data/labels/depth/0001.png").unlink()
    assert hidden.label(second, task) is None and list(hidden.images()) == list(study.made.names)


def test_runs_whose_networks_are_gone_are_named_before_anything_is_measured(
    study: Any, tmp_path: Path
) -> None:
    copy = shutil.copytree(study.folder, tmp_path / "copy")
    for path in copy.glob("runs/images-seed0/rounds/0003/fit/*.ckpt"):
        path.unlink()
    heard = Heard()
    with pytest.raises(
        ProjectError, match=r"networks of these runs are gone: images-seed0 \(round 3\)"
    ) as caught:
        analyse(copy, "picks", progress=heard)
    assert "labelgrid simulate" in caught.value.next_step
    assert [step[0] for step in heard.steps] == ["Reading the images"]
    analyse(copy, "research.analyses.known:build")  # needs the last networks alone
