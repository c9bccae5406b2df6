"""What `predict` writes for people beside label files, and that it stands in the way of nothing."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.annotate.answer_folder import read_answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.images.reading import read_image
from labelgrid.ledger.grid import TaskRow
from labelgrid.rounds import fit, predict, query
from labelgrid.rounds.predictor import write_legends
from labelgrid.select.strategy import Budget
from labelgrid.tasks.task import TaskDef
from tests.projects import answer, make_project


def test_predictions_show_their_classes_and_photographs_and_can_be_imported(tmp_path: Path) -> None:
    project, made = make_project(tmp_path, n=4, holdout=0, tasks=("semseg", "depth"))
    out = tmp_path / "out"
    with project:
        query.query(project, Budget(2, "images"), Silent())
        answer(project, made)
        fit.fit(project, Silent(), changes={"train": {"epochs": 1}})
        written = predict.predict(
            project, made.images, out=out, known_labels=None, progress=Silent(), overlay=True
        )
        assert written == 8
        answers = read_answers(out, ProjectIndex(project.store, project.tasks()))
        semseg = project.tasks()["semseg"]
    assert len(answers.labels) == 8 and not answers.faults and not answers.stray
    table = csv.DictReader((out / "legend.csv").read_text().splitlines())
    colours = {int(row["number"]): row["colour"] for row in table if row["task"] == "semseg"}
    for name in made.names:
        path = out / "semseg" / f"{Path(name).stem}.png"
        with Image.open(path) as picture:
            assert picture.mode == "P"
            numbers = np.asarray(picture)
            shown = np.asarray(picture.convert("RGB"))
        assert np.array_equal(numbers, semseg.read(path).value[..., 0])
        for number in np.unique(numbers).tolist():
            assert colours[number] == "#" + bytes(shown[numbers == number][0]).hex()
        for task in ("semseg", "depth"):
            overlay = read_image(out / "overlays" / task / f"{Path(name).stem}.jpg")
            assert max(overlay.shape) >= 640
    with Image.open(out / "legend.png") as picture:
        assert picture.width == 900


def test_predictions_have_the_colours_of_the_order_in_which_classes_came_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, made = make_project(tmp_path, n=2, holdout=0, tasks=("semseg", "depth"))
    with project:
        query.query(project, Budget(2, "images"), Silent())
        answer(project, made)
        fit.fit(project, Silent(), changes={"train": {"epochs": 1}})
        first_labels = [tuple(reversed(project.tasks()["semseg"].class_names))]
        monkeypatch.setattr(type(project.store), "class_lists", lambda _: first_labels)
        predict.predict(project, made.images, out=tmp_path, known_labels=None, progress=Silent())
        colours = project.tasks()["semseg"].region_colours
    for path in (tmp_path / "semseg").glob("*.png"):
        with Image.open(path) as picture:
            numbers = np.asarray(picture)
            shown = np.asarray(picture.convert("RGB"))
        assert np.array_equal(shown, colours[numbers])


def test_without_classes_there_is_no_legend(tmp_path: Path) -> None:
    depth = TaskDef.of(TaskRow("depth", "depth", 1.0))
    write_legends(tmp_path / "out", {"depth": depth})
    assert not (tmp_path / "out").exists()


def test_a_legend_that_cannot_be_written_is_an_error_of_the_disk(tmp_path: Path) -> None:
    semseg = TaskDef.of(TaskRow("semseg", "semseg", 1.0, {"classes": ["wall", "floor"]}))
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ProjectError, match="disk reports an error"):
        write_legends(tmp_path / "out", {"semseg": semseg})
