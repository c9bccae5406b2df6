"""Laws of taking the labels of a published data set."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from labelgrid.annotate.answers import ImportRefused
from labelgrid.basics.errors import EmptyLabelError, LabelError, PluginError, ProjectError
from labelgrid.formats.codec import LabelArray
from labelgrid.imports.import_labels import Imported, Tally, import_labels
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder
from labelgrid.tasks.task import TaskDef
from tests.campaigns import copy, make_project, snapshot, states
from tests.support import Made

FORMAT = "published:Published"


@dataclass(frozen=True)
class Published:
    """A data set of one's own: ids are the lines of `ids.txt`, splits are files, its labels are depth of 2 m."""

    root: Path

    def images(self) -> Sequence[str]:
        return (self.root / "ids.txt").read_text().split()

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        if task.name != "depth" or "none" in image_id:
            return None
        if "broken" in image_id:
            raise LabelError("The file is broken.", where=image_id, next_step="Fetch it again.")
        if "blank" in image_id:
            raise EmptyLabelError("All-invalid label.", where=image_id)
        size = (8, 8) if "small" in image_id else (16, 24)
        return LabelArray(
            np.full((*size, 1), 2 + len(image_id) / 100, np.float32), np.ones(size, np.bool_)
        )

    def splits(self) -> Mapping[str, Sequence[str]]:
        return {path.stem: path.read_text().split() for path in self.root.glob("split/*.txt")}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.setitem(sys.modules, "published", sys.modules[__name__])

    def make(*ids: str, **splits: str) -> Path:
        (tmp_path / "set" / "split").mkdir(parents=True)
        (tmp_path / "set" / "ids.txt").write_text("\n".join(ids))
        for name, text in splits.items():
            (tmp_path / "set" / "split" / f"{name}.txt").write_text(text)
        return tmp_path / "set"

    return make


def test_labels_are_taken_by_id_or_by_file_name_and_written_in_the_task_s_format(
    project: ProjectFolder, source: Callable[..., Path]
) -> None:
    done = import_labels(project, source("0000.jpg", "0002", "none/0001", "0003"), format=FORMAT)
    assert done == Imported(tasks={"semseg": Tally(), "depth": Tally(new=2)}, foreign=1)
    nothing, depth, foreign, *_ = str(done).splitlines()
    assert nothing == "semseg: nothing." and depth.startswith("depth: 2 new; median 2 m ")
    assert foreign == "1 other labelled image is not in the project."
    assert set(states(project)) == {Cell("0000.jpg", "depth"), Cell("0002.jpg", "depth")}
    (row,) = project.store.cells(image_id="0002.jpg")
    assert row.path == f"labels/depth/0002.{row.digest[:8]}.png"
    assert np.allclose(project.tasks()["depth"].read(project.inside(row.path)).value, 2.04)


def test_taken_twice_nothing_changes(project: ProjectFolder, source: Callable[..., Path]) -> None:
    folder = source("0000", "0001")
    import_labels(project, folder, format=FORMAT)
    before = snapshot(project)
    assert import_labels(project, folder, format=FORMAT).tasks["depth"] == Tally(unchanged=2)
    assert snapshot(project) == before


def test_a_split_takes_the_images_of_the_data_set_s_split(
    project: ProjectFolder, source: Callable[..., Path]
) -> None:
    folder = source("0000", "0001", "0002", val="0001", test="0002")
    import_labels(project, folder, format=FORMAT, split="val")
    assert [(row.image_id, row.split) for row in project.store.images()] == [
        *(("0000.jpg", "train"), ("0001.jpg", "val"), ("0002.jpg", "train"))
    ]
    assert set(states(project)) == {Cell("0001.jpg", "depth")}
    with pytest.raises(LabelError) as caught:
        import_labels(project, folder, format=FORMAT, split="train")
    assert str(caught.value).startswith(
        f"The data set has no split 'train' ({folder}).\n  Its splits are "
    )


def test_a_data_set_without_splits_goes_whole_into_the_one_named(
    project: ProjectFolder, source: Callable[..., Path]
) -> None:
    import_labels(project, source("0000", "0001"), format=FORMAT, split="test")
    assert [row.split for row in project.store.images()] == ["test", "test", "train"]


def test_a_label_without_a_valid_pixel_counts_as_missing(
    project: ProjectFolder, source: Callable[..., Path]
) -> None:
    done = import_labels(project, source("blank/0000", "0001"), format=FORMAT)
    assert done == Imported(tasks={"semseg": Tally(), "depth": Tally(new=1)})
    assert set(states(project)) == {Cell("0001.jpg", "depth")}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (
            "small/0000",
            "small/0000 (depth) [0000.jpg, depth]: The label is 8x8, its image is 16x24 (height x width).",
        ),
        (
            "broken/0000",
            "broken/0000 (depth) [0000.jpg, depth]: The file is broken. Fetch it again.",
        ),
    ],
)
def test_one_wrong_label_refuses_all(
    project: ProjectFolder, source: Callable[..., Path], name: str, fault: str
) -> None:
    before = snapshot(project)
    with pytest.raises(ImportRefused) as caught:
        import_labels(project, source(name, "0001"), format=FORMAT)
    assert str(caught.value.rows[0]).startswith(fault)
    assert snapshot(project) == before


def test_a_file_name_that_two_images_have_is_a_fault(
    made: Callable[..., Made], source: Callable[..., Path], tmp_path: Path
) -> None:
    data = made(n=2, tasks=("depth",), size=(16, 24))
    for room in ("a", "b"):
        copy(data.images / "0000.jpg", data.images / room / "0000.jpg")
    twins = Made(data.root, ("a/0000.jpg", "b/0000.jpg", "0001.jpg"), data.rows)
    with (
        make_project(tmp_path / "project", twins) as project,
        pytest.raises(ImportRefused) as caught,
    ):
        import_labels(project, source("0000", "0001"), format=FORMAT)
    assert str(caught.value.rows[0]).startswith(
        "0000: It could be the image a/0000.jpg or b/0000.jpg."
    )
    with ProjectFolder.open(tmp_path / "project") as project:
        (tmp_path / "set" / "ids.txt").write_text("b/0000.jpg")
        import_labels(project, tmp_path / "set", format=FORMAT)
        assert set(states(project)) == {Cell("b/0000.jpg", "depth")}


def test_a_data_set_of_other_images_is_refused(
    project: ProjectFolder, source: Callable[..., Path]
) -> None:
    with pytest.raises(LabelError, match="There are no labels of the project's images"):
        import_labels(project, source("0007", "none/0001"), format=FORMAT)
    with pytest.raises(PluginError, match="no labelling tool or data set layout 'nuyd'"):
        import_labels(project, Path(), format="nuyd")


def test_a_limit_draws_images_of_the_data_set(
    project: ProjectFolder, source: Callable[..., Path]
) -> None:
    import_labels(project, source("0000", "0001", "0002"), format=FORMAT, limit=2)
    assert len(states(project)) == 2


def test_a_disk_that_refuses_is_no_fault_of_the_label(
    project: ProjectFolder, source: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ProjectError, match="The disk reports an error: No space left on device"):
        import_labels(project, source("0000", "0001"), format=FORMAT)
    assert not states(project)
