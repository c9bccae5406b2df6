"""A person labels depth alone; normals are predicted by a relation, also for a task that is added later."""

from pathlib import Path

import numpy as np

from labelgrid.project.folder import ProjectFolder
from tests.e2e.commands import done
from tests.projects import RECIPE
from tests.support import Made, make_dataset

RELATION = "\n[changes.relations.depth_normals]\ntrust = 0.5\noptions = { residual = 60.0 }\n"


def trained(folder: Path, *tasks: str) -> tuple[Path, Made]:
    """A project whose network learned from labels of depth, and its images."""
    made = make_dataset(folder / "made", n=8, size=(48, 64), tasks=("depth",))
    (folder / "tiny.toml").write_text(RECIPE)
    flat = folder / "flat"
    words: list[object] = ["--recipe", folder / "tiny.toml"]
    for task in tasks:
        words += ["--task", task]
    done("init", flat, "--images", made.images, *words)
    done("import", flat, made.labels)
    done("fit", flat, "--epochs", "8")
    return flat, made


def switch_on(flat: Path) -> None:
    """Declare the camera, and the relation."""
    (flat / "camera.toml").write_text("field_of_view = 64.0\n")
    settings = flat / "labelgrid.toml"
    settings.write_text(settings.read_text() + RELATION)


def test_normals_of_a_task_that_was_added_later_follow_from_predicted_depth(tmp_path: Path) -> None:
    flat, made = trained(tmp_path, "depth")
    done("add", flat, "--task", "normals")
    switch_on(flat)
    assert "Wrote 16 predictions" in done("predict", flat, made.images, "--out", tmp_path / "o").out
    with ProjectFolder.open(flat) as project:
        label = project.tasks()["normals"].read(tmp_path / "o" / "normals" / "0003.png")
    assert label.valid.mean() > 0.5
    assert np.mean(label.value[label.valid][:, 2] > 0) > 0.9  # they face the camera


def test_a_relation_changes_predictions_that_were_not_learned_and_no_measurement(
    tmp_path: Path,
) -> None:
    flat, made = trained(tmp_path, "depth", "normals")
    measured = done("evaluate", flat, made.labels, "--json").out
    done("predict", flat, made.images, "--out", tmp_path / "before")
    switch_on(flat)
    assert done("evaluate", flat, made.labels, "--json").out == measured
    for choice in ("none", "missing"):
        out = tmp_path / choice
        done("predict", flat, made.images, "--out", out, "--relations", choice)
        for task in ("depth", "normals"):
            path = Path(task) / "0003.png"
            same = (out / path).read_bytes() == (tmp_path / "before" / path).read_bytes()
            assert same == (choice == "none" or task == "depth")
