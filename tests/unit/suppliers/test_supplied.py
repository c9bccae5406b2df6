"""Labels of suppliers in a training: as far as they are trusted, and nowhere else."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from labelgrid.basics.errors import RecipeError
from labelgrid.basics.progress import Silent
from labelgrid.data.data_options import SupplierChoice
from labelgrid.imports.import_labels import import_labels
from labelgrid.imports.import_supplied import import_supplied
from labelgrid.ledger.grid import Cell
from labelgrid.operations.task_change import TaskChange, change_task, drop_task
from labelgrid.operations.verify import verify
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.other_labels import other_labels
from labelgrid.project.sources import source_of
from labelgrid.rounds import fit
from labelgrid.rounds.context import context_of, labelled_images
from labelgrid.rounds.models import new_network
from labelgrid.suppliers.supplied import (
    bind_supplier,
    pairs,
    supplied_labels,
    trust_by_supplier,
)
from labelgrid.train.plan import Plan
from tests.rounds import QUICK, copied, labelled
from tests.support import Made

TRUST: dict[str, Any] = {**QUICK, "suppliers": {"s": {"trust": 0.3}}}
OFF: dict[str, Any] = {**QUICK, "suppliers": {"s": {"trust": 0.0}, "nobody": {}}}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ProjectFolder, Made]]:
    """A project with labels of some cells of its training images, and no supplier."""
    project, made = labelled(
        tmp_path_factory.mktemp("bare"), images=2, strategy="random_cells", holdout=3
    )
    with project:
        yield project, made


@pytest.fixture(scope="module")
def supplied(
    bare: tuple[ProjectFolder, Made], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ProjectFolder, Made]]:
    """The same project, with the labels of a supplier for all images: half the depth."""
    project, made = bare
    folder = tmp_path_factory.mktemp("supplied")
    shutil.copytree(made.labels, folder / "given")
    for path in (folder / "given/depth").iterdir():
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), pixels // 2)
    with copied(project, folder / "flat") as other:
        import_supplied(other, folder / "given", supplier="s", cost=0.01)
        yield other, made


def plan_with(project: ProjectFolder, changes: dict[str, Any]) -> Plan:
    context = context_of(project, changes=changes)
    return fit.plan_of(context, new_network(context, Silent()))


def test_missing_labels_of_training_images_are_the_supplier_s(
    supplied: tuple[ProjectFolder, Made],
) -> None:
    project, made = supplied
    plan = plan_with(project, TRUST)
    task = plan.definitions["depth"]
    kept = source_of(project)
    seen = set()
    for image_id in plan.train:
        label = plan.source.label(image_id, task)
        assert label is not None
        true = Cell(image_id, "depth") in kept.labels
        seen.add(true)
        truth = task.read(made.label(image_id, "depth"))
        factor = 1 if true else 0.5
        np.testing.assert_allclose(label.value, truth.value * factor, atol=0.001)
        weight = plan.source.weight(image_id, "depth")  # type: ignore[attr-defined]
        assert weight == (kept.weight(image_id, "depth") if true else 0.3)
    assert seen == {True, False}
    assert plan.label_sets == {frozenset({"semseg", "depth", "normals"})}
    assert plan.steps == plan_with(project, QUICK).steps


def test_images_that_measure_get_no_supplied_label(supplied: tuple[ProjectFolder, Made]) -> None:
    project, _ = supplied
    plan = plan_with(project, TRUST)
    for image_id in labelled_images(project, "heldout"):
        assert image_id not in plan.derived
    ids = [*plan.train, *plan.val]
    network = plan.network
    context = context_of(project, changes=TRUST)
    swapped = fit.plan_of(context, network, splits=(ids[:1], ids[1:]))
    assert set(swapped.derived) <= set(ids[:1])


def test_a_true_label_overrules(supplied: tuple[ProjectFolder, Made], tmp_path: Path) -> None:
    project, made = supplied
    with copied(project, tmp_path / "flat") as other:
        import_labels(other, made.labels, replace=True, accept=True)
        plan = plan_with(other, TRUST)
    assert len(plan.train) == 7 and plan.derived == {}


def test_a_supplier_that_is_not_trusted_changes_no_bit_and_no_metric(
    bare: tuple[ProjectFolder, Made], supplied: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    results = {}
    for name, (project, _), changes in (
        ("bare", bare, QUICK),
        ("off", supplied, OFF),
        ("on", supplied, TRUST),
    ):
        with copied(project, tmp_path / name / "flat") as other:
            done = fit.fit(other, Silent(), changes=changes)
            identity = plan_with(other, changes).identity
            results[name] = (done.model, identity, other.round_folder(done.round))
    assert results["bare"][:2] == results["off"][:2]
    assert results["on"][0] != results["bare"][0] and results["on"][1] != results["bare"][1]
    measured = [results[name][2] / "heldout.json" for name in ("bare", "off")]
    assert measured[0].read_bytes() == measured[1].read_bytes()


def test_labels_are_counted_without_supplied_ones(
    bare: tuple[ProjectFolder, Made], supplied: tuple[ProjectFolder, Made]
) -> None:
    assert plan_with(supplied[0], TRUST).labels == plan_with(bare[0], QUICK).labels
    assert supplied[0].store.spent() == bare[0].store.spent()


def test_other_labels_of_the_supplier_are_another_training(
    supplied: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    project, made = supplied
    with copied(project, tmp_path / "flat") as other:
        before = plan_with(other, TRUST).identity
        assert plan_with(project, TRUST).identity == before
        import_supplied(other, made.labels, supplier="s")
        assert plan_with(other, TRUST).identity != before


def test_a_trust_in_a_dropped_task_counts_for_nothing(
    supplied: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    choices = {"s": SupplierChoice(tasks={"depth": 0.5, "normals": 0.4})}
    with copied(supplied[0], tmp_path / "flat") as project:
        drop_task(project, "depth")
        found = trust_by_supplier(project, choices, project.tasks())
        assert found == {"s": {"normals": 0.4}}


def test_trust_may_differ_by_task(supplied: tuple[ProjectFolder, Made]) -> None:
    changes = {**QUICK, "suppliers": {"s": {"tasks": {"depth": 0.2}}}}
    plan = plan_with(supplied[0], changes)
    assert set().union(*plan.derived.values()) == {"depth"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"nobody": {"trust": 0.5}}, "the supplier 'nobody', of whom the project has no labels"),
        ({"s": {"tasks": {"dept": 0.5}}}, "names dept, which is not a task"),
        ({"s": {"trust": 2.0}}, "trust lies between 0 and 1"),
        ({"s": {"trust": 0.5, "folder": "net"}}, "(?s)which only a study reads.*import .* net "),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused(
    supplied: tuple[ProjectFolder, Made], table: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        context_of(supplied[0], changes={"suppliers": table})


def test_pairs_are_training_images_with_both_labels(supplied: tuple[ProjectFolder, Made]) -> None:
    project, _ = supplied
    context = context_of(project)
    task = context.definitions["depth"]
    train = labelled_images(project, "train")
    found = list(pairs(project, "s", task, source=context.source, image_ids=train))
    known = {cell.image_id for cell in context.source.labels if cell.task == "depth"}
    assert {image_id for image_id, _, _ in found} == known.intersection(train)
    assert len(found) == len(known.intersection(train)) >= 2
    for _, true, given in found:
        both = true.valid & given.valid
        np.testing.assert_allclose(given.value[both], true.value[both] / 2, atol=0.001)
    held = labelled_images(project, "heldout")
    assert not list(pairs(project, "s", task, source=context.source, image_ids=held))


@pytest.mark.parametrize("key", ["up_to", "align"])  # the name of before
@pytest.mark.parametrize("up_to", ["scale", "scale-shift"])
def test_maps_of_another_scale_are_fitted_in_their_own_numbers(
    supplied: tuple[ProjectFolder, Made], tmp_path: Path, up_to: str, key: str
) -> None:
    project, made = supplied
    folder = tmp_path / "given"
    (folder / "depth").mkdir(parents=True)
    for image_id in made.names:
        metres = cv2.imread(str(made.label(image_id, "depth")), cv2.IMREAD_UNCHANGED) / 1000
        inverse = np.where(metres > 0, 900 / np.maximum(metres, 1e-3), 0) + 7 * (metres > 0)
        np.save(folder / "depth" / f"{image_id[:-4]}.npy", inverse.astype(np.float32))
    (folder / "supplier.toml").write_text(f'{key} = "{up_to}"\nlarger_is_nearer = true\n')
    with copied(project, tmp_path / "flat") as other:
        import_supplied(other, folder, supplier="relative")
        import_labels(other, made.labels, replace=True, accept=True)
        context = context_of(other)
        task = context.definitions["depth"]
        train = labelled_images(other, "train")
        found = list(pairs(other, "relative", task, source=context.source, image_ids=train))
    assert len(found) == 7
    for _, true, given in found:
        assert given.up_to is not None
        assert given.up_to.shift == (up_to == "scale-shift") and given.up_to.inverse
        both = true.valid & given.valid
        metres = true.value[..., 0][both]
        np.testing.assert_allclose(given.value[..., 0][both], 900 / metres + 7, rtol=1e-3)


def test_relative_maps_are_read_after_a_largest_value_is_declared(
    supplied: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    project, made = supplied
    folder = tmp_path / "given"
    (folder / "depth").mkdir(parents=True)
    for image_id in made.names:
        metres = cv2.imread(str(made.label(image_id, "depth")), cv2.IMREAD_UNCHANGED) / 1000
        np.save(folder / "depth" / f"{image_id[:-4]}.npy", np.float32(900 * metres))
    (folder / "supplier.toml").write_text('up_to = "scale"\n')
    with copied(project, tmp_path / "flat") as other:
        import_supplied(other, folder, supplier="relative")
        import_labels(other, made.labels, replace=True, accept=True)
        change_task(other, "depth", TaskChange({"maximum": 100.0}), Silent())
        context = context_of(other)
        task = context.definitions["depth"]
        train = labelled_images(other, "train")
        found = list(pairs(other, "relative", task, source=context.source, image_ids=train))
        assert found and all(label.value.max() > 100 for _, _, label in found)
        assert not verify(other, Silent()).faults
        shown = other_labels(other, Cell(found[0][0], "depth"), read_label=lambda _: found[0][1])
        (given,) = (label for label in shown if label.key == "supplied/relative")
        assert given.read().value.max() > 100


def test_without_a_true_label_of_the_task_a_relative_map_is_not_used(
    supplied: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    project, made = supplied
    with copied(project, tmp_path / "flat") as other:
        bound = bind_supplier(other, "s", {"depth": 1.0})
        bound = replace(bound, declared=replace(bound.declared, up_to="scale"))
        labels = supplied_labels(
            other, bound, other.tasks()["depth"], usual=None, image_ids=made.names
        )
    assert labels.files == {}
