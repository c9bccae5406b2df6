"""The metrics on the test split given the labels of other tasks, against slow ones in float64."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelgrid.basics.errors import UsageError
from labelgrid.lab.simulation.analyse import AnalysisResult, analyse
from research.analyses.known import Options, build
from tests.unit.drawings.test_charts import texts
from tests.unit.lab.simulation.analyses.slow_analyses import (
    HEADLINES,
    of_set,
    outputs,
    truth,
    value,
)
from tests.unit.lab.simulation.finished import SIMULATE, finished_study


@pytest.fixture(scope="module")
def whole(study: Any, tmp_path_factory: pytest.TempPathFactory) -> AnalysisResult:
    out = tmp_path_factory.mktemp("known")
    return analyse(study.folder, "research.analyses.known:build", out)


@pytest.fixture(scope="module")
def over_images(study: Any) -> AnalysisResult:
    return analyse(
        study.folder,
        "research.analyses.known:build",
        options={"over": "images"},
        strategies=["cells"],
    )


def test_every_combination_of_other_tasks_is_fed_in_once(whole: AnalysisResult) -> None:
    found = [
        finding for finding in whole.findings if finding.run.name == "cells" and finding.headline
    ]
    combinations = Counter((f.keys["task"], f.keys["labels"]) for f in found)
    for task, *others in (
        ("semseg", "depth", "normals"),
        ("depth", "normals", "semseg"),
        ("normals", "depth", "semseg"),
    ):
        assert {labels for name, labels in combinations if name == task} == {
            "",
            *others,
            "+".join(others),
        }
    assert set(combinations.values()) == {1} and {f.count for f in found} == {3}
    assert [(f.keys["task"], f.keys["fed"]) for f in found] == [
        (t, n) for t in sorted(HEADLINES) for n in (0, 1, 1, 2)
    ]
    assert all(
        f.keys["fed"] == len([name for name in str(f.keys["labels"]).split("+") if name])
        for f in found
    )


@pytest.mark.parametrize(
    "task, labels", [("semseg", ""), ("semseg", "depth"), ("depth", "normals+semseg")]
)
def test_the_last_network_is_measured_on_the_test_split(
    study: Any, whole: AnalysisResult, task: str, labels: str
) -> None:
    fed = [name for name in labels.split("+") if name]
    pairs = [
        (outputs(study, "cells", number=4, image=i, known=fed)[task], *truth(study, i, task))
        for i in study.made.names[10:]
    ]
    found = value(whole, "cells", HEADLINES[task], task=task, labels=labels)
    assert found == pytest.approx(of_set(task, pairs), rel=2e-3)
    if fed:
        assert found != value(whole, "cells", HEADLINES[task], task=task, labels="")


def test_means_are_over_the_combinations_of_a_size_and_drawn_as_lines(
    whole: AnalysisResult,
) -> None:
    wanted = [
        value(whole, "cells", "RMSE", task="depth", labels=labels)
        for labels in ("semseg", "normals")
    ]
    (mean,) = [
        m for m in whole.means if (m.arm, m.result.name, m.keys["fed"]) == ("cells", "RMSE", 1)
    ]
    assert mean.result.value == pytest.approx(sum(wanted) / 2) and "labels" not in mean.keys
    (drawing,) = [path for path in whole.files if path.name == "known-depth.svg"]
    written = texts(drawing.read_bytes())
    assert {
        "start",
        "cells",
        "images",
        "other tasks whose labels are fed in",
        "0",
        "1",
        "2",
    } <= set(written)


def test_over_images_are_the_mean_and_the_deviation_of_the_metric_of_each_image(
    study: Any, over_images: AnalysisResult
) -> None:
    for task, labels in (("semseg", ""), ("depth", "normals+semseg"), ("normals", "depth")):
        fed = [name for name in labels.split("+") if name]
        each = [
            of_set(
                task,
                [
                    (
                        outputs(study, "cells", number=4, image=i, known=fed)[task],
                        *truth(study, i, task),
                    )
                ],
            )
            for i in study.made.names[10:]
        ]
        keys = {"task": task, "labels": labels}
        mean = value(over_images, "cells", HEADLINES[task], over_images="mean", **keys)
        assert mean == pytest.approx(np.mean(each), rel=2e-3)
        deviation = value(over_images, "cells", HEADLINES[task], over_images="deviation", **keys)
        assert deviation == pytest.approx(np.std(each, ddof=1), rel=2e-3)
    assert {f.count for f in over_images.findings} == {3}


def test_the_bands_over_images_are_the_deviations_over_images(
    over_images: AnalysisResult,
) -> None:
    options = Options(over="images")
    means = over_images.means
    charts = build(options).drawings([mean for mean in means if mean.headline])
    assert sorted(chart.name for chart in charts) == [
        "known-depth",
        "known-normals",
        "known-semseg",
    ]
    chart = next(chart for chart in charts if chart.name == "known-depth")
    line = next(line for line in chart.lines if line.name == "cells")
    own = [
        mean
        for mean in means
        if (mean.arm, mean.result.name, mean.keys["task"]) == ("cells", "RMSE", "depth")
    ]
    middle = [mean.result.value for mean in own if mean.keys["over_images"] == "mean"]
    spread = [mean.result.value for mean in own if mean.keys["over_images"] == "deviation"]
    assert line.y == middle and np.all(np.array(spread) > 0)
    assert np.subtract(line.high, line.y) == pytest.approx(np.array(spread))


def test_known_labels_of_a_network_of_one_stage_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.mkdir()
    one_stage = '[simulate.changes.start.network]\nname = "shared_heads"\n'
    folder = finished_study(path, SIMULATE.replace("rounds = 2", "rounds = 0") + one_stage).folder
    for name, options in (
        ("research.analyses.known:build", {}),
        ("research.analyses.known:build", {"over": "images"}),
        ("research.analyses.known_frames:build", {"images": 1}),
    ):
        with pytest.raises(
            UsageError, match="'shared_heads' has one stage, so known labels have no effect"
        ) as caught:
            analyse(folder, name, tmp_path / "out", options)
        assert "pad_net or mti_net" in caught.value.next_step and not (tmp_path / "out").exists()
