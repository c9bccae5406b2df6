"""Imports at the same time share no file beside the labels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labelgrid.annotate.answers import ImportRefused
from labelgrid.basics.progress import Silent
from labelgrid.imports.import_labels import DRY_PICTURE, FAULTS, PICTURE, import_labels
from labelgrid.imports.import_numbers import OCCURRED
from labelgrid.imports.import_place import import_place
from labelgrid.imports.imported import Imported
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder
from tests.campaigns import make_project, put
from tests.support import Made, make_dataset


class Meanwhile(Silent):
    """Does something at the start of a step, once."""

    def __init__(self, step: str, deed: Callable[[], object]) -> None:
        self.step = step
        self.deed = deed
        self.found: list[object] = []

    def start(self, what: str, total: int, unit: str) -> None:
        del total, unit
        if what == self.step and not self.found:
            self.found.append(None)
            self.found[0] = self.deed()


@pytest.fixture
def data(tmp_path: Path) -> Made:
    return make_dataset(tmp_path / "made", n=30, tasks=("semseg", "depth"), size=(16, 24))


@pytest.fixture
def folder(data: Made, tmp_path: Path) -> Path:
    with make_project(tmp_path / "project", data) as project:
        return project.folder


def labels_of(data: Made, folder: Path, task: str, names: list[str]) -> Path:
    """A folder with the made labels of some images."""
    for name in names:
        target = folder / data.label(name, task).relative_to(data.labels)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data.label(name, task).read_bytes())
    return folder


def bring(folder: Path, labels: Path) -> Imported:
    with ProjectFolder.open(folder) as project:
        return import_labels(project, labels, accept=True)


def test_the_only_import_has_the_folder_of_the_project(folder: Path) -> None:
    for _ in range(2):
        with import_place(folder) as place:
            assert place == folder


def test_imports_at_one_time_have_folders_of_their_own_which_go_if_nothing_is_in_them(
    folder: Path,
) -> None:
    with import_place(folder) as first, import_place(folder) as second:
        with import_place(folder) as third:
            assert [first, second, third] == [folder, folder / "import-2", folder / "import-3"]
            (second / FAULTS).touch()
        assert not third.exists()
    assert (folder / "import-2" / FAULTS).exists()
    with import_place(folder) as first, import_place(folder) as second:
        assert (first, second) == (folder, folder / "import-2")


def test_an_import_during_another_has_its_own_picture(
    folder: Path, data: Made, tmp_path: Path
) -> None:
    depth = labels_of(data, tmp_path / "depth", "depth", data.names[:3])
    semseg = labels_of(data, tmp_path / "semseg", "semseg", data.names[3:6])
    meanwhile = Meanwhile("Drawing labels", lambda: bring(folder, semseg))
    with ProjectFolder.open(folder) as project:
        first = import_labels(project, depth, progress=meanwhile)
    (second,) = meanwhile.found
    assert isinstance(second, Imported)
    assert first.picture == str(folder / PICTURE)
    assert second.picture == str(folder / "import-2" / PICTURE)
    pictures = {Path(done.picture).read_bytes() for done in (first, second)}
    assert len(pictures) == 2


def test_a_fault_list_outlives_an_import_that_succeeds_meanwhile(
    folder: Path, data: Made, tmp_path: Path
) -> None:
    wrong = labels_of(data, tmp_path / "wrong", "depth", data.names[:25])
    for path in wrong.rglob("*.png"):
        path.write_text("no picture")
    semseg = labels_of(data, tmp_path / "semseg", "semseg", data.names[3:6])

    def refused() -> str:
        with pytest.raises(ImportRefused) as error:
            bring(folder, wrong)
        return str(error.value)

    meanwhile = Meanwhile("Checking labels", refused)
    with ProjectFolder.open(folder) as project:
        import_labels(project, semseg, progress=meanwhile)
    listed = folder / "import-2" / FAULTS
    assert str(listed) in str(meanwhile.found[0])
    assert len(listed.read_text().splitlines()) == 25


def test_a_dry_run_during_another_has_its_own_picture(
    folder: Path, data: Made, tmp_path: Path
) -> None:
    depth = labels_of(data, tmp_path / "depth", "depth", data.names[:3])

    def try_out() -> str:
        with ProjectFolder.open(folder) as project:
            return import_labels(project, depth, dry_run=True).picture

    with ProjectFolder.open(folder) as project:
        meanwhile = Meanwhile("Drawing labels", try_out)
        done = import_labels(project, depth, dry_run=True, progress=meanwhile)
    assert done.picture == str(folder / DRY_PICTURE)
    assert meanwhile.found == [str(folder / "import-2" / DRY_PICTURE)]


@pytest.mark.parametrize("step", ["Copying labels", "Drawing labels"])
def test_names_of_an_import_that_came_in_meanwhile_are_known_later(
    folder: Path, data: Made, tmp_path: Path, step: str
) -> None:
    def stripes(name: str, *indices: int) -> Path:
        columns = np.array(indices, np.uint8)[np.arange(24) * len(indices) // 24]
        number = data.names[indices[0] * 5]
        put(tmp_path / name, Cell(number, "semseg"), np.tile(columns, (16, 1)))
        return tmp_path / name

    first = stripes("first", 0, 1)
    second = stripes("second", 2, 0)
    third = stripes("third", 1, 2)
    meanwhile = Meanwhile(step, lambda: bring(folder, second))
    with ProjectFolder.open(folder) as project:
        import_labels(project, first, accept=True, progress=meanwhile)
        assert meanwhile.found
        done = import_labels(project, third, accept=True)
        (project.folder / OCCURRED).unlink()
    assert done.numbers["semseg"].values["new_here"] == []
