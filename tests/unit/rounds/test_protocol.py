"""A measurement by a published protocol counts a crop and a range of depth, as an own sum in float64 does."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from labelgrid.api.project import Project
from labelgrid.basics.errors import LabelgridError, ProjectError, UsageError
from labelgrid.basics.progress import Silent
from labelgrid.cli import app
from labelgrid.rounds import fit
from labelgrid.rounds.evaluate import evaluate_split
from labelgrid.rounds.protocol import Protocol
from labelgrid.tasks.crops import read_crop
from tests.rounds import labelled

COVERS = ["labelgrid.tasks.crops", "labelgrid.pixel.capped_metric"]
SIZE = (48, 64)
Depths = list[tuple[NDArray[np.uint16], NDArray[np.uint16]]]


@pytest.fixture
def depths(tmp_path: Path) -> Depths:
    """Labels and predictions of three images in millimetres, on the disk as a data set; 0 is none."""
    found = []
    for number in range(3):
        rng = np.random.default_rng(number)
        truth = rng.integers(200, 14_000, SIZE).astype(np.uint16)
        truth[rng.random(SIZE) < 0.2] = 0
        truth[0, :8] = (500, 10_000, 500, 10_000, 501, 9_999, 0, 400)
        guess = np.clip(truth + rng.normal(0, 900, SIZE), 1, 20_000).astype(np.uint16)
        write(tmp_path / "ds/images", f"{number}.png", rng.integers(0, 255, (*SIZE, 3), np.uint8))
        write(tmp_path / "ds/labels/depth", f"{number}.png", truth)
        write(tmp_path / "predicted/depth", f"{number}.png", guess)
        found.append((truth, guess))
    (tmp_path / "ds/tasks.toml").write_text("[depth]\n")
    return found


def write(folder: Path, name: str, pixels: NDArray[Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(folder / name), pixels)


def own(depths: Depths, rows: slice, columns: slice, ends: tuple[float, float]) -> dict[str, float]:
    """RMSE and absErr in metres over all pixels of the set that count."""
    errors = []
    for truth, guess in depths:
        metres = truth[rows, columns].astype(np.float64) / 1000
        counted = (metres > ends[0]) & (metres < ends[1]) & (metres > 0)
        predicted = np.clip(guess[rows, columns].astype(np.float64) / 1000, *ends)
        errors.append((predicted - metres)[counted])
    error = np.concatenate(errors)
    return {"RMSE": float(np.sqrt((error**2).mean())), "absErr": float(np.abs(error).mean())}


@pytest.mark.parametrize(
    ("words", "rows", "columns", "ends"),
    [
        ([], slice(0, 48), slice(0, 64), (0, np.inf)),
        (["--crop", "3:40,5:60"], slice(3, 40), slice(5, 60), (0, np.inf)),
        (["--crop", "10%:90%,5%:95%"], slice(4, 43), slice(3, 60), (0, np.inf)),
        (["--crop", "eigen-nyu"], slice(4, 47), slice(4, 60), (0, np.inf)),
        (["--max-depth", "10"], slice(0, 48), slice(0, 64), (0, 10)),
        (["--min-depth", "0.5"], slice(0, 48), slice(0, 64), (0.5, np.inf)),
        (
            ["--crop", "garg-kitti", "--min-depth", "0.5", "--max-depth", "10"],
            slice(19, 47),
            slice(2, 61),
            (0.5, 10),
        ),
    ],
)
def test_figures_equal_an_own_sum_over_the_pixels_that_count(
    depths: Depths,
    tmp_path: Path,
    words: list[str],
    rows: slice,
    columns: slice,
    ends: tuple[float, float],
) -> None:
    command = ["data", "evaluate", "folder", str(tmp_path / "ds"), str(tmp_path / "predicted")]
    printed = CliRunner().invoke(app, [*command, *words, "--json"], catch_exceptions=False)
    values = json.loads(printed.stdout)
    found = {name: result["value"] for name, result in values["metrics"]["depth"].items()}
    assert found == pytest.approx(own(depths, rows, columns, ends), rel=1e-6)
    assert ("protocol" in values) == bool(words)


def test_metrics_of_parts_merge_to_those_of_the_whole(depths: Depths) -> None:
    import torch

    from labelgrid.pixel.capped_metric import CappedMetric
    from labelgrid.pixel.metrics import DepthMetric
    from labelgrid.pixel.target import Target

    whole, *parts = (CappedMetric(DepthMetric, 0.5, 10.0) for _ in range(4))
    for (truth, guess), part in zip(depths, parts, strict=True):
        metres = torch.from_numpy(truth.astype(np.float32) / 1000)[None, None]
        predicted = torch.from_numpy(guess.astype(np.float32) / 1000)[None, None]
        for metric in (whole, part):
            metric.update(predicted, Target(metres, metres > 0))
            metric.end_image()
    for part in parts[1:]:
        parts[0].merge(part)
    assert parts[0].compute() == whole.compute()


# A project's network


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project, _ = labelled(tmp_path_factory.mktemp("trained"), images=4, n=8)
    with project:
        fit.fit(project, Silent())
    return project.folder


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(trained, tmp_path / "flat")
    with Project.open(tmp_path / "flat") as opened:
        yield opened


def test_a_network_is_measured_as_its_predictions_are_and_nothing_is_recorded(
    project: Project, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in (project.folder / "rounds").rglob("*.json")}
    options: dict[str, Any] = {"crop": "10%:70%,20%:90%", "min_depth": 1.0, "max_depth": 4.0}
    by_network = project.evaluate(**options)
    heldout = sorted({row["image"] for row in project.cells(split="heldout")})
    for image_id in heldout:
        row = project._project.store.image(image_id)
        project.predict(Path(row.root, image_id), tmp_path / "predicted", soft=True)
    by_files = project.evaluate(predictions=tmp_path / "predicted", **options)
    for task, results in by_files["metrics"].items():
        for name, result in results.items():
            other = by_network["metrics"][task][name]["value"]
            assert result["value"] == pytest.approx(other, rel=1e-3, nan_ok=True), (task, name)
    whole = project.evaluate(predictions=tmp_path / "predicted")
    assert whole["metrics"] != by_files["metrics"] and "protocol" not in whole
    assert by_network["protocol"] == {"crop": options["crop"], "min_depth": 1.0, "max_depth": 4.0}
    after = {path: path.read_bytes() for path in (project.folder / "rounds").rglob("*.json")}
    assert after == before


def test_a_cap_changes_depth_alone_and_a_crop_all_tasks(project: Project) -> None:
    whole = project.evaluate()["metrics"]
    capped = project.evaluate(max_depth=3.0)["metrics"]
    cropped = project.evaluate(crop="25%:75%,25%:75%")["metrics"]
    changed = {task for task in whole if capped[task] != whole[task]}
    assert changed == {"depth"}
    assert {task for task in whole if cropped[task] != whole[task]} == set(whole)


def test_a_range_without_a_pixel_is_refused(tmp_path: Path) -> None:
    project, _ = labelled(tmp_path, images=3, n=6, tasks=("depth",))
    with project:
        fit.fit(project, Silent())
        with pytest.raises(ProjectError, match="No pixel of the labels lies in the crop"):
            evaluate_split(project, "heldout", Silent(), Protocol(least=1e6))


def test_a_range_in_which_no_depth_lies_is_refused_though_other_tasks_count(
    project: Project,
) -> None:
    with pytest.raises(ProjectError, match="No pixel of the labels of depth lies in the crop"):
        project.evaluate(min_depth=1e6)


@pytest.mark.parametrize(
    "options",
    [
        {"crop": "eigen"},
        {"crop": "1:2"},
        {"crop": "1,2:3,4"},
        {"crop": "5:3,0:4"},
        {"crop": "0:9000,0:9000"},
        {"crop": "-1:3,0:4"},
        {"crop": "0:110%,0:4"},
        {"min_depth": 10.0, "max_depth": 10.0},
        {"min_depth": -1.0},
        {"max_depth": float("nan")},
    ],
    ids=str,
)
def test_a_wrong_crop_or_range_is_refused(project: Project, options: dict[str, Any]) -> None:
    with pytest.raises(LabelgridError):
        project.evaluate(**options)


def test_a_range_of_depth_needs_a_task_with_depths(project: Project) -> None:
    definitions = {"semseg": project.tasks["semseg"]}
    with pytest.raises(UsageError, match="No task has depths in metres"):
        Protocol(most=10.0).check(definitions)


def test_named_crops_are_those_of_published_evaluations() -> None:
    """Written here as they stand in evaluations of depth on NYUv2 and KITTI."""
    mask = read_crop("eigen-nyu").mask((480, 640))
    assert (np.argwhere(mask).min(0).tolist(), np.argwhere(mask).max(0).tolist()) == (
        [45, 41],
        [470, 600],
    )
    for name, edges in {
        "garg-kitti": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
        "eigen-kitti": (0.3324324, 0.91351351, 0.0359477, 0.96405229),
    }.items():
        height, width = 375, 1242
        top, bottom, left, right = (np.array(edges) * [height, height, width, width]).astype(int)
        expected = np.zeros((height, width), bool)
        expected[top:bottom, left:right] = True
        np.testing.assert_array_equal(read_crop(name).mask((height, width)), expected)


@pytest.mark.parametrize("crop", ["5:3,0:4", "0:4,7:7", "90%:10%,0:4"])
def test_a_crop_of_no_image_is_refused_before_any_is_read(crop: str) -> None:
    with pytest.raises(UsageError, match="holds no pixel of any image"):
        read_crop(crop)
