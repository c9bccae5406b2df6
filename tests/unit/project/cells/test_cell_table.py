"""Laws of the table of cells: the same rows as the grid has, one image after the other."""

import subprocess
import sys
from pathlib import Path

import pytest

from labelgrid.basics.errors import LedgerError
from labelgrid.ledger.grid import Cell, ImageRow, Move, State
from labelgrid.project.cells.cell_table import each_cell
from labelgrid.project.folder import ProjectFolder
from tests.campaigns import ask, make_project
from tests.support import Made


@pytest.fixture
def campaign(data: Made, tmp_path: Path) -> ProjectFolder:
    """Three images, one held out; a request, a label and a skip."""
    project = make_project(tmp_path / "flat", data, {"0002.jpg": "heldout"})
    ask(project, [Cell("0001.jpg", "semseg"), Cell("0000.jpg", "depth")], number=1)
    project.store.move(
        [
            Move(cell=Cell("0000.jpg", "depth"), to=State.LABELLED, path="labels/x", cost=3.0),
            Move(cell=Cell("0002.jpg", "depth"), to=State.REQUESTED),
            Move(cell=Cell("0002.jpg", "depth"), to=State.SKIPPED),
        ]
    )
    return project


def names(project: ProjectFolder, **wanted: object) -> list[str]:
    rows = each_cell(project, **wanted)  # type: ignore[arg-type]
    return [f"{row['image']}:{row['task']} {row['state']}" for row in rows]


ALL = [
    "0000.jpg:semseg missing",
    "0000.jpg:depth labelled",
    "0001.jpg:semseg requested",
    "0001.jpg:depth missing",
    "0002.jpg:semseg missing",
    "0002.jpg:depth skipped",
]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ALL),
        ({"state": "missing"}, [ALL[0], ALL[3], ALL[4]]),
        ({"state": "skipped"}, [ALL[5]]),
        ({"task": "depth"}, [ALL[1], ALL[3], ALL[5]]),
        ({"split": "heldout"}, ALL[4:]),
        ({"split": "test"}, []),
        ({"round": 1}, [ALL[1], ALL[2]]),
        ({"round": 0}, [ALL[5]]),
        ({"round": 0, "state": "missing"}, []),
        ({"state": "labelled", "task": "depth", "split": "train", "round": 1}, [ALL[1]]),
    ],
)
def test_the_rows_are_those_that_fit_all_that_is_given(
    campaign: ProjectFolder, wanted: dict[str, object], expected: list[str]
) -> None:
    assert names(campaign, **wanted) == expected


def test_a_label_says_what_it_cost_and_where_its_file_is(campaign: ProjectFolder) -> None:
    (row,) = each_cell(campaign, state="labelled")
    assert row == {
        "image": "0000.jpg",
        "task": "depth",
        "split": "train",
        "state": "labelled",
        "round": 1,
        "cost": 3.0,
        "weight": 2.0,
        "seconds": None,
        "path": str(campaign.folder / "labels/x"),
    }


@pytest.mark.parametrize(
    ("wanted", "fault"),
    [
        ({"state": "done"}, "There is no state 'done'"),
        ({"task": "dept"}, "has no task 'dept'"),
        ({"split": "half"}, "There is no split 'half'"),
    ],
)
def test_what_does_not_exist_is_refused_at_once(
    campaign: ProjectFolder, wanted: dict[str, str], fault: str
) -> None:
    with pytest.raises(LedgerError, match=fault):
        each_cell(campaign, **wanted)  # type: ignore[arg-type]


def test_cells_of_removed_images_are_left_out(campaign: ProjectFolder) -> None:
    campaign.store.remove("images", ["0001.jpg"])
    assert names(campaign) == [*ALL[:2], *ALL[4:]]


#: Prints the number of cells of a project and the peak of the memory that listing them takes. It
#: runs in a process of its own, as the threads of other tests take memory too.
PEAK = """
import sys, tracemalloc
from pathlib import Path
from labelgrid.project.cells.cell_table import each_cell
from labelgrid.project.folder import ProjectFolder

project = ProjectFolder.open(Path(sys.argv[1]))
next(each_cell(project))  # loads what it needs
tracemalloc.start()
print(sum(1 for _ in each_cell(project)), tracemalloc.get_traced_memory()[1])
"""


def test_the_memory_does_not_grow_with_the_number_of_cells(campaign: ProjectFolder) -> None:
    ids = [f"more/{number:05d}.jpg" for number in range(20_000)]
    campaign.store.add_images(ImageRow(image_id=name, root="x") for name in ids)
    campaign.store.move(
        [Move(cell=Cell(name, "depth"), to=State.LABELLED, path=f"labels/{name}") for name in ids]
    )
    words = [sys.executable, "-c", PEAK, str(campaign.folder)]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    count, peak = map(int, told.split())
    assert count == 40_006
    assert peak < 8e6  # the rows of all cells take more than 30 MB
