"""Errors of pseudo-labels against the hidden labels, of planted files and of a campaign's own."""

import math
from pathlib import Path

import numpy as np
import pytest

from labelgrid.basics.errors import ProjectError
from labelgrid.data.batch import SoftLabel
from labelgrid.formats.codec import LabelArray
from labelgrid.lab.simulation.run_study import run_study
from labelgrid.lab.simulation.study_recipe import study_of
from labelgrid.lab.simulation.study_request import StudyRequest
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.sources import dataset_of
from labelgrid.train.terms.pseudo_labels import Files
from research.analyses.pseudo_errors import pseudo_errors
from tests.projects import make_project
from tests.studies import make_data, make_recipe

ARM = """
[simulate.arms.pseudo]
strategy = "random_cells"
changes = { terms = { pseudo_labels = {} } }
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one arm, over one round."""
    folder = tmp_path_factory.mktemp("study")
    make_data(folder / "data", pool=6, test=2)
    path = make_recipe(folder, ARM)
    text = path.read_text().replace('strategies = ["partal", "random_cells"]', "full = false")
    path.write_text(text.replace("rounds = 2", "rounds = 1"))
    request = StudyRequest(
        recipe=str(path),
        study=study_of(str(path), {}),
        root=folder / "data",
        weights="",
        out=folder / "out",
    )
    assert not run_study(request).failed
    return folder / "out" / "runs" / "pseudo-seed0"


def test_a_campaigns_pseudo_labels_are_compared_by_round_task_and_confidence(run: Path) -> None:
    with ProjectFolder.open(run) as project:
        found = pseudo_errors(project, bins=4)
        made = list(run.glob("rounds/*/fit/terms/pseudo_labels.*/*/*.npz"))
        assert (
            made
            and {row.task for row in found} == {"semseg", "depth"}
            and len({row.round for row in found}) == 1
        )
        assert [row.confidence for row in found[:4]] == [0, 0.25, 0.5, 0.75]
        for name in ("semseg", "depth"):
            pixels = 0
            for path in made:
                if path.parent.name == name:
                    with np.load(path) as kept:
                        truth = dataset_of(project.settings.oracle).label(
                            path.stem, project.tasks()[name]
                        )
                        pixels += int((kept["valid"] & truth.valid).sum())
            rows = [row for row in found if row.task == name]
            assert sum(row.pixels for row in rows) == pixels
            assert all(math.isnan(row.error) == (row.pixels == 0) for row in rows)


def test_planted_errors_are_found_where_they_are(run: Path) -> None:
    with ProjectFolder.open(run) as project:
        source, tasks = dataset_of(project.settings.oracle), project.tasks()
        folder = project.folder / "rounds" / "0009" / "fit" / "terms" / "pseudo_labels.planted"
        image, counts = source.images()[0], {}
        for name, change in (("semseg", 1), ("depth", 0.5)):
            truth = source.label(image, tasks[name])
            left = np.broadcast_to(np.arange(truth.size[1]) < 20, truth.size)
            value = np.where(left[..., None], truth.value + change, truth.value).astype(
                truth.value.dtype
            )
            value[~truth.valid] = 0
            confidence = np.where(left, 0.3, 1.0).astype(np.float32)
            Files(folder).write(
                image, tasks[name], SoftLabel(LabelArray(value, truth.valid), confidence)
            )
            counts[name] = int((left & truth.valid).sum()), int((~left & truth.valid).sum())
        rows = {
            (row.task, row.confidence): row
            for row in pseudo_errors(project, bins=2)
            if row.round == 9
        }
        for name, error in (("semseg", 1.0), ("depth", 0.5)):
            assert (rows[name, 0.0].pixels, rows[name, 0.5].pixels) == counts[name]
            assert (
                rows[name, 0.0].error == pytest.approx(error, rel=1e-5)
                and rows[name, 0.5].error == 0
            )


def test_a_live_project_has_no_hidden_labels(tmp_path: Path) -> None:
    project, _ = make_project(tmp_path, n=4)
    with project, pytest.raises(ProjectError, match="Only a simulated campaign has hidden labels"):
        pseudo_errors(project)
