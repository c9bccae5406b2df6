"""The metrics of picked cells: against slow ones in float64, and of planted hard images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import pytest

from labelgrid.basics.errors import RecipeError
from labelgrid.lab.simulation.analyse import AnalysisResult, analyse
from tests.unit.drawings.test_charts import texts
from tests.unit.lab.simulation.analyses.slow_analyses import (
    HEADLINES,
    of_set,
    outputs,
    truth,
    value,
    values,
)

#: The first round's network is shared; in round 3 some images of cells have labels.
CASES = [("images", 2, "none"), ("cells", 2, "none"), ("cells", 3, "none"), ("cells", 3, "fed in")]


@pytest.fixture(scope="module")
def whole(study: Any, tmp_path_factory: pytest.TempPathFactory) -> AnalysisResult:
    return analyse(study.folder, "picks", tmp_path_factory.mktemp("picks") / "figures")


@pytest.mark.parametrize("arm, number, how", CASES)
def test_picked_cells_are_measured_as_one_set_with_the_network_that_picked_them(
    study: Any, whole: AnalysisResult, arm: str, number: int, how: str
) -> None:
    before = {
        (p.cell.image_id, p.cell.task) for n in range(1, number) for p in study.picked(arm, 0, n)
    }
    for task, metric in HEADLINES.items():
        images = [
            pick.cell.image_id for pick in study.picked(arm, 0, number) if pick.cell.task == task
        ]
        pairs = []
        if not images:
            assert not values(whole, arm, metric, round=number, cells="picked", task=task)
            continue
        for image in images:
            known = (
                [other for name, other in sorted(before) if name == image]
                if how == "fed in"
                else []
            )
            pairs.append(
                (
                    outputs(study, arm, number=number, image=image, known=known)[task],
                    *truth(study, image, task),
                )
            )
        expected = of_set(task, pairs)
        found = value(whole, arm, metric, round=number, cells="picked", known=how, task=task)
        assert found == pytest.approx(expected, rel=2e-3)


def test_the_pool_is_what_could_be_picked(study: Any, whole: AnalysisResult) -> None:
    initial = {pick.cell.image_id for pick in study.picked("images", 0, 1)}
    left = [image for image in study.made.names[:10] if image not in initial]
    pairs = [
        (
            outputs(study, "images", number=2, image=image, known=[])["depth"],
            *truth(study, image, "depth"),
        )
        for image in left
    ]
    keys = {"round": 2, "cells": "pool", "known": "none", "task": "depth"}
    assert value(whole, "images", "RMSE", **keys) == pytest.approx(of_set("depth", pairs), rel=1e-4)
    assert values(whole, "images", "RMSE", **keys) == values(
        whole, "cells", "RMSE", **keys
    )  # one start a seed
    few = analyse(study.folder, "picks", options={"sample": 2}, strategies=["images", "cells"])
    assert {
        f.count for f in few.findings if f.keys["cells"] == "pool" and f.keys["round"] == 2
    } == {2}
    picked = [
        finding
        for finding in whole.findings
        if finding.keys["cells"] == "picked" and finding.run.name in ("images", "cells")
    ]
    assert picked == [f for f in few.findings if f.keys["cells"] == "picked"]


def test_known_labels_are_fed_in_only_where_there_are_some(whole: AnalysisResult) -> None:
    def ways(arm: str, number: int) -> dict[object, float]:
        found = [f for f in whole.findings if (f.run.name, f.result.name) == (arm, "RMSE")]
        return {
            f.keys["known"]: f.result.value
            for f in found
            if (f.keys["round"], f.keys["cells"]) == (number, "pool")
        }

    assert list(ways("cells", 2)) == list(ways("images", 2)) == list(ways("images", 3)) == ["none"]
    third = ways("cells", 3)
    assert list(third) == ["none", "fed in"] and third["none"] != third["fed in"]


@contextmanager
def planted(study: Any, images: Sequence[str]) -> Iterator[None]:
    """The depths of these images are 2, 4, 6, … metres farther than they look."""
    paths = [study.made.label(image, "depth") for image in images]
    kept = {path: path.read_bytes() for path in paths}
    for index, path in enumerate(paths, 1):
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert cv2.imwrite(
            str(path), np.where(pixels > 0, pixels + 2000 * index, 0).astype(np.uint16)
        )
    try:
        yield
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


def test_a_strategy_that_picks_planted_hard_images_shows_worse_metrics(
    study: Any, whole: AnalysisResult
) -> None:
    hard = sorted({pick.cell.image_id for pick in study.picked("images", 0, 2)})
    with planted(study, hard):
        result = analyse(study.folder, "picks", strategies=["images", "cells"])
        pairs = [
            (
                outputs(study, "images", number=2, image=i, known=[])["depth"],
                *truth(study, i, "depth"),
            )
            for i in hard
        ]
    keys = {"round": 2, "known": "none", "task": "depth"}
    picked, pool = (
        value(result, "images", "RMSE", cells=cells, **keys) for cells in ("picked", "pool")
    )
    assert (
        picked > pool + 0.2 and picked > value(whole, "images", "RMSE", cells="picked", **keys) + 1
    )
    others = {
        pick.cell.image_id for pick in study.picked("cells", 0, 2) if pick.cell.task == "depth"
    }
    assert (
        others - set(hard) and value(result, "cells", "RMSE", cells="picked", **keys) < picked - 0.2
    )
    assert picked == pytest.approx(of_set("depth", pairs), rel=1e-4)
    assert picked != pytest.approx(np.mean([of_set("depth", [pair]) for pair in pairs]), rel=1e-3)
    semseg = {**keys, "task": "semseg", "cells": "picked"}
    assert value(result, "images", "mIoU", **semseg) == value(whole, "images", "mIoU", **semseg)


def test_each_task_and_round_has_a_drawing_with_a_row_for_each_arm(
    whole: AnalysisResult,
) -> None:
    drawings = {path.name: path for path in whole.files}
    assert {f"picks-{task}-round-{n}.png" for task in HEADLINES for n in (2, 3)} <= set(drawings)
    second, third = (
        set(texts(drawings[f"picks-depth-round-{n}.svg"].read_bytes())) for n in (2, 3)
    )
    assert {"images", "cells", "pseudo", "picked", "pool"} <= second and "pseudo" not in third
    assert not [text for text in second if "fed in" in text]
    assert {"picked, known labels fed in", "pool, known labels fed in"} <= third


def test_a_sample_below_nothing_is_refused(study: Any) -> None:
    with pytest.raises(RecipeError, match="sample must be a number of at least 0"):
        analyse(study.folder, "picks", options={"sample": -1})
