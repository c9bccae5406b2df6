"""What `predict` writes beside label files."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from labelgrid.annotate.answers import Fault
from labelgrid.basics.errors import ImageError, LabelError, UsageError
from labelgrid.basics.progress import Silent
from labelgrid.formats.soft import read_soft
from labelgrid.rounds import fit, predict, query
from labelgrid.select.strategy import Budget
from tests.projects import answer, make_project


def test_a_soft_prediction_has_the_images_size_and_says_what_the_label_file_says(
    tmp_path: Path,
) -> None:
    project, made = make_project(tmp_path, n=5, holdout=0, tasks=("semseg", "depth", "edges"))
    with project:
        query.query(project, Budget(3, "images"), Silent())
        answer(project, made)
        fit.fit(project, Silent(), changes={"train": {"epochs": 1}})
        assert (
            predict.predict(
                project, made.images, out=tmp_path / "plain", known_labels=None, progress=Silent()
            )
            == 15
        )
        assert (
            predict.predict(
                project,
                made.images,
                out=tmp_path / "out",
                known_labels=None,
                progress=Silent(),
                soft=True,
            )
            == 15
        )
        photos = Path(shutil.copytree(made.images, tmp_path / "holiday"))
        (photos / "z.jpg").write_bytes(b"")
        places = {"out": tmp_path / "rest", "known_labels": None, "progress": Silent()}
        with pytest.raises(
            ImageError, match=r"is empty(.|\n)*leave such images out with --leave-o"
        ):
            predict.predict(project, photos, **places)
        left_out: list[Fault] = []
        assert predict.predict(project, photos, **places, left_out=left_out) == 15
        assert [fault.where for fault in left_out] == ["z.jpg"]
        assert (project.folder / "left-out.txt").read_text().startswith("z.jpg: The image file is")
        assert predict.predict(project, made.images, **places, left_out=[]) == 15
        assert not (project.folder / "left-out.txt").exists()
        tasks = project.tasks()
    assert not list((tmp_path / "plain").rglob("*.npz"))
    for name in made.names:
        stem, size = Path(name).stem, (32, 64) if int(Path(name).stem) % 2 == 0 else (48, 40)
        soft = {task: read_soft(tmp_path / f"out/{task}/{stem}.npz") for task in tasks}
        hard = {
            task: tasks[task].read(tmp_path / f"out/{task}/{stem}.png")
            for task in ("semseg", "edges")
        }
        assert {task: array.shape for task, array in soft.items()} == {
            "semseg": (4, *size),
            "depth": (1, *size),
            "edges": (1, *size),
        }
        assert soft["semseg"].sum(0) == pytest.approx(np.ones(size), abs=1e-4)
        assert (soft["semseg"].argmax(0) == hard["semseg"].value[..., 0]).mean() > 0.99
        assert ((soft["edges"][0] > 0.5) == hard["edges"].value[..., 0]).mean() > 0.99
        assert np.isfinite(soft["depth"]).all()


def test_known_labels_are_counted_and_refused_where_they_cannot_be_fed_in(tmp_path: Path) -> None:
    project, made = make_project(tmp_path, n=5, holdout=0, tasks=("semseg", "depth", "edges"))
    said: list[str] = []
    heard = Silent()
    heard.say = said.append  # type: ignore[method-assign]
    with project:
        query.query(project, Budget(3, "images"), Silent())
        answer(project, made)
        fit.fit(project, Silent(), changes={"train": {"epochs": 1}})
        known = tmp_path / "known"
        shutil.copytree(made.root / "labels" / "depth", known / "depht")
        with pytest.raises(
            LabelError, match=r"(?s)None of the known labels.*tasks are semseg, depth, edges"
        ) as caught:
            predict.predict(
                project, made.images, out=tmp_path / "out", known_labels=known, progress=Silent()
            )
        assert str(known) in str(caught.value) and not (tmp_path / "out").exists()
        (known / "depht").rename(known / "depth")
        (known / "edge").mkdir()
        assert (
            predict.predict(
                project, made.images, out=tmp_path / "out", known_labels=known, progress=heard
            )
            == 15
        )
        assert said[:2] == [
            "Not fed in, as no task has this name: edge.",
            "Feeding in known labels: 5 of depth.",
        ]
        fit.fit(
            project, Silent(), changes={"train": {"epochs": 1}, "network": {"name": "shared_heads"}}
        )
        with pytest.raises(UsageError, match="'shared_heads' has one stage"):
            predict.predict(
                project, made.images, out=tmp_path / "out2", known_labels=known, progress=Silent()
            )
