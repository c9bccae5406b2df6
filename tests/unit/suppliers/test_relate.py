"""Laws of measuring a project's relations: on which images, and what is proposed and written."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from labelgrid.api.project import Project
from labelgrid.basics.errors import ProjectError, RecipeError
from labelgrid.basics.progress import Silent
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell, Move, State, request_id
from labelgrid.project.cells.drawn_pairs import note_pairs
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.settings import read_settings
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.rounds.context import context_of
from labelgrid.rounds.query import query
from labelgrid.select.strategy import Budget
from labelgrid.suppliers.relate import CAMERAS, Related, relate
from labelgrid.suppliers.relation_trust import RelationRow
from tests.projects import answer, make_project
from tests.support import Made

COVERS = ["labelgrid.suppliers.relation_trust"]
TABLE = "[changes.relations.depth_normals]\ntrust = 0.5\n"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[tuple[ProjectFolder, Made]]:
    """A project of depth and normals without a label: 10 training images, 2 held out."""
    project, made = make_project(tmp_path, n=12, tasks=("depth", "normals"))
    with project:
        yield project, made


def training(project: ProjectFolder) -> list[str]:
    return [row.image_id for row in project.store.images(("train",))]


def label(project: ProjectFolder, made: Made, image_ids: list[str], picked: bool = False) -> None:
    """Import both labels of images; `picked`: a strategy asked for them."""
    if picked:
        number = project.open_round().number
        moves = []
        for image_id in image_ids:
            for task in project.tasks():
                cell = Cell(image_id, task)
                name = request_id(number, cell)
                move = Move(cell=cell, to=State.REQUESTED, round=number, request_id=name, score=1.0)
                moves.append(move)
        project.store.move(moves)
    folder = project.folder.parent / f"answers-{len(image_ids)}-{picked}"
    for image_id in image_ids:
        for task in project.tasks():
            source = made.label(image_id, task)
            target = folder / source.relative_to(made.labels)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    import_labels(project, folder, accept=True)


def declare(project: ProjectFolder, text: str = TABLE) -> ProjectFolder:
    """Add tables to the settings."""
    path = project.folder / SETTINGS
    path.write_text(path.read_text() + text)
    project.settings = read_settings(path)
    return project


def row(related: Related) -> RelationRow:
    (only,) = related.relations
    return only


def test_imported_labels_are_measured_and_it_is_said_that_they_were_not_picked(made) -> None:
    project, data = made
    label(project, data, training(project)[:4])
    found = row(relate(project, Silent()))
    assert found.sample == "4 images imported, not picked"
    assert found.trust is not None and found.trust > 0.5 and not found.declared
    assert found.measured is not None and found.measured.images == 4


def test_held_out_images_and_picked_ones_are_no_random_sample(made) -> None:
    project, data = made
    ids = training(project)
    heldout = [image.image_id for image in project.store.images(("heldout",))]
    label(project, data, heldout)
    label(project, data, ids[:5], picked=True)
    assert row(relate(project, Silent())).sample == "0 images imported, not picked"
    label(project, data, ids[5:8])
    assert row(relate(project, Silent())).sample == "3 images imported, not picked"


def test_drawn_pairs_are_measured_alone(made) -> None:
    project, data = made
    ids = training(project)
    label(project, data, ids[:6])
    label(project, data, ids[6:8], picked=True)
    note_pairs(project, [ids[0], ids[6], ids[9]], ["depth", "normals"])
    assert row(relate(project, Silent())).sample == "2 images drawn at random"


@pytest.mark.parametrize("count", [0, 1])
def test_with_no_pair_or_one_there_is_no_trust_but_the_next_step(made, count: int) -> None:
    project, data = made
    if count:
        label(project, data, training(project)[:count])
    related = relate(project, Silent())
    assert row(related).trust is None and row(related).measured is None
    assert "trust needs at least 2, and 10 are better" in row(related).remark
    assert f"better. `labelgrid query {project.folder} --pairs 10` requests" in row(related).remark
    assert not related.files
    declared = relate(declare(project), Silent())
    assert f"`labelgrid query {project.folder} --pairs 10` requests" in row(declared).remark
    assert row(declared).now == 0.5 and not declared.files  # a given weight stays


def test_nothing_is_written_until_told(made) -> None:
    project, data = made
    label(project, data, training(project)[:4])
    before = (project.folder / SETTINGS).read_bytes()
    related = relate(project, Silent())
    assert set(related.files) == {SETTINGS, CAMERAS} and not related.written
    assert (project.folder / SETTINGS).read_bytes() == before
    assert not (project.folder / CAMERAS).exists()


def test_what_is_written_is_used_and_measured_the_same_again(made) -> None:
    project, data = made
    label(project, data, training(project)[:4])
    with Project(project) as opened:
        related = opened.relate(write=True)
    found = row(related)
    assert related.written and related.files[SETTINGS] in (project.folder / SETTINGS).read_text()
    assert (project.folder / CAMERAS).read_text() == related.files[CAMERAS]
    with ProjectFolder.open(project.folder) as again:
        (relation,) = context_of(again).relations
        assert (relation.trust, relation.name) == (found.trust, "depth_normals")
        assert relation.coverage == round(found.measured.coverage, 2)
        second = relate(again, Silent(), write=True)
        assert row(second).trust == pytest.approx(found.trust, abs=0.02)
        assert row(second).declared and row(second).field_of_view is None
        text = (project.folder / SETTINGS).read_text()
        assert text.count("[changes.relations.depth_normals]") == 1
        assert text.startswith("# Settings of this labelgrid project.")


def test_a_wrong_relation_of_the_recipe_is_turned_off(made) -> None:
    project, data = made
    for path in (data.labels / "normals").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path))[..., [1, 2, 0]])  # other axes
    (project.folder / CAMERAS).write_text("field_of_view = 64.0\n")
    label(project, data, training(project)[:4])
    related = relate(declare(project, f"{TABLE}exact = true\n"), Silent())
    assert row(related).trust == 0
    assert "trust = 0.0" in related.files[SETTINGS] and "exact" not in related.files[SETTINGS]


def test_options_of_the_recipe_stay_until_others_are_written(made) -> None:
    project, data = made
    label(project, data, training(project)[:4])
    text = f'{TABLE}gives = "normals"\noptions = {{ radius = 7, residual = 30.0 }}\n'
    declare(project, text)
    before = (project.folder / SETTINGS).read_text()
    related = relate(project, Silent())
    found = row(related)
    assert (project.folder / SETTINGS).read_text() == before
    assert found.declared_options == {"radius": 7, "residual": 30.0}
    assert found.options["radius"] < 7
    assert found.measured is not None and found.as_declared is not None
    assert found.measured.use > found.as_declared.use
    assert 'gives = "normals"' in related.files[SETTINGS]
    relate(project, Silent(), write=True)
    (relation,) = context_of(project.open(project.folder)).relations
    assert relation.margin == found.options["radius"]
    again = row(relate(project.open(project.folder), Silent()))
    assert again.options == again.declared_options and again.as_declared is None


def test_what_labels_cannot_better_stays_as_it_is_declared(made) -> None:
    project, data = made
    label(project, data, training(project)[:4])
    related = relate(project, Silent(), write=True)
    options = row(related).options
    again = relate(project.open(project.folder), Silent())
    assert row(again).options == row(again).declared_options == options


def test_a_camera_that_another_file_may_know_is_not_overwritten(made) -> None:
    project, data = made
    label(project, data, training(project)[:4])
    (project.folder / CAMERAS).write_text('["elsewhere/"]\nfield_of_view = 70.0\n')
    before = (project.folder / SETTINGS).read_bytes()
    with pytest.raises(ProjectError, match=r"Add `field_of_view = .*Nothing was written\."):
        relate(project, Silent(), write=True)
    assert (project.folder / SETTINGS).read_bytes() == before


def test_without_a_camera_that_explains_the_labels_the_next_step_is_said(made) -> None:
    project, data = made
    for path in (data.labels / "normals").iterdir():
        shape = cv2.imread(str(path)).shape
        cv2.imwrite(str(path), np.broadcast_to(np.uint8([255, 128, 128]), shape))
    label(project, data, training(project)[:4])
    related = relate(project, Silent())
    assert row(related).trust is None
    assert "No field of view explains normals by depth" in row(related).remark
    assert "camera.toml" in row(related).remark


def test_tasks_that_no_relation_connects_are_said(tmp_path: Path) -> None:
    with make_project(tmp_path, n=3, holdout=0, tasks=("depth",))[0] as project:
        with pytest.raises(RecipeError, match="none fits the project's tasks") as raised:
            relate(project, Silent())
        assert "no supplier gave labels" in raised.value.what
        assert "[changes.relations.NAME]" in raised.value.next_step
        step = f"`labelgrid import {project.folder} FOLDER --supplier NAME`"
        assert step in raised.value.next_step
        project.settings = replace(
            project.settings, changes={"relations": {"depth_normals": {"trust": 1.0}}}
        )
        with pytest.raises(RecipeError, match="No task is of kind normals"):
            relate(project, Silent())


def test_beside_a_declared_relation_another_is_declared_before_its_pairs_are_drawn(
    tmp_path: Path,
) -> None:
    tasks = ("semseg", "edges", "depth", "normals")
    with make_project(tmp_path, n=3, holdout=0, tasks=tasks)[0] as project:
        related = relate(declare(project), Silent())
        remarks = {each.name: each.remark for each in related.relations}
        write = f"`labelgrid relate {project.folder} --write` declares the relation"
        assert write in remarks["semseg_edges"] and write not in remarks["depth_normals"]
        assert related.files == {SETTINGS: "[changes.relations.semseg_edges]\ntrust = 0.0\n"}


def test_a_relation_that_was_measured_to_be_wrong_is_declared_as_off(made) -> None:
    project, data = made
    for path in (data.labels / "normals").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path))[..., [1, 2, 0]])  # other axes
    (project.folder / CAMERAS).write_text("field_of_view = 64.0\n")
    label(project, data, training(project)[:4])
    related = relate(project, Silent())
    assert row(related).trust == 0 and not row(related).declared
    assert "[changes.relations.depth_normals]\ntrust = 0.0\n" in related.files[SETTINGS]


def test_the_first_random_images_of_a_campaign_are_measured(made) -> None:
    project, data = made
    project.settings = replace(project.settings, strategy=PluginChoice("joint"))
    query(project, Budget(4, "images"), Silent(), prelabels=False)
    answer(project, data)
    assert row(relate(project, Silent())).sample == "4 images drawn at random"
