"""Laws of measuring suppliers: on which cells, what is proposed and written, and what is said."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from labelgrid.basics.errors import LabelError
from labelgrid.basics.progress import Silent
from labelgrid.imports.import_labels import import_labels
from labelgrid.imports.import_supplied import import_supplied
from labelgrid.ledger.grid import Cell, Move, State, request_id
from labelgrid.operations.status import status_of
from labelgrid.project.cells.audited_cells import note_audits
from labelgrid.project.cells.drawn_pairs import note_pairs
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.settings import read_settings
from labelgrid.project.suppliers import noted_trust
from labelgrid.rounds.context import context_of
from labelgrid.select.draws import CONTROL, SuppliedCells
from labelgrid.suppliers.relate import Related, relate
from labelgrid.suppliers.supplier_trust import SupplierRow
from tests.projects import Said, make_project
from tests.rounds import open_copy
from tests.support import Made


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Made]:
    """The folder of a project of depth without a true label; each test copies it.

    A supplier gave all 16 training images. Half of a label's pixels are right, the others are not valid.
    """
    folder = tmp_path_factory.mktemp("first")
    project, made = make_project(folder, n=18, tasks=("depth",))
    given = folder / "given"
    shutil.copytree(made.labels, given)
    for path in (given / "depth").iterdir():
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        pixels[: len(pixels) // 2] = 0
        cv2.imwrite(str(path), pixels)
    with project:
        import_supplied(project, given, supplier="s", accept=True)
    return project.folder, made


@pytest.fixture
def made(first: tuple[Path, Made], tmp_path: Path) -> Iterator[tuple[ProjectFolder, Made]]:
    """A test's own copy of the project."""
    folder, made = first
    with open_copy(folder, tmp_path / "flat") as project:
        yield project, made


def supply(project: ProjectFolder, made: Made, name: str, factor: Any, declared: str = "") -> None:
    """Import labels of another supplier: the true depth times a factor."""
    folder = project.folder.parent / name
    (folder / "depth").mkdir(parents=True)
    for image_id in made.names:
        pixels = cv2.imread(str(made.label(image_id, "depth")), cv2.IMREAD_UNCHANGED)
        scaled = np.clip(pixels * factor, 0, 65535).astype(np.uint16)
        cv2.imwrite(str(folder / "depth" / f"{Path(image_id).stem}.png"), scaled)
    (folder / "supplier.toml").write_text(declared)
    import_supplied(project, folder, supplier=name, accept=True)


def training(project: ProjectFolder) -> list[str]:
    return [row.image_id for row in project.store.images(("train",))]


def request(
    project: ProjectFolder, image_ids: list[str], *, score: float | None, why: str = ""
) -> None:
    """Ask for the depth of images, as a strategy's picks if they have a score."""
    number = project.open_round().number
    moves = []
    for image_id in image_ids:
        cell = Cell(image_id, "depth")
        move = Move(
            cell=cell,
            to=State.REQUESTED,
            round=number,
            request_id=request_id(number, cell),
            score=score,
            why=why,
        )
        moves.append(move)
    project.store.move(moves)


def label(project: ProjectFolder, made: Made, image_ids: list[str]) -> None:
    """Import true labels of images."""
    folder = project.folder.parent / "answers"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "depth").mkdir(parents=True)
    for image_id in image_ids:
        shutil.copy(made.label(image_id, "depth"), folder / "depth")
    import_labels(project, folder, accept=True)


def row(related: Related) -> SupplierRow:
    (only,) = related.suppliers
    return only


def reopened(project: ProjectFolder) -> ProjectFolder:
    project.settings = read_settings(project.folder / SETTINGS)
    return project


def test_labels_that_are_right_where_they_are_valid_are_trusted_fully(made) -> None:
    project, data = made
    label(project, data, training(project)[:10])
    found = row(relate(project, Silent()))
    assert (found.trust, found.now, found.sample) == (1, 0, "10 images imported, not picked")
    assert found.measured.images == 10 and 0.3 < found.measured.coverage < 0.7


def test_wrong_labels_are_not_trusted_and_nothing_is_proposed(made) -> None:
    project, data = made
    shutil.rmtree(project.folder / "supplied/s")
    label(project, data, training(project)[:10])
    rng = np.random.default_rng(0)
    supply(project, data, "bad", 1.0)
    folder = project.folder.parent / "bad/depth"
    for path in folder.iterdir():
        shape = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape
        cv2.imwrite(str(path), rng.integers(300, 60000, shape).astype(np.uint16))
    import_supplied(project, folder.parent, supplier="bad", accept=True)
    related = relate(project, Silent(), write=True)
    assert row(related).trust == 0 and not related.files and not related.written
    assert status_of(project)["suppliers"]["bad"]["measured"] == {"depth": 0}


def test_held_out_images_and_picked_cells_are_no_random_sample(made) -> None:
    project, data = made
    ids = training(project)
    request(project, ids[:5], score=1.0)
    heldout = [image.image_id for image in project.store.images(("heldout",))]
    label(project, data, [*heldout, *ids[:5]])
    assert row(relate(project, Silent())).sample == "0 images imported, not picked"
    label(project, data, ids[5:8])
    assert row(relate(project, Silent())).sample == "3 images imported, not picked"


def test_audits_pairs_and_controls_are_measured_though_strategies_picked_some(made) -> None:
    project, data = made
    ids = training(project)
    request(project, ids[:3], score=1.0)
    request(project, ids[5:6], score=None, why=CONTROL)
    label(project, data, ids[:15])
    drawn = [*ids[:5], *ids[6:10], ids[15]]  # the last has no label
    note_audits(project, [SuppliedCells(supplier="s", task="depth", images=drawn)])
    assert row(relate(project, Silent())).sample == "10 images drawn at random"


def test_with_fewer_than_ten_drawn_images_those_that_were_not_picked_count(made) -> None:
    project, data = made
    ids = training(project)
    request(project, ids[:3], score=1.0)
    request(project, ids[5:6], score=None, why=CONTROL)
    label(project, data, ids[:15])
    note_audits(project, [SuppliedCells(supplier="s", task="depth", images=ids[:3])])
    note_audits(project, [SuppliedCells(supplier="other", task="depth", images=ids[:12])])
    note_pairs(project, ids[2:14], ["semseg"])  # depth was not asked for
    assert row(relate(project, Silent())).sample == "12 images imported, not picked"


def test_pairs_count_for_tasks_that_relations_connect(tmp_path: Path) -> None:
    project, data = make_project(tmp_path, n=14, tasks=("depth", "normals"))
    with project:
        project.settings = replace(project.settings, changes={"relations": {"depth_normals": {}}})
        import_supplied(project, data.labels, supplier="s", accept=True)
        import_labels(project, data.labels, accept=True)
        note_pairs(project, training(project)[1:12], ["depth", "normals"])
        found = relate(project, Silent()).suppliers
    assert [each.task for each in found] == ["depth", "normals"]
    assert {each.sample for each in found} == {"11 images drawn at random"}
    assert {each.trust for each in found} == {1}


@pytest.mark.parametrize("count", [0, 1, 9])
def test_with_fewer_than_ten_pairs_there_is_no_trust_but_the_next_step(made, count: int) -> None:
    project, data = made
    if count:
        label(project, data, training(project)[:count])
    related = relate(project, Silent(), write=True)
    found = row(related)
    assert found.trust is None and found.measured is None and not related.files
    assert found.remark.startswith(f"{count} training image")
    assert "trust needs at least 10. " in found.remark
    left = 10 - count
    step = f"`labelgrid query {project.folder} --audit {left} --budget {left}` requests"
    assert step in found.remark
    assert noted_trust(project, "s") == {}


def test_labels_that_are_asked_for_are_not_asked_for_again(made) -> None:
    project, _ = made
    ids = training(project)[:10]
    request(project, ids, score=None)
    note_audits(project, [SuppliedCells(supplier="s", task="depth", images=ids)])
    remark = row(relate(project, Silent())).remark
    assert f"10 labels are asked for; `labelgrid import {project.folder}` brings them" in remark


def test_labels_without_a_pixel_in_common_cannot_be_measured(made) -> None:
    project, data = made
    shutil.rmtree(project.folder / "supplied/s")
    folder = project.folder.parent / "empty/depth"
    folder.mkdir(parents=True)
    ids = training(project)[:11]
    for image_id in ids:
        path = data.label(image_id, "depth")
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        left = pixels.copy()
        left[:, pixels.shape[1] // 2 :] = 0
        cv2.imwrite(str(folder / path.name), left)
        cv2.imwrite(str(path), pixels - left)
    import_supplied(project, folder.parent, supplier="left", accept=True)
    label(project, data, ids)
    found = row(relate(project, Silent()))
    assert found.trust is None and "0 training images have a comparable label" in found.remark


def test_what_is_written_is_used_by_the_next_fit_and_shown_by_status(made) -> None:
    project, data = made
    label(project, data, training(project)[:10])
    before = (project.folder / SETTINGS).read_bytes()
    proposed = relate(project, Silent())
    assert (project.folder / SETTINGS).read_bytes() == before and not proposed.written
    assert proposed.files == {SETTINGS: '[changes.suppliers.s]\ntasks = { "depth" = 1.0 }\n'}
    assert status_of(project)["suppliers"]["s"]["measured"] == {}
    related = relate(project, Silent(), write=True)
    assert related.written and related.files == proposed.files
    (bound,) = context_of(reopened(project)).suppliers
    assert (bound.name, bound.trust) == ("s", {"depth": 1})
    assert status_of(project)["suppliers"]["s"]["measured"] == {"depth": 1}
    again = relate(project, Silent(), write=True)
    assert row(again).now == 1 and not again.files and not again.written


def test_the_rest_of_a_supplier_s_table_stays(made) -> None:
    project, data = made
    label(project, data, training(project)[:10])
    path = project.folder / SETTINGS
    path.write_text(f"{path.read_text()}[changes.suppliers.s]\ntrust = 0.5\n")
    related = relate(reopened(project), Silent(), write=True)
    assert row(related).now == 0.5
    choice = read_settings(path).changes["suppliers"]["s"]
    assert choice == {"trust": 0.5, "tasks": {"depth": 1.0}}


def test_comments_and_order_of_nested_tables_stay(made) -> None:
    project, data = made
    label(project, data, training(project)[:10])
    path = project.folder / SETTINGS
    nested = (
        "[changes.suppliers.s] # theirs\n# by eye\ntrust = 0.5 # a half\n"
        "[changes.suppliers.s.tasks]\n# before: 0.1\ndepth = 0.2 # low\n\n"
        "[changes.train] # short\nepochs = 1\n"
    )
    path.write_text(f"{path.read_text()}{nested}")
    before = path.read_text()
    relate(reopened(project), Silent(), write=True)
    assert path.read_text() == before.replace("depth = 0.2 # low", "depth = 1.0 # low")


def test_a_measured_trust_is_not_shown_of_labels_that_came_since(made) -> None:
    project, data = made
    label(project, data, training(project)[:10])
    relate(project, Silent(), write=True)
    assert noted_trust(project, "s") == {"depth": 1}
    import_supplied(project, data.labels, supplier="s", accept=True)
    assert noted_trust(project, "s") == {}


def test_depth_of_another_scale_earns_trust_once_it_is_declared(made) -> None:
    project, data = made
    shutil.rmtree(project.folder / "supplied/s")
    label(project, data, training(project))
    supply(project, data, "raw", 3)
    supply(project, data, "declared", 3, 'up_to = "scale"\n')
    supply(project, data, "shifted", 2, 'up_to = "scale-shift"\n')
    declared, raw, shifted = relate(project, Silent()).suppliers
    assert (raw.supplier, raw.trust) == ("raw", 0)
    assert declared.trust >= 0.95 and shifted.trust >= 0.95


def test_what_an_earlier_rule_measured_counts_as_not_measured_and_is_said(made) -> None:
    project, data = made
    label(project, data, training(project)[:10])
    (project.folder / "supplied/s/measured.json").write_text(
        '{"tasks": {"depth": 0.0}, "deliveries": 1}'
    )
    assert noted_trust(project, "s") == {}
    status = status_of(project)["suppliers"]["s"]
    assert (status["measured"], status["earlier_rule"]) == ({}, ["depth"])
    said = Said()
    relate(project, said, write=True)
    (line,) = [line for line in said.lines if "earlier rule" in line]
    assert line.startswith("s: the trust in depth was measured by an earlier rule")
    status = status_of(project)["suppliers"]["s"]
    assert (status["measured"], status["earlier_rule"]) == ({"depth": 1}, [])
    said = Said()
    relate(project, said)
    assert not [line for line in said.lines if "earlier rule" in line]


def test_a_supplied_file_that_was_changed_is_refused_and_nothing_is_written(made) -> None:
    project, data = made
    label(project, data, training(project)[:10])
    before = (project.folder / SETTINGS).read_bytes()
    for path in (project.folder / "supplied/s/depth").iterdir():
        path.write_bytes(b"no label")
    with pytest.raises(LabelError, match=r"Nothing was written"):
        relate(project, Silent(), write=True)
    assert (project.folder / SETTINGS).read_bytes() == before
    assert not (project.folder / "supplied/s/measured.json").exists()


def test_the_rows_are_plain_values(made) -> None:
    project, data = made
    label(project, data, training(project)[:10])
    values = json.loads(json.dumps(asdict(relate(project, Silent()))))
    assert values["suppliers"][0]["measured"]["trust"] == 1 and values["relations"] == []
