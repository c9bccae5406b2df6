"""Laws of the predictions that a round keeps: those of the images that a fit measured worst and in the middle."""

import json

import numpy as np
import pytest

from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import Move, State
from labelgrid.project.heldout_examples import EXAMPLES, read_examples
from labelgrid.project.records import measured_rounds, newest_fit
from labelgrid.project.sources import source_of
from labelgrid.rounds import evaluate, fit, query
from labelgrid.select.strategy import Budget
from tests.projects import answer, make_project


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A project after its first fit, with held-out labels."""
    project, made = make_project(tmp_path_factory.mktemp("examples"), seed=1)
    with project:
        query.query(project, Budget(9), Silent())
        answer(project, made)
        fit.fit(project, Silent())
        yield project


def test_a_fit_keeps_the_median_and_the_worst_of_each_measured_task(fitted) -> None:
    record = newest_fit(fitted.folder)
    folder = fitted.round_folder(record.round)
    examples = read_examples(folder, record.model)
    (network,) = measured_rounds(fitted.folder)
    heldout = {row.image_id for row in fitted.store.images(("heldout",))}
    assert {one.task for one in examples} == set(network.metrics)
    for task, definition in fitted.tasks().items():
        own = {one.place: one for one in examples if one.task == task}
        better = network.metrics[task][definition.headline].better
        assert set(own) == {"median", "worst"} and own["median"].image_id != own["worst"].image_id
        assert {one.image_id for one in own.values()} <= heldout
        sign = 1 if better == "higher" else -1
        assert sign * own["worst"].value <= sign * own["median"].value
        for one in own.values():
            prediction = definition.read(folder / EXAMPLES / one.file)
            label = source_of(fitted).label(one.image_id, definition)
            assert prediction.size == label.size


def test_an_evaluation_writes_them_again_to_the_same_pixels(fitted) -> None:
    record = newest_fit(fitted.folder)
    folder = fitted.round_folder(record.round) / EXAMPLES
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "semseg" / "worst.png").unlink()
    evaluate.evaluate_split(fitted, "heldout", Silent())
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert len(before) == 1 + 2 * len(fitted.tasks()) and after.keys() == before.keys()
    values = [json.loads(files[folder / "examples.json"]) for files in (before, after)]
    for old, new in zip(*values, strict=True):
        assert (old["image_id"], old["place"]) == (new["image_id"], new["place"])
        assert new["value"] == pytest.approx(old["value"], rel=1e-4)
    assert np.mean([before[path] == after[path] for path in before]) > 0.5


def test_a_model_that_nothing_was_measured_with_keeps_none(tmp_path) -> None:
    project, made = make_project(tmp_path, seed=1)
    with project:
        query.query(project, Budget(9), Silent())
        answer(project, made)
        rows = project.store.cells(state=State.LABELLED, splits=("heldout",))
        project.store.move([Move(cell=row.cell, to=State.MISSING) for row in rows])
        record = fit.fit(project, Silent())
        assert not (project.round_folder(record.round) / EXAMPLES).exists()
