"""Laws of the comparison of labels with those that follow from others of their images."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from labelgrid.audit.audit import audit
from labelgrid.basics.camera import Camera
from labelgrid.basics.progress import Silent
from labelgrid.evidence.relation_evidence import (
    MEAN,
    coarse_label,
    relation_agreement,
    usually_holds,
)
from labelgrid.formats.codec import LabelArray
from labelgrid.imports.import_doubts import DoubtedImport
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import TaskRow
from labelgrid.operations import create
from labelgrid.operations.verify import verify
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.known_labels import ProjectLabels
from labelgrid.project.settings import Settings
from labelgrid.relations.bound import bind
from labelgrid.relations.choice import RelationChoice
from labelgrid.tasks.task import definitions
from tests.support import Made, make_dataset, make_scene

#: Too small for edges of images to say anything of labels.
SIZE = (96, 120)
ROWS = [TaskRow("depth", "depth", 1.0), TaskRow("normals", "normals", 1.0)]
RELATION = bind("depth_normals", RelationChoice(), definitions(ROWS))
CAMERA = Camera.of_view(66.0, SIZE)
EVERYWHERE = np.ones(SIZE, np.bool_)


def pairs(count: int) -> tuple[list[LabelArray], list[LabelArray]]:
    """The normals of scenes, and those that follow from their depth."""
    generator = np.random.default_rng(0)
    labels = []
    derived = []
    for _ in range(count):
        scene = make_scene(generator, SIZE)
        depth = LabelArray(scene.depth[..., None].astype(np.float32), EVERYWHERE)
        normals = LabelArray(scene.normals.astype(np.float32), EVERYWHERE)
        labels.append(coarse_label(normals, 0))
        derived.append(coarse_label(RELATION.label({"depth": depth}, CAMERA), 0))
    return labels, derived


def test_a_right_label_agrees_and_that_of_another_image_does_not() -> None:
    labels, derived = pairs(13)
    for place in range(12):
        others = [*derived[:place], *derived[place + 1 :]]
        own = relation_agreement(labels[place], derived[place], others)
        other = relation_agreement(labels[place + 1], derived[place], others)
        assert own is not None and other is not None
        assert own > MEAN > other


def test_too_little_says_nothing() -> None:
    labels, derived = pairs(4)
    assert relation_agreement(labels[0], derived[0], derived[1:3]) is None
    hidden = LabelArray(derived[0].value, np.zeros_like(derived[0].valid))
    assert relation_agreement(labels[0], hidden, derived[1:]) is None
    flat = LabelArray(np.ones_like(labels[0].value), labels[0].valid)
    assert relation_agreement(flat, derived[0], derived[1:]) is None
    assert usually_holds([9.0] * 8) and not usually_holds([9.0] * 7)
    assert not usually_holds([5.0] * 8)


def test_classes_are_compared_by_their_shares() -> None:
    value = np.zeros((*SIZE, 1), np.int64)
    value[:, 60:] = 1
    coarse = coarse_label(LabelArray(value, EVERYWHERE), 3)
    assert coarse.value[0, 0].tolist() == [1, 0, 0] and coarse.value[0, -1].tolist() == [0, 1, 0]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("relations") / "made"
    return make_dataset(folder, n=24, size=SIZE, tasks=("depth", "normals"))


def project_of(folder: Path, made: Made, trust: float = 0.0) -> ProjectFolder:
    changes = {"relations": {"depth_normals": {"trust": trust}}} if trust else {}
    return create.create(
        folder / "project",
        [made.images],
        tasks=list(made.rows),
        settings=Settings(changes=changes),
        progress=Silent(),
    )


def batch(out: Path, made: Made, names: list[str], exchanged: int) -> Path:
    """The labels of images, the normals of the first so many each the next one's."""
    for place, name in enumerate(names):
        other = names[(place + 1) % exchanged] if place < exchanged else name
        for task, source in (("depth", name), ("normals", other)):
            target = (out / task / name).with_suffix(".png")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made.label(source, task), target)
    return out


def test_shipped_relations_that_fit_are_checked_and_others_are_not(
    tmp_path: Path, data: Made
) -> None:
    with project_of(tmp_path, data) as project:
        assert [relation.name for relation in ProjectLabels(project).relations] == ["depth_normals"]
    alone = make_dataset(tmp_path / "made", n=2, tasks=("depth",))
    with project_of(tmp_path / "alone", alone) as project:
        assert ProjectLabels(project).relations == []


def test_exchanged_files_stop_an_import_where_the_relation_held_before(
    tmp_path: Path, data: Made
) -> None:
    with project_of(tmp_path, data) as project:
        import_labels(project, batch(tmp_path / "right", data, list(data.names[:12]), 0))
        late = list(data.names[12:])
        with pytest.raises(DoubtedImport, match=r"relation 'depth_normals'\): agreement"):
            import_labels(project, batch(tmp_path / "exchanged", data, late, len(late)))
        import_labels(project, batch(tmp_path / "late", data, late, 0))


@pytest.mark.parametrize("trust", [0.0, 0.5])
def test_the_first_labels_are_stopped_only_by_a_relation_that_is_on(
    tmp_path: Path, data: Made, trust: float
) -> None:
    names = list(data.names[:12])
    exchanged = batch(tmp_path / "exchanged", data, names, len(names))
    with project_of(tmp_path, data, trust) as project:
        if trust:
            with pytest.raises(DoubtedImport, match="relation 'depth_normals'"):
                import_labels(project, exchanged)
        else:
            import_labels(project, exchanged)


def test_two_exchanged_files_are_the_first_of_an_audit_and_a_remark_of_verify(
    tmp_path: Path, data: Made
) -> None:
    names = list(data.names)
    with project_of(tmp_path, data) as project:
        import_labels(project, batch(tmp_path / "labels", data, names, 2), accept=True)
        audited = audit(project, 0, Silent())
        first = [label for label in audited.labels if label.place <= 2 and label.task == "normals"]
        verified = verify(project, Silent())
    assert {label.image for label in first} == set(names[:2])
    assert all("'depth_normals'" in "".join(label.reasons) for label in first)
    assert not verified.faults
    (remark,) = verified.remarks
    assert "normals contradicts what follows from depth (relation 'depth_normals') in" in remark
    assert "labelgrid audit" in str(verified)
