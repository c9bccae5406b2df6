"""Laws of published splits: rows and ids become cells as stated, and files that do not fit or hold code are refused."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labelgrid.basics.errors import RecipeError
from labelgrid.lab.simulation import published_splits
from labelgrid.lab.simulation.arms import InitialLabels
from labelgrid.lab.simulation.published_splits import published_cells
from labelgrid.ledger.grid import Cell
from tests.unit.lab.simulation.test_plain_pickle import Evil

POOL = ["10.jpg", "2.jpg", "1.jpg"]
WEIGHTS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
COLUMNS: dict[str, int | str] = {"semseg": 0, "depth": 1, "normals": 2}


def split(folder: Path, value: Any, *, old: bool = False) -> Path:
    """A file of `torch.save`."""
    torch.save(value, folder / "split.pth", _use_new_zipfile_serialization=not old)
    return folder


def plan(
    rows: str = "numbers", columns: dict[str, int | str] = COLUMNS, file: str = "split.pth"
) -> InitialLabels:
    return InitialLabels(plan="published", file=file, rows=rows, columns=columns)


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before zip"])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.int64, torch.bool])
def test_rows_and_columns_become_cells_as_stated(
    tmp_path: Path, old: bool, kind: torch.dtype
) -> None:
    split(tmp_path, {"labels_weights": WEIGHTS.to(kind)}, old=old)
    by_number = [("1", "semseg"), ("10", "depth"), ("10", "normals"), ("2", "depth")]
    assert published_cells(plan(), tmp_path, POOL) == [
        Cell(f"{name}.jpg", task) for name, task in by_number
    ]
    assert published_cells(plan(), tmp_path, POOL[::-1]) == published_cells(plan(), tmp_path, POOL)
    as_text = published_cells(plan("sorted", {"depth": 1}), tmp_path, POOL)  # 1, 10, 2
    assert as_text == [Cell("10.jpg", "depth"), Cell("2.jpg", "depth")]
    (tmp_path / "rows.txt").write_text("2.jpg\n10.jpg\n1.jpg\n")
    listed = published_cells(plan("rows.txt", {"mask": 0, "angles": 2}), tmp_path, POOL)
    assert listed == [Cell("1.jpg", "angles"), Cell("2.jpg", "mask")]


def test_a_bare_tensor_is_read_too(tmp_path: Path) -> None:
    split(tmp_path, WEIGHTS)
    assert len(published_cells(plan(), tmp_path, POOL)) == 4


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (WEIGHTS[:2], "has 2 rows, and initial.rows gives 3 images"),
        (torch.ones(4, 3), "has 4 rows"),
        (WEIGHTS[0], r"not of rows × tasks; its shape is \(3,\)"),
        (torch.ones(3, 0), "not of rows × tasks"),
        (torch.ones(1, 1, 3), "not of rows × tasks"),
        (WEIGHTS[:, :2], "names? columns of the 2"),
        (WEIGHTS * 0.5, r"has the weight 0\.5; only 0 and 1"),
        (WEIGHTS * torch.nan, "has the weight nan"),
        (WEIGHTS + 0j, "holds no tensor labels_weights of numbers"),
        (WEIGHTS.to_sparse(), "was not opened"),
        (torch.zeros(1).expand(2**20, 2**20), "more than 16777216 values"),
        ({"weights": WEIGHTS}, "holds no tensor labels_weights"),
        ({"labels_weights": [1.0]}, "holds no tensor labels_weights"),
        ([WEIGHTS], "holds no tensor"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tmp_path: Path, value: Any, fault: str) -> None:
    split(tmp_path, value)
    with pytest.raises(RecipeError, match=fault):
        published_cells(plan(), tmp_path, POOL)


@pytest.mark.parametrize(
    ("rows", "columns", "pool", "fault"),
    [
        ("", COLUMNS, POOL, "nothing says which image is in which row"),
        ("numbers", COLUMNS, ["a.jpg", "1.jpg", "2.jpg"], r"'a\.jpg' is not a number"),
        ("numbers", COLUMNS, ["01.jpg", "1.jpg", "2.jpg"], "Two images have the same number"),
        ("nowhere.txt", COLUMNS, POOL, "list of rows cannot be read"),
        ("other.txt", COLUMNS, POOL, r"has '3\.jpg', which is not in the pool"),
        ("twice.txt", COLUMNS, POOL, "has an image twice"),
        ("short.txt", COLUMNS, POOL, "has 3 rows, and initial.rows gives 2 images"),
        ("sorted", {}, POOL, "does not name columns of the 3"),
        ("sorted", {"depth": 3}, POOL, "does not name columns of the 3"),
        ("sorted", {"depth": -1}, POOL, "does not name columns of the 3"),
        ("sorted", {"depth": "depth"}, POOL, "does not name columns of the 3"),
    ],
)
def test_rows_and_columns_that_do_not_fit_are_refused(
    tmp_path: Path, rows: str, columns: dict[str, int | str], pool: list[str], fault: str
) -> None:
    split(tmp_path, {"labels_weights": WEIGHTS})
    for name, text in {
        "other": "1.jpg\n2.jpg\n3.jpg",
        "twice": "1.jpg\n2.jpg\n2.jpg",
        "short": "1.jpg\n2.jpg",
    }.items():
        (tmp_path / f"{name}.txt").write_text(text)
    with pytest.raises(RecipeError, match=fault):
        published_cells(plan(rows, columns), tmp_path, pool)


def lists(folder: Path, value: object) -> InitialLabels:
    """A plan that reads a file of `np.save`."""
    np.save(folder / "split.npy", value, allow_pickle=True)  # type: ignore[arg-type]
    return plan("", {}, "split.npy")


def texts(*names: str) -> list[np.str_]:
    """Image ids as MTPSL's splits of PASCAL have them."""
    return [np.str_(name) for name in names]


def test_a_dict_lists_image_ids_by_task(tmp_path: Path) -> None:
    pool = ["JPEG/2008_2.jpg", "JPEG/2008_1.jpg"]
    of = lists(tmp_path, {"edge": texts("2008_1", "JPEG/2008_2.jpg"), "sal": texts("JPEG/2008_2")})
    assert published_cells(of, tmp_path, pool) == [
        Cell(pool[1], "edge"),
        Cell(pool[0], "edge"),
        Cell(pool[0], "sal"),
    ]
    named = plan("", {"saliency": "sal"}, "split.npy")
    assert published_cells(named, tmp_path, pool) == [Cell(pool[0], "saliency")]
    for wrong, images, fault in (
        (of, pool[:1], "'2008_1' of the split file is the name of 0 images"),
        (of, [*pool, "other/2008_1.png"], "'2008_1' of the split file is the name of 2 images"),
        (plan("", {"parts": "parts"}, "split.npy"), pool, "no list 'parts'.*\n.*It has: edge, sal"),
        (plan("sorted", {}, "split.npy"), pool, "so it has no rows"),
    ):
        with pytest.raises(RecipeError, match=fault):
            published_cells(wrong, tmp_path, images)


#: The labels of each task in MTPSL's splits of PASCAL, by the tasks' names in them.
COUNTS = {
    "onelabel": {"human_parts": 999, "edge": 999, "semseg": 1000, "normals": 1000, "sal": 1000},
    "randomlabels": {
        "human_parts": 847,
        "edge": 2557,
        "semseg": 2450,
        "normals": 2480,
        "sal": 2445,
    },
}


@pytest.mark.parametrize("setting", COUNTS)
def test_a_split_of_the_size_of_those_of_pascal_labels_as_many_cells_as_it_lists(
    tmp_path: Path, setting: str
) -> None:
    pool = [f"2008_{number:06d}" for number in range(4998)]
    generator = np.random.default_rng(7)
    drawn = {task: generator.permutation(pool)[:count] for task, count in COUNTS[setting].items()}
    of = lists(tmp_path, {task: list(names) for task, names in drawn.items()})
    cells = published_cells(of, tmp_path, [f"{name}.jpg" for name in pool])
    assert set(cells) == {
        Cell(f"{name}.jpg", task) for task, names in drawn.items() for name in names
    }
    assert len(cells) == sum(COUNTS[setting].values())


@pytest.mark.parametrize(
    "value", [{}, ["a"], "a", {"depth": "a"}, {"depth": [1]}, {1: ["a"]}, {"depth": [["a"]]}]
)
def test_a_file_of_anything_else_is_refused(tmp_path: Path, value: object) -> None:
    (tmp_path / "split.pkl").write_bytes(pickle.dumps(value))
    for of in (lists(tmp_path, np.array(value, dtype=object)), plan("", {}, "split.pkl")):
        with pytest.raises(RecipeError, match=r"something else than|holds an array of"):
            published_cells(of, tmp_path, POOL)


def test_files_that_would_run_code_are_refused_and_run_none(tmp_path: Path) -> None:
    evil = {"labels_weights": Evil(tmp_path / "ran")}
    for old in (False, True):
        split(tmp_path, evil, old=old)
        with pytest.raises(
            RecipeError,
            match=r"was not opened: it is damaged, or holds other objects than tensors, .*\n.*Nothing was run",
        ):
            published_cells(plan(), tmp_path, POOL)
    for of in (
        lists(tmp_path, evil),
        lists(tmp_path, {"depth": [*texts("1"), Evil(tmp_path / "ran")]}),
    ):
        with pytest.raises(
            RecipeError, match=r"was not opened: it holds '\w+\.mkdir'.*\n.*Nothing was run"
        ):
            published_cells(of, tmp_path, POOL)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before zip"])
def test_truncated_files_are_refused(tmp_path: Path, old: bool) -> None:
    whole = (split(tmp_path, {"labels_weights": WEIGHTS}, old=old) / "split.pth").read_bytes()
    for size in (0, 1, 20, len(whole) // 2, len(whole) - 1):
        (tmp_path / "split.pth").write_bytes(whole[:size])
        with pytest.raises(RecipeError, match="was not opened"):
            published_cells(plan(), tmp_path, POOL)


def test_files_that_are_too_large_are_refused_also_when_they_are_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split(tmp_path, {"labels_weights": torch.zeros(3, 5000)})
    with (
        zipfile.ZipFile(tmp_path / "split.pth") as plain,
        zipfile.ZipFile(tmp_path / "packed", "w", 8) as packed,
    ):
        for part in plain.infolist():
            packed.writestr(part.filename, plain.read(part))
    assert (tmp_path / "packed").stat().st_size < 20_000
    assert published_cells(plan(file="packed"), tmp_path, POOL) == []
    monkeypatch.setattr(published_splits, "LIMIT", 20_000)
    with pytest.raises(RecipeError, match="was not opened: unpacked it has more than"):
        published_cells(plan(file="packed"), tmp_path, POOL)
    with pytest.raises(RecipeError, match=r"cannot be read: .*MB that such a file can need"):
        published_cells(plan(), tmp_path, POOL)
    with pytest.raises(RecipeError, match="cannot be read"):
        published_cells(plan(file="nowhere"), tmp_path, POOL)
