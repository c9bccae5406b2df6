"""Laws of the file of a soft prediction."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from labelgrid.basics.errors import LabelError
from labelgrid.formats import soft
from labelgrid.formats.soft import read_soft, write_soft

RNG = np.random.default_rng(0)


def classes() -> np.ndarray:
    scores = np.exp(3 * RNG.normal(size=(5, 12, 17)))
    return (scores / scores.sum(0)).astype(np.float32)


@pytest.mark.parametrize(("bits", "most"), [(16, 0.5 / 65535), (8, 0.5 / 255)])
@pytest.mark.parametrize("scale", [1.0, 80.0])
def test_values_come_back_within_half_a_step(
    tmp_path: Path, bits: int, most: float, scale: float
) -> None:
    values = scale * classes()
    write_soft(tmp_path / "a.npz", values, bits)  # type: ignore[arg-type]
    found = read_soft(tmp_path / "a.npz")
    assert found.dtype == np.float32 and found.shape == values.shape
    assert np.abs(found - values).max() <= most * np.ptp(values) * 1.01
    assert (found.min(), found.max()) == (values.min(), values.max())


def test_a_threshold_can_be_swept_after_the_prediction_was_written(tmp_path: Path) -> None:
    edges = RNG.random((1, 40, 50))
    write_soft(tmp_path / "a.npz", edges)
    found = read_soft(tmp_path / "a.npz")
    for threshold in np.linspace(0.01, 0.99, 99):
        clear = np.abs(edges - threshold) > 1e-5
        assert ((found > threshold) == (edges > threshold))[clear].all()


def test_the_likeliest_class_stays_the_likeliest(tmp_path: Path) -> None:
    values = classes()
    write_soft(tmp_path / "a.npz", values)
    ordered = np.sort(values, 0)
    clear = ordered[-1] - ordered[-2] > 1e-4
    assert (read_soft(tmp_path / "a.npz").argmax(0) == values.argmax(0))[
        clear
    ].all() and clear.mean() > 0.9


def test_one_value_throughout_is_that_value(tmp_path: Path) -> None:
    write_soft(tmp_path / "a.npz", np.full((1, 2, 2), 0.3))
    assert (read_soft(tmp_path / "a.npz") == np.float32(0.3)).all()


def test_equal_predictions_make_equal_files_that_numpy_reads(tmp_path: Path) -> None:
    values = classes()
    for name in "ab":
        write_soft(tmp_path / f"{name}.npz", values)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["steps"].dtype == np.uint16 and file["ends"].tolist() == [
            values.min(),
            values.max(),
        ]


@pytest.mark.parametrize(
    "values", [np.full((1, 2, 2), np.nan), np.full((1, 2, 2), np.inf), np.zeros((2, 2))]
)
def test_what_is_not_finite_or_no_map_is_not_written(tmp_path: Path, values: np.ndarray) -> None:
    with pytest.raises(LabelError, match="c x h x w finite values"):
        write_soft(tmp_path / "a.npz", values)
    assert list(tmp_path.iterdir()) == []


def packed(path: Path, **arrays: object) -> bytes:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path.read_bytes()


@pytest.mark.parametrize(
    "arrays",
    [
        {"steps": np.zeros((1, 2, 2), np.uint8)},
        {"steps": np.zeros((1, 2, 2)), "ends": np.array([0.0, 1])},
        {"steps": np.zeros((2, 2), np.uint8), "ends": np.array([0.0, 1])},
        {"steps": np.zeros((1, 2, 2), np.uint8), "ends": np.array([1.0, 0])},
        {"steps": np.zeros((1, 2, 2), np.uint8), "ends": np.array([0.0, np.nan])},
        {"steps": np.array([[["x"]]], object), "ends": np.array([0.0, 1])},
    ],
)
def test_a_file_of_something_else_is_refused_and_not_run(
    tmp_path: Path, arrays: dict[str, object]
) -> None:
    packed(tmp_path / "a.npz", **arrays)
    with pytest.raises(LabelError, match="not a soft prediction file"):
        read_soft(tmp_path / "a.npz")


def test_a_missing_cut_or_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(LabelError, match="not a soft prediction file"):
        read_soft(path)
    write_soft(path, classes())
    whole = path.read_bytes()
    middle = len(whole) // 2
    for data in (
        b"",
        whole[:middle],
        whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
    ):
        path.write_bytes(data)
        with pytest.raises(LabelError, match="not a soft prediction file"):
            read_soft(path)


def test_a_file_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("steps", "ends"):
            with archive.open(f"{name}.npy", "w") as file:
                np.save(file, np.zeros(10**6, np.uint8))
    monkeypatch.setattr(soft, "LARGEST", 10**5)
    with pytest.raises(LabelError, match="have more than 0 MB"):
        read_soft(tmp_path / "a.npz")
