"""Laws of relations that need cameras: who is trained on what follows, and what is said."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from labelgrid.basics.errors import RecipeError
from labelgrid.basics.progress import Silent
from labelgrid.data.project_source import ProjectSource
from labelgrid.imports.import_labels import import_labels
from labelgrid.imports.import_supplied import import_supplied
from labelgrid.operations.cancel import unlabel
from labelgrid.project.folder import ProjectFolder
from labelgrid.relations.bound import BoundRelation
from labelgrid.rounds import fit
from labelgrid.rounds.context import context_of
from labelgrid.rounds.filled_labels import FilledLabels, check_cameras
from labelgrid.rounds.models import new_network
from labelgrid.rounds.training_history import training_history
from labelgrid.train.plan import Plan
from tests.projects import Said, make_project
from tests.rounds import QUICK

ON: dict[str, Any] = QUICK | {"relations": {"depth_normals": {"trust": 0.5}}}
OFF: dict[str, Any] = QUICK | {"relations": {"depth_normals": {"trust": 0.0}}}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ProjectFolder]:
    """A project of images of 32x64 and 48x40, of which six have a label of depth, and no other."""
    project, made = make_project(tmp_path, n=8, tasks=("depth", "normals"))
    shutil.copytree(made.labels / "depth", tmp_path / "labels" / "depth")
    with project:
        import_labels(project, tmp_path / "labels")
        yield project


def plan_of(project: ProjectFolder, changes: dict[str, Any]) -> Plan:
    context = context_of(project, changes=changes)
    return fit.plan_of(context, new_network(context, Silent(), None))


def test_normals_follow_where_the_camera_is_known_and_the_others_are_said_once(
    project: ProjectFolder,
) -> None:
    (project.folder / "camera.toml").write_text("fx = 60\nsize = [32, 64]\n")
    plan = plan_of(project, ON)
    wide = {row.image_id for row in project.store.images(("train",)) if row.height == 32}
    assert plan.derived == {image_id: frozenset({"normals"}) for image_id in wide}
    label = plan.source.label(min(wide), plan.definitions["normals"])
    assert label is not None and np.allclose(np.linalg.norm(label.value[label.valid], axis=-1), 1)
    said = Said()
    fit.fit(project, said, changes=ON)
    lines = [line for line in said.lines if "camera" in line]
    assert len(lines) == 1
    assert lines[0].startswith(
        f"'normals' follows from 'depth' in {len(wide)} of 6 images; the camera of {6 - len(wide)} is "
        "unknown, such as that of '"
    )
    assert lines[0].endswith("', 48x40.")


def test_a_label_is_derived_once_not_in_each_epoch(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.folder / "camera.toml").write_text("field_of_view = 66.0")
    derived = Counter[str]()
    label = BoundRelation.label

    def counted(self: BoundRelation, labels: Any, camera: Any) -> Any:
        derived["labels"] += 1
        return label(self, labels, camera)

    monkeypatch.setattr(BoundRelation, "label", counted)
    record = fit.fit(project, Silent(), changes=ON | {"train": {**QUICK["train"], "epochs": 3}})
    assert derived["labels"] == record.filled["normals"] == 6


def test_the_camera_of_an_image_is_found_once_for_all_that_a_fit_asks_of_it(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.folder / "camera.toml").write_text("field_of_view = 66.0")
    asked = Counter[str]()
    camera = ProjectSource.camera

    def counted(self: ProjectSource, image_id: str, size: tuple[int, int]) -> Any:
        asked[image_id] += 1
        return camera(self, image_id, size)

    monkeypatch.setattr(ProjectSource, "camera", counted)
    context = context_of(project, changes=ON)
    splits = fit.splits_for_training(context, Silent())
    check_cameras(FilledLabels(context, splits[0]), Silent())
    network = new_network(context, Silent(), None)
    plan = fit.plan_of(context, network, splits=splits)
    assert len(plan.derived) == 6
    assert asked == dict.fromkeys(plan.derived, 1)


def test_what_follows_is_worth_trust_times_coverage_and_nothing_where_its_label_was_bought(
    project: ProjectFolder, tmp_path: Path
) -> None:
    (project.folder / "camera.toml").write_text("field_of_view = 66.0")
    bought = min((tmp_path / "labels" / "depth").iterdir()).name
    (tmp_path / "more" / "normals").mkdir(parents=True)
    shutil.copy(tmp_path / "made" / "labels" / "normals" / bought, tmp_path / "more" / "normals")
    import_labels(project, tmp_path / "more")
    relation = {"depth_normals": {"trust": 0.5, "coverage": 0.8}}
    record = fit.fit(project, Silent(), changes=ON | {"relations": relation})
    assert record.labels == {"depth": 6, "normals": 1} and record.filled == {"normals": 5}
    assert record.derived == pytest.approx({"normals": 5 * 0.5 * 0.8})
    (trained,) = training_history(project.folder)
    assert (trained.labels, trained.derived) == (record.labels, record.derived)


def test_without_any_known_camera_nothing_is_trained(project: ProjectFolder) -> None:
    with pytest.raises(RecipeError) as error:
        fit.fit(project, Silent(), changes=ON)
    assert "'normals' follows from 'depth' through the image's camera" in error.value.what
    assert "that of no training image is known; 6 are needed" in error.value.what
    assert str(project.folder / "camera.toml") in error.value.next_step
    assert error.value.unchanged == "Nothing was trained."
    assert not (project.round_folder(project.round_number) / "fit").exists()


def test_if_only_images_without_labels_have_cameras_the_rest_is_trained(
    project: ProjectFolder,
) -> None:
    """The first rounds of a campaign may have labelled none of the images with a camera."""
    with_camera = min(row.image_id for row in project.store.images(("train",)))
    (project.folder / "camera.toml").write_text('table = "cameras.csv"')
    (project.folder / "cameras.csv").write_text(f"image,field_of_view\n{with_camera},60\n")
    unlabel(project, [f"{with_camera}:depth"])
    said = Said()
    assert fit.fit(project, said, changes=ON).labels == {"depth": 5}
    assert any("in 0 of 5 images; the camera of 5 is unknown" in line for line in said.lines)


def test_a_relation_that_is_off_needs_no_camera_and_a_camera_then_changes_nothing(
    project: ProjectFolder,
) -> None:
    without = plan_of(project, QUICK).identity
    (project.folder / "camera.toml").write_text("field_of_view = 60.0\n")
    assert plan_of(project, OFF).identity == without and not plan_of(project, OFF).derived


def test_another_camera_is_another_training(project: ProjectFolder) -> None:
    identities = []
    for degrees in (60, 60, 61):
        (project.folder / "camera.toml").write_text(f"field_of_view = {degrees}\n")
        identities.append(plan_of(project, ON).identity)
    assert identities[0] == identities[1] != identities[2]


def given(project: ProjectFolder, declared: str, trust: float) -> dict[str, Any]:
    """Changes that trust a supplier, who gave the depth of all images."""
    place = project.folder.parent
    shutil.copytree(place / "made" / "labels" / "depth", place / "given" / "depth")
    (place / "given/supplier.toml").write_text(declared)
    import_supplied(project, place / "given", supplier="s", accept=True)
    (project.folder / "camera.toml").write_text("field_of_view = 66.0")
    return ON | {"suppliers": {"s": {"tasks": {"depth": trust}}}}


def test_normals_follow_from_supplied_depth_with_the_trust_in_both(
    project: ProjectFolder,
) -> None:
    (cell,) = [f"{row.image_id}:depth" for row in project.store.images(("train",))][:1]
    unlabel(project, [cell])
    image_id = cell.removesuffix(":depth")
    changes = given(project, 'up_to = "scale"\n', 0.4)
    changes["train"] = {**QUICK["train"], "images": "all"}
    plan = plan_of(project, changes)
    assert plan.derived[image_id] == {"depth", "normals"}
    normals = plan.source.label(image_id, plan.definitions["normals"])
    assert normals is not None and normals.unsure is None
    weight = plan.source.weight  # type: ignore[attr-defined]
    assert weight(image_id, "normals") == pytest.approx(0.5 * 0.4)
    others = plan.derived.keys() - {image_id}
    assert len(others) == 5 and {weight(name, "normals") for name in others} == {0.5}
    held = [row.image_id for row in project.store.images(("heldout",))]
    assert not plan.derived.keys() & set(held)
    for name in held:
        assert plan.source.label(name, plan.definitions["normals"]) is None
    without = plan_of(project, changes | {"suppliers": {"s": {"tasks": {"depth": 0.0}}}})
    assert without.identity == plan_of(project, {**ON, "train": changes["train"]}).identity
    assert "on supplied" in plan.identity and "on supplied" not in without.identity
    context = context_of(project, changes=changes)
    worth = FilledLabels(context, plan.train).worth()
    assert worth == pytest.approx({"depth": 0.4, "normals": 5 * 0.5 + 0.5 * 0.4})


def test_depth_up_to_a_shift_gives_no_normals_and_the_training_goes_on(
    project: ProjectFolder,
) -> None:
    (cell,) = [f"{row.image_id}:depth" for row in project.store.images(("train",))][:1]
    unlabel(project, [cell])
    changes = given(project, 'up_to = "scale-shift"\n', 0.4)
    changes["train"] = {**QUICK["train"], "images": "all"}
    said = Said()
    record = fit.fit(project, said, changes=changes)
    assert record.filled == {"depth": 1, "normals": 5}
    (line,) = [line for line in said.lines if "sparse sensor" in line]
    assert line == (
        "'normals' does not follow from 'depth' of s in 1 image: depth up to a scale and a shift "
        "gives normals only after a fit to true depth of that image, such as of a sparse sensor."
    )


def test_a_sparse_true_label_is_the_measure_of_a_supplied_map(project: ProjectFolder) -> None:
    image_id = min(row.image_id for row in project.store.images(("train",)))
    path = project.folder.parent / "sparse/depth" / f"{Path(image_id).stem}.png"
    path.parent.mkdir(parents=True)
    label = project.folder.parent / "made/labels/depth" / path.name
    pixels = np.asarray(cv2.imread(str(label), cv2.IMREAD_UNCHANGED))
    sparse = np.zeros_like(pixels)
    sparse[::3, ::3] = pixels[::3, ::3]
    cv2.imwrite(str(path), sparse)
    import_labels(project, path.parents[1], replace=True, accept=True)
    plan = plan_of(project, given(project, 'up_to = "scale-shift"\n', 0.4))
    assert plan.derived[image_id] == {"normals"}
    assert plan.source.weight(image_id, "normals") == pytest.approx(0.2)  # type: ignore[attr-defined]
    found = plan.source.label(image_id, plan.definitions["normals"])
    assert found is not None and found.valid.mean() > 0.5
