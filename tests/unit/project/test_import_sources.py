"""Laws of what an import reads: several sources are one import, and each is what it is."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.annotate.answers import ImportRefused
from labelgrid.ledger.grid import Cell
from labelgrid.progress import Silent
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.import_labels import import_labels
from labelgrid.project.imported import Tally
from labelgrid.project.undo import undo
from tests.campaigns import copy, snapshot, states
from tests.support import Made


def part(data: Made, folder: Path, task: str, *images: int) -> Path:
    """A folder with the labels of some images."""
    for number in images:
        name = data.names[number]
        copy(data.label(name, task), folder / task / f"{name[:-4]}.png")
    return folder


def test_several_sources_are_one_import_and_one_operation(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    before = states(project)
    first = part(data, tmp_path / "first", "depth", 0, 1)
    second = part(data, tmp_path / "second", "semseg", 2)
    archive = Path(shutil.make_archive(str(tmp_path / "third"), "zip", second))
    shutil.rmtree(second)
    done = import_labels(project, [first, archive])
    assert done.tasks == {"semseg": Tally(new=1), "depth": Tally(new=2)}
    assert list(states(project).values()).count("labelled") == 3
    undo(project, Silent())
    assert states(project) == before


def test_a_fault_in_one_source_refuses_all_and_names_it(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    first = part(data, tmp_path / "first", "depth", 0)
    second = part(data, tmp_path / "second", "depth", 1)
    (second / "depth/0001.png").write_bytes(b"")
    before = snapshot(project)
    with pytest.raises(ImportRefused) as refused:
        import_labels(project, [first, second])
    assert [row.where for row in refused.value.rows] == [f"{second}/depth/0001.png"]
    assert f"({first}, {second})" in str(refused.value)
    assert snapshot(project) == before


def test_two_sources_with_one_label_are_refused_unless_one_is_chosen(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    both = [part(data, tmp_path / name, "depth", 0) for name in ("first", "second")]
    with pytest.raises(ImportRefused, match=r"first/depth/0000\.png answers the same cell"):
        import_labels(project, both)


def test_a_dry_run_says_what_each_source_is(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    first = part(data, tmp_path / "first", "depth", 0)
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "labels.csv").write_text("image,task,path,class\n0001.jpg,semseg,a.png,wall\n")
    Image.fromarray(np.full((16, 24), 255, np.uint8)).save(masks / "a.png")
    done = import_labels(project, [first, masks], dry_run=True)
    assert done.found and done.found.what == "a folder of labels; masks, one a class"
    assert done.tasks == {"semseg": Tally(new=1), "depth": Tally(new=1)}
    assert Cell("0001.jpg", "semseg") not in {
        cell for cell, state in states(project).items() if state == "labelled"
    }
