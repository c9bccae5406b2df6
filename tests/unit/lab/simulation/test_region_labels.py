"""Laws of studies that buy regions: the data set answers inside these alone."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labelgrid.basics.errors import LabelgridError
from labelgrid.data.layouts.folder import FolderDataset
from labelgrid.formats.codec import LabelArray
from labelgrid.lab.simulation.run_study import run_study
from labelgrid.ledger.grid import State
from labelgrid.project.cells.partitions import read_kept
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.sources import source_of
from labelgrid.regions.parts import region_classes
from labelgrid.tasks.task import TaskDef
from tests.studies import study_request

INITIAL = {
    "plan": "regions",
    "regions": 20,
    "images": 0,
    "tasks": ["semseg"],
    "maker": {"name": "squares", "options": {"count": 8}},
}


def request(folder: Path, *, out: str = "out", **initial: object):
    arm = {"strategy": "random_cells", "rounds": 0, "initial": {**INITIAL, **initial}}
    return study_request(folder, out=out, strategies=["some"], arms={"some": arm})


def run(folder: Path, out: str = "out", **initial: object) -> ProjectFolder:
    result = run_study(request(folder, out=out, **initial))
    assert not result.failed, result.failed
    return ProjectFolder.open(result.out / "runs" / "some-seed0")


@pytest.mark.parametrize("answers", ["labels", "keys"])
def test_a_training_sees_what_the_data_set_says_in_bought_regions_and_nothing_else(
    tmp_path: Path, answers: str
) -> None:
    with run(tmp_path, answers=answers) as project:
        task = project.tasks()["semseg"]
        rows = list(project.store.parts(state=State.LABELLED))
        assert len(rows) == 20 and not list(
            project.store.cells(state=State.LABELLED, splits=("train",))
        )
        of_image = Counter(row.cell.image_id for row in rows)
        assert len(of_image) == 8 and set(of_image.values()) == {2, 3}  # all images first
        source = source_of(project)
        truth = source.source  # type: ignore[union-attr]
        for image_id in of_image:
            label, whole = source.label(image_id, task), truth.label(image_id, task)
            parts = [row for row in rows if row.cell.image_id == image_id]
            partition = read_kept(project, parts[0].partition)
            regions = [row.cell.region for row in parts]  # type: ignore[attr-defined]
            inside = np.isin(partition.ids, regions)
            assert label is not None and whole is not None
            commonest = region_classes(partition, whole).commonest
            for region in regions:
                mask = partition.ids == region
                if answers == "keys":
                    assert (label.value[mask] == commonest[region - 1]).all()
                else:
                    seen = mask & whole.valid
                    assert np.array_equal(label.valid & mask, seen)
                    assert np.array_equal(label.value[seen], whole.value[seen])
            assert not (label.valid & ~inside).any()
        record = json.loads((project.folder / "rounds/0002/fit.json").read_text())
        assert set(record["labels"]) == {"semseg"} and 1 <= record["labels"]["semseg"] <= 4
        spent = sum(row.cost for row in rows)
        assert project.store.spent(("train",)) == pytest.approx(spent)


def test_labels_outside_the_bought_regions_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = FolderDataset.label
    bought: dict[str, np.ndarray] = {}
    weights = []

    def poisoned(self: FolderDataset, image_id: str, task: TaskDef) -> LabelArray | None:
        whole = read(self, image_id, task)
        if whole is None or image_id not in bought or task.name != "semseg":
            return whole
        return replace(whole, value=np.where(bought[image_id][..., None], whole.value, 0))

    monkeypatch.setattr(FolderDataset, "label", poisoned)
    for out in ("clean", "poisoned"):
        with run(tmp_path, out=out) as project:
            record = json.loads((project.folder / "rounds/0002/fit.json").read_text())
            weights.append(record["model"])
            for row in project.store.parts():
                partition = read_kept(project, row.partition)
                mask = partition.ids == row.cell.region  # type: ignore[attr-defined]
                bought[row.cell.image_id] = mask | bought.get(row.cell.image_id, mask)
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("initial", "fault"),
    [
        ({"regions": 1000}, "The 8 images have 64 regions, and the initial labels are of 1,000"),
        ({"tasks": ["depth"]}, "Labels of 'depth' are bought whole"),
        ({"maker": {"name": "square", "options": {}}}, "Did you mean 'squares'"),
        ({"maker": {"name": "squares", "options": {"sides": 1}}}, "sides"),
    ],
)
def test_wrong_plans_are_refused(tmp_path: Path, initial: dict[str, object], fault: str) -> None:
    try:
        result = run_study(request(tmp_path, **initial))
        said = str(result.failed)
    except LabelgridError as error:
        said = str(error)
    assert fault in said


@pytest.mark.parametrize(
    ("initial", "fault"),
    [({"regions": 0}, "needs initial.regions"), ({"plan": "one"}, "no other plan uses it")],
)
def test_regions_belong_to_their_plan(
    tmp_path: Path, initial: dict[str, object], fault: str
) -> None:
    if initial.get("plan"):
        initial = {**initial, "tasks": []}
    with pytest.raises(LabelgridError, match=fault):
        request(tmp_path, **initial)
