"""Pictures of the predictions of all arms, with their metric on each image."""

import json
from pathlib import Path
from typing import Any

import pytest

from labelgrid.basics.errors import LabelgridError
from labelgrid.lab.simulation.analyse import analyse
from tests.e2e.commands import done
from tests.unit.drawings.test_charts import texts
from tests.unit.lab.simulation.analyses.slow_analyses import HEADLINES, of_set, outputs, truth
from tests.unit.lab.simulation.finished import SIMULATE, finished_study


def test_each_image_has_its_labels_and_every_arm_with_its_metric(
    study: Any, tmp_path: Path
) -> None:
    result = analyse(study.folder, "research.analyses.frames:build", tmp_path, {"images": 2})
    images = {finding.keys["image"] for finding in result.findings}
    assert len(images) == 2 and images <= set(study.made.names[10:])
    arms = {finding.run.name for finding in result.findings}
    assert arms == {"images", "cells", "pseudo", "uncertain"}
    for finding in result.findings:
        image, task = str(finding.keys["image"]), str(finding.keys["task"])
        if finding.run.name == "cells":
            pair = (
                outputs(study, "cells", number=4, image=image, known=[])[task],
                *truth(study, image, task),
            )
            assert finding.result.value == pytest.approx(of_set(task, [pair]), rel=2e-3)
            assert finding.result.name == HEADLINES[task]
    drawn = sorted(path.name for path in tmp_path.glob("*.png"))
    assert drawn == sorted(f"frames-{image}.png" for image in images)
    written = texts(next(iter(tmp_path.glob("frames-*.svg"))).read_bytes())
    assert {"label", "cells", "images", "semseg"} <= set(written)
    assert any(text.startswith("mIoU ") and text.endswith("%") for text in written)


def test_arms_with_fewer_tasks_are_shown_on_the_same_images(tmp_path: Path) -> None:
    arms = (
        '[simulate.arms.all]\nstrategy = "random_images"\n[simulate.arms.one]\ntasks = ["semseg"]\n'
    )
    settings = SIMULATE.replace("rounds = 2", "rounds = 0") + arms
    study = finished_study(tmp_path, settings, missing=[(10, "depth"), (12, "depth")])
    found = analyse(
        study.folder, "research.analyses.frames:build", tmp_path / "drawn", {"images": 1}
    ).findings
    assert {(finding.run.name, finding.keys["image"]) for finding in found} == {
        ("all", study.made.names[11]),
        ("one", study.made.names[11]),
    }


def test_named_images_are_shown_and_others_refused(study: Any, tmp_path: Path) -> None:
    (name,) = study.made.names[12:13]
    result = analyse(study.folder, "research.analyses.frames:build", tmp_path, {"ids": [name]})
    assert {finding.keys["image"] for finding in result.findings} == {name}
    with pytest.raises(
        LabelgridError, match=r"is no image of the test split(.|\n)*Nothing was written"
    ):
        analyse(
            study.folder,
            "research.analyses.frames:build",
            tmp_path / "no",
            {"ids": [study.made.names[0]]},
        )
    assert not (tmp_path / "no").exists()


def test_the_command_shows_a_row_for_each_arm_image_and_task(study: Any) -> None:
    rows = json.loads(
        done(
            "analyse", study.folder, "research.analyses.frames:build", "--set", "images=1", "--json"
        ).out
    )["means"]
    assert {(row["arm"], row["task"]) for row in rows} >= {("cells", task) for task in HEADLINES}
    shown = done("analyse", study.folder, "research.analyses.frames:build", "--set", "images=1").out
    assert all(metric in shown for metric in HEADLINES.values())
