"""Laws of predictions that follow from others of the same image."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import LabelError
from labelgrid.basics.progress import Silent
from labelgrid.data.data_options import DataOptions
from labelgrid.data.frame import Frame
from labelgrid.data.transforms import fit_placement
from labelgrid.formats.codec import LabelArray
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import TaskRow
from labelgrid.operations.extend import add
from labelgrid.project.folder import ProjectFolder
from labelgrid.relations.bound import bind
from labelgrid.relations.choice import RelationChoice
from labelgrid.relations.relation import Derive, Relation
from labelgrid.rounds import fit, predict
from labelgrid.rounds.derived_predictions import ImagePredictions, derived_tasks
from labelgrid.tasks.task import TaskDef, build_all, definitions
from tests.projects import Said, make_project
from tests.support import Made

SIZE = (24, 32)
DEFINED = definitions([TaskRow("depth", "depth", 1.0), TaskRow("normals", "normals", 1.0)])
NORMALS = bind("depth_normals", RelationChoice(trust=1.0), DEFINED)
FRONTAL = "tests.unit.rounds.test_derived_predictions:frontal"


@dataclass(frozen=True)
class Options:
    """No options."""


def frontal(_options: object) -> Relation:
    """Takes what is nearer than 1 km for walls that face the camera, in the image's left half."""

    def derive(labels: Sequence[LabelArray], _camera: Camera | None) -> LabelArray:
        (depth,) = labels
        value = np.zeros((*depth.size, 3), np.float32)
        value[..., 2] = 1
        near = depth.value[..., 0] < 1000
        near[:, depth.size[1] // 2 :] = False
        return LabelArray(value, near)

    def between(_reads: Sequence[TaskDef], _gives: TaskDef) -> Derive:
        return derive

    return Relation(reads=("depth",), gives="normals", between=between)


def image(relation_camera: Camera | None, learned: Sequence[str]) -> ImagePredictions:
    """A wall 2 m away, whose predicted normals point to the right."""
    right = torch.zeros(3, 6, 8)
    right[0] = 3
    tasks = build_all(DEFINED)
    return ImagePredictions(
        tasks=tasks,
        definitions=DEFINED,
        raws={"depth": torch.full((1, 6, 8), 2.0), "normals": right},
        learned=learned,
        frame=Frame.of(SIZE, fit_placement(SIZE, DataOptions(size=SIZE))),
        camera=relation_camera,
    )


def test_a_head_that_learned_nothing_gives_way_to_what_follows() -> None:
    label = image(Camera.of_view(66.0, SIZE), ["depth"]).derived(NORMALS)
    assert label.valid.all()
    np.testing.assert_allclose(label.value, np.broadcast_to([0, 0, 1], (*SIZE, 3)), atol=1e-5)


def test_the_mean_of_both_weighs_what_follows_by_its_trust_where_it_is_sure() -> None:
    relation = bind("frontal", RelationChoice(plugin=FRONTAL, trust=0.5), DEFINED)
    label = image(None, ["depth", "normals"]).derived(relation)
    between = np.array([2.0, 0.0, 1.0]) / np.sqrt(5)
    np.testing.assert_allclose(label.value[12, 4], between, atol=1e-5)
    np.testing.assert_allclose(label.value[12, 28], [1, 0, 0], atol=1e-5)


def test_without_a_camera_the_head_alone_predicts_or_nothing_does() -> None:
    label = image(None, ["depth", "normals"]).derived(NORMALS)
    np.testing.assert_allclose(label.value[12, 4], [1, 0, 0], atol=1e-5)
    with pytest.raises(LabelError, match="camera, which is unknown"):
        image(None, ["depth"]).derived(NORMALS)


@pytest.mark.parametrize("name", ["semseg_edges", "classes_saliency"])
def test_edges_and_the_salient_object_follow_from_predicted_classes(
    name: str, tmp_path: Path
) -> None:
    options = {"classes": ["wall", "person"]}
    rows = [TaskRow("semseg", "semseg", 1.0, options)]
    rows += [TaskRow(kind, kind, 1.0) for kind in ("edges", "saliency")]
    defined = definitions(rows)
    relation = bind(name, RelationChoice(trust=1.0), defined)
    raw = torch.zeros(2, *SIZE)
    raw[1, :, 16:] = 5.0
    raw[0, :, :16] = 5.0
    predictions = replace(
        image(None, ["semseg"]), tasks=build_all(defined), definitions=defined, raws={"semseg": raw}
    )
    path = tmp_path / "out.png"
    predictions.write(relation.gives, relation, path)
    lit = defined[relation.gives].read(path).value[12, :, 0] >= 0.5
    wanted = [15] if name == "semseg_edges" else [*range(16, 32)]
    assert lit.nonzero()[0].tolist() == wanted
    raw[1] = -9.0  # all is wall
    predictions = replace(predictions, raws={"semseg": raw})
    predictions.write(relation.gives, relation, path)
    assert not defined[relation.gives].read(path).value.any()


def test_only_learned_tasks_are_read_and_only_wanted_ones_derived() -> None:
    other = replace(NORMALS, name="second")
    both = [NORMALS, other]
    assert derived_tasks(both, {"depth"}, "missing") == {"normals": NORMALS}
    assert derived_tasks(both, {"depth", "normals"}, "missing") == {}
    assert derived_tasks(both, {"depth", "normals"}, "mean") == {"normals": NORMALS}
    assert derived_tasks(both, {"depth"}, "none") == derived_tasks(both, set(), "mean") == {}


def trained(folder: Path, tasks: tuple[str, ...]) -> tuple[ProjectFolder, Made]:
    """A project of these tasks, trained on labels of depth alone."""
    project, made = make_project(folder, n=5, holdout=0, tasks=tasks)
    shutil.copytree(made.labels / "depth", folder / "known" / "depth")
    import_labels(project, folder / "known", accept=True)
    fit.fit(project, Silent(), changes={"train": {"epochs": 1}})
    return project, made


def switch_on(project: ProjectFolder, plugin: str) -> ProjectFolder:
    """The project with a relation in its settings."""
    path = project.folder / "labelgrid.toml"
    table = f'\n[changes.relations.nearby]\nplugin = "{plugin}"\ntrust = 0.5\n'
    path.write_text(path.read_text() + table)
    project.close()
    return ProjectFolder.open(project.folder)


def written(out: Path, task: str) -> list[str]:
    return sorted(path.name for path in (out / task).glob("*")) if (out / task).is_dir() else []


def test_predictions_of_a_task_without_labels_follow_from_a_relation_that_is_on(
    tmp_path: Path,
) -> None:
    project, made = trained(tmp_path, ("depth", "normals"))
    said = Said()
    predict.predict(project, made.images, tmp_path / "plain", None, said)
    assert "No label of 'normals' was learned: its predictions mean nothing." in said.lines
    with switch_on(project, FRONTAL) as changed:
        out = tmp_path / "out"
        assert predict.predict(changed, made.images, out, None, Silent(), soft=True) == 10
        label = changed.tasks()["normals"].read(out / "normals" / "0000.png")
        none = tmp_path / "none"
        predict.predict(changed, made.images, none, None, Silent(), relations="none")
    left = label.valid[:, : label.size[1] // 2]
    assert left.all() and not label.valid[:, label.size[1] // 2 :].any()
    np.testing.assert_allclose(label.value[5, 5], [0, 0, 1], atol=0.01)
    assert len(written(out, "normals")) == 5 and len(written(out, "depth")) == 10
    same = (none / "normals" / "0000.png").read_bytes()
    assert same == (tmp_path / "plain" / "normals" / "0000.png").read_bytes()


def test_a_task_that_was_added_after_the_training_has_no_head_and_follows(tmp_path: Path) -> None:
    project, made = trained(tmp_path, ("depth",))
    add(project, [], [TaskRow("normals", "normals", 1.0)], "full", Silent())
    with switch_on(project, FRONTAL) as changed:
        out = tmp_path / "out"
        assert predict.predict(changed, made.images, out, None, Silent()) == 10
        assert changed.tasks()["normals"].read(out / "normals" / "0001.png").valid.any()


def test_what_needs_an_unknown_camera_is_said_and_not_written(tmp_path: Path) -> None:
    project, made = trained(tmp_path, ("depth", "normals"))
    said = Said()
    with switch_on(project, "depth_normals") as changed:
        assert predict.predict(changed, made.images, tmp_path / "out", None, said) == 5
    assert any(
        line.startswith("normals of 0000.jpg was not written: Normals") for line in said.lines
    )
    assert not written(tmp_path / "out", "normals")
