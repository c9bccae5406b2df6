"""The images that queries drew as pairs, and the tasks that relations connect."""

from dataclasses import replace

import pytest

from labelgrid.basics.errors import LedgerError, RecipeError
from labelgrid.operations.remove import remove
from labelgrid.project.cells.drawn_pairs import DRAWN_IMAGES, drawn_pairs, note_pairs, paired_tasks
from tests.projects import make_project

RELATION = {"relations": {"depth_normals": {}}}


@pytest.fixture
def project(tmp_path):
    with make_project(tmp_path, n=6)[0] as made:
        yield made


TASKS = ("depth", "normals")


def training(project):
    return [row.image_id for row in project.store.images(("train",))]


def test_drawn_images_are_kept_in_the_order_of_the_draw_and_once(project):
    first, second, third, *_ = training(project)
    note_pairs(project, [third, first], TASKS)
    note_pairs(project, [], TASKS)
    note_pairs(project, [first, second], TASKS)
    assert drawn_pairs(project, TASKS) == [third, first, second]


def test_images_drawn_for_other_tasks_are_no_pairs_until_they_are_drawn_for_these(project):
    first, second, *_ = training(project)
    note_pairs(project, [first, second], ["depth"])
    assert drawn_pairs(project, TASKS) == []
    note_pairs(project, [second], TASKS)
    assert drawn_pairs(project, TASKS) == [second]
    assert drawn_pairs(project, ["depth"]) == [first, second]


def test_a_project_has_no_drawn_images_before_the_first_draw(project):
    note_pairs(project, [], TASKS)
    assert drawn_pairs(project, TASKS) == [] and project.store.get(DRAWN_IMAGES) is None


def test_images_that_were_removed_or_held_out_since_are_none_of_them(project):
    first, second, third, *_ = training(project)
    note_pairs(project, [first, second, third], TASKS)
    remove(project, [second])
    project.store.update_images([replace(project.store.image(first), split="heldout")])
    assert drawn_pairs(project, TASKS) == [third]


@pytest.mark.parametrize(
    "note", ["a.png", {"a.png": 1}, [1], None, ["a.png"], [["a.png", 1]], [[1, []]]]
)
def test_a_damaged_note_is_refused(project, note):
    project.store.put(DRAWN_IMAGES, note)
    with pytest.raises(LedgerError, match="'drawn pairs' does not say which images"):
        drawn_pairs(project, TASKS)


def test_relations_connect_their_tasks_though_they_are_off(project):
    project.settings = replace(project.settings, changes=RELATION)
    assert paired_tasks(project) == ["depth", "normals"]


def test_without_a_declared_relation_the_shipped_ones_that_fit_connect_their_tasks(project):
    assert paired_tasks(project) == ["depth", "normals"]


def test_a_declared_relation_is_the_only_one_that_makes_pairs(tmp_path):
    with make_project(tmp_path, n=3, tasks=("semseg", "edges", "depth", "normals"))[0] as project:
        assert paired_tasks(project) == ["semseg", "edges", "depth", "normals"]
        project.settings = replace(project.settings, changes=RELATION)
        assert paired_tasks(project) == ["depth", "normals"]


def test_where_no_relation_fits_it_is_said_how_to_declare_one(tmp_path):
    made, _ = make_project(tmp_path, n=3, tasks=("semseg", "depth"))
    words = r"No relation(.|\n)*\[changes\.relations\.NAME"
    with made as project, pytest.raises(RecipeError, match=words):
        paired_tasks(project)
