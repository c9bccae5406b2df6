"""Which relations are offered: those that fit the tasks, that nobody declared, and that may save labels."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.suppliers.relation_offers import RelationOffer, offers_text, relation_offers
from tests.projects import make_project

FLAT = Path("flat")
NORMALS = RelationOffer(
    name="depth_normals", reads=("depth",), gives="normals", labelled=False, paired=True
)
EDGES = RelationOffer(
    name="semseg_edges", reads=("semseg",), gives="edges", labelled=False, paired=True
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ProjectFolder]:
    """A project of 4 training images without a label, and 2 held-out ones."""
    with make_project(tmp_path, n=6, tasks=("depth", "normals"))[0] as made:
        yield made


def training(project: ProjectFolder) -> list[str]:
    return [row.image_id for row in project.store.images(("train",))]


def label(project: ProjectFolder, task: str, image_ids: list[str]) -> None:
    cells = [Cell(image_id, task) for image_id in image_ids]
    project.store.move([Move(cell=cell, to=State.LABELLED, path="a.png") for cell in cells])


def test_what_fits_the_tasks_is_offered_until_it_is_declared(project: ProjectFolder) -> None:
    assert relation_offers(project) == [NORMALS]
    declared = {"relations": {"depth_normals": {"trust": 0.0}}}
    project.settings = replace(project.settings, changes=declared)
    assert relation_offers(project) == []


def test_tasks_that_no_relation_joins_are_offered_nothing(tmp_path: Path) -> None:
    with make_project(tmp_path, n=3, tasks=("semseg", "normals"))[0] as project:
        assert relation_offers(project) == [] and offers_text([], FLAT) == ""


def test_an_offer_knows_whether_both_tasks_have_training_labels(project: ProjectFolder) -> None:
    heldout = [row.image_id for row in project.store.images(("heldout",))]
    for task in ("depth", "normals"):
        label(project, task, heldout)
    label(project, "depth", training(project)[:2])
    assert relation_offers(project) == [NORMALS]
    label(project, "normals", training(project)[:1])
    assert relation_offers(project) == [NORMALS]
    label(project, "normals", training(project)[1:2])
    assert relation_offers(project) == [replace(NORMALS, labelled=True)]


def test_where_no_label_is_missing_none_can_be_saved(project: ProjectFolder) -> None:
    label(project, "normals", training(project))
    assert relation_offers(project) == []


def test_pairs_are_not_drawn_for_an_offer_beside_a_declared_relation(tmp_path: Path) -> None:
    tasks = ("semseg", "edges", "depth", "normals")
    with make_project(tmp_path, n=3, tasks=tasks)[0] as project:
        assert relation_offers(project) == [NORMALS, EDGES]
        declared = {"relations": {"depth_normals": {"trust": 0.9}}}
        project.settings = replace(project.settings, changes=declared)
        assert relation_offers(project) == [replace(EDGES, paired=False)]


@pytest.mark.parametrize(
    ("offers", "text"),
    [
        (
            [NORMALS],
            "normals may follow from depth and need not be bought then: `labelgrid relate flat` "
            "measures how well, once images have labels of both, as `labelgrid query flat --pairs 10` "
            "asks for.",
        ),
        (
            [replace(NORMALS, paired=False)],
            "normals may follow from depth and need not be bought then: `labelgrid relate flat` "
            "measures how well, once images have labels of both.",
        ),
        (
            [replace(NORMALS, labelled=True), replace(EDGES, labelled=True)],
            "normals may follow from depth, edges from semseg, and need not be bought then: "
            "`labelgrid relate flat` measures how well.",
        ),
        (
            [replace(NORMALS, labelled=True), replace(EDGES, reads=("semseg", "parts"))],
            "normals may follow from depth and need not be bought then: `labelgrid relate flat` "
            "measures how well. edges may follow from semseg, parts and need not be bought then: "
            "`labelgrid relate flat` measures how well, once images have labels of all, as "
            "`labelgrid query flat --pairs 10` asks for.",
        ),
    ],
)
def test_offers_of_one_state_are_one_sentence_with_the_command(
    offers: list[RelationOffer], text: str
) -> None:
    assert offers_text(offers, FLAT) == text
