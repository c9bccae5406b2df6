"""Laws of verifying a project: everything is read, every fault is listed, and a changed label is used by nobody."""

import io
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.basics.errors import LabelError, LabelgridError, ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell
from labelgrid.operations.export import export_labels
from labelgrid.operations.verify import Verified, verify
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Oracle, Settings
from labelgrid.project.sources import source_of
from tests.campaigns import make_project, snapshot
from tests.databases import change
from tests.e2e.commands import typed
from tests.support import Made

COVERS = ["labelgrid.project.stored_labels", "labelgrid.operations.verify"]


@pytest.fixture
def labelled(data: Made, tmp_path: Path) -> Iterator[ProjectFolder]:
    """A project with all labels."""
    with make_project(tmp_path / "flat", data) as project:
        import_labels(project, data.labels)
        yield project


def other_label(path: Path) -> None:
    """Write a sound depth map with other values over a label."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((16, 24), 1234, np.uint16)).save(buffer, "png")
    path.write_bytes(buffer.getvalue())


def test_a_sound_project_has_no_fault_and_is_not_changed(labelled: ProjectFolder) -> None:
    before = snapshot(labelled)
    assert verify(labelled, Silent()) == Verified(images=3, labels=6, faults=[])
    assert str(verify(labelled, Silent())) == "Read 3 images and 6 labels: 0 faults."
    assert snapshot(labelled) == before


def test_a_label_of_no_image_is_a_fault(
    labelled: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = labelled.store.images()
    monkeypatch.setattr(
        type(labelled.store), "images", lambda store: others
    )  # as from an index with a flipped bit
    found = verify(labelled, Silent()).faults
    assert {(fault.what, fault.cell.image_id) for fault in found if fault.cell} == {
        ("The ledger has no such image.", first.image_id)
    }


def test_a_cell_that_is_not_what_its_history_says_is_a_fault(labelled: ProjectFolder) -> None:
    cell = Cell("0000.jpg", "semseg")
    assert labelled.store.differing_cells() == []
    change(labelled.folder / "labelgrid.db", "DELETE FROM cells WHERE image_id = 1 AND task_id = 1")
    assert labelled.store.differing_cells() == [cell]
    (fault,) = verify(labelled, Silent()).faults
    assert fault.cell == cell
    assert "not what its history says" in str(fault)


def test_every_fault_is_listed(labelled: ProjectFolder, data: Made) -> None:
    paths = {cell.cell: labelled.inside(cell.path) for cell in labelled.store.cells()}
    one, two, three = data.names
    other_label(paths[Cell(one, "depth")])
    paths[Cell(two, "depth")].unlink()
    os.truncate(paths[Cell(three, "semseg")], 60)
    (data.images / one).write_bytes((data.images / two).read_bytes())
    (data.images / three).unlink()
    faults = verify(labelled, Silent()).faults
    found = {fault.where: fault.what for fault in faults}
    assert f"`labelgrid remove {labelled.folder} {three}` takes it out" in str(faults[1])
    changed = "The label is not the one that was imported: the content of its file has changed."
    names = {
        cell: path.relative_to(labelled.folder.resolve()).as_posix() for cell, path in paths.items()
    }
    assert found == {
        one: "The image is not the one that was added: the content of its file has changed.",
        three: "The image cannot be read: No such file or directory.",
        names[Cell(one, "depth")]: changed,
        names[Cell(two, "depth")]: "The label cannot be read: No such file or directory.",
        names[Cell(three, "semseg")]: changed,
    }


def test_a_label_that_its_task_does_not_allow_is_a_fault_whose_hint_can_be_pasted(
    data: Made, tmp_path: Path
) -> None:
    with make_project(tmp_path / "my flat", data) as project:
        import_labels(project, data.labels)
        (row,) = (row for row in project.store.tasks() if row.name == "depth")
        project.store.update_task(replace(row, options={"maximum": 0.001}))
        found = verify(project, Silent()).faults
        assert len(
            found
        ) == 3 and f"`labelgrid task '{project.folder}' depth --set maximum=" in str(found[0])


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("what", "fault"),
    [("pipe", "it is a pipe or a device"), ("link", "The path leads out of the project")],
)
def test_a_label_that_is_no_file_any_more_is_a_fault(
    labelled: ProjectFolder, what: str, fault: str
) -> None:
    path = labelled.inside(next(labelled.store.cells()).path)
    path.unlink()
    os.mkfifo(path) if what == "pipe" else path.symlink_to("/dev/zero")
    (found,) = verify(labelled, Silent()).faults
    assert fault in found.what


def test_an_old_project_with_a_damaged_png_is_found_out(
    labelled: ProjectFolder, data: Made
) -> None:
    """A label whose digest is right but whose checksum is wrong: a program that did not check it imported it."""
    from labelgrid.basics.files import digest
    from labelgrid.ledger.grid import Move, State

    row = next(labelled.store.cells(task="depth"))
    path = labelled.inside(row.path)
    content = bytearray(path.read_bytes())
    content[-14] ^= 1
    path.write_bytes(content)
    steps = [State.MISSING, State.LABELLED]
    move = Move(cell=row.cell, to=State.LABELLED, path=row.path, digest=digest(path), cost=1.0)
    labelled.store.move([replace(move, to=state) for state in steps])
    (found,) = verify(labelled, Silent()).faults
    assert "damaged or cut short: the checksum" in found.what


def test_a_changed_label_is_neither_learnt_from_nor_exported(
    labelled: ProjectFolder, tmp_path: Path
) -> None:
    row = next(labelled.store.cells(task="depth"))
    other_label(labelled.inside(row.path))
    task = labelled.tasks()["depth"]
    with pytest.raises(
        LabelError, match=r"not the one that was imported(.|\n)*Import the right file again"
    ):
        source_of(labelled).label(row.cell.image_id, task)
    with pytest.raises(LabelgridError, match="not the one that was imported"):
        export_labels(labelled, tmp_path / "out")
    assert source_of(labelled).label(row.cell.image_id, labelled.tasks()["semseg"]) is not None


def test_a_run_of_a_simulation_is_refused(labelled: ProjectFolder) -> None:
    labelled.settings = Settings(oracle=Oracle("folder", "somewhere"))
    with pytest.raises(ProjectError, match="a run of a simulation"):
        verify(labelled, Silent())


def test_the_command_lists_faults_and_exits_with_1(labelled: ProjectFolder) -> None:
    assert (sound := typed("verify", labelled.folder)).code == 0 and "0 faults" in sound.out
    row = next(labelled.store.cells(task="depth"))
    other_label(labelled.inside(row.path))
    found = typed("verify", labelled.folder, "--json")
    assert found.code == 1 and found.err.count("Error") == 0
    values = json.loads(found.out)
    assert (values["images"], values["labels"], len(values["faults"])) == (3, 6, 1)
    assert values["faults"][0]["where"] == row.path
    assert typed("verify", labelled.folder).out.startswith(
        "Read 3 images and 6 labels: 1 fault.\n  labels/depth/"
    )
