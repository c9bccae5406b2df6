"""Strips of one task's predictions, with more and more labels of the other tasks fed in."""

from pathlib import Path
from typing import Any

import pytest

from labelgrid.basics.errors import LabelgridError
from labelgrid.lab.simulation.analyse import analyse
from tests.unit.drawings.test_charts import texts
from tests.unit.lab.simulation.analyses.slow_analyses import of_set, outputs, truth
from tests.unit.lab.simulation.finished import SIMULATE, finished_study


def test_each_label_that_is_fed_in_gives_another_prediction_with_its_metric(
    study: Any, tmp_path: Path
) -> None:
    result = analyse(
        study.folder,
        "research.analyses.known_frames:build",
        tmp_path,
        {"images": 2, "feed": ["normals", "depth"]},
        strategies=["cells"],
    )
    found = [finding for finding in result.findings if finding.run.name == "cells"]
    assert [finding.keys["labels"] for finding in found[::2]] == ["", "normals", "normals+depth"]
    for finding in found:
        image, fed = (
            str(finding.keys["image"]),
            [name for name in str(finding.keys["labels"]).split("+") if name],
        )
        pair = (
            outputs(study, "cells", number=4, image=image, known=fed)["semseg"],
            *truth(study, image, "semseg"),
        )
        assert finding.result.value == pytest.approx(of_set("semseg", [pair]), rel=2e-3)
    assert len({round(finding.result.value, 9) for finding in found}) > 2
    written = texts((tmp_path / "known_frames-cells.svg").read_bytes())
    captions = [text for text in written if text.startswith("mIoU ")]
    assert len(captions) == 6 and written.count("+ normals") == written.count("+ depth") == 2
    assert {"semseg, cells", "semseg, label", "fed in"} <= set(written)
    (mean,) = [mean for mean in result.means if (mean.arm, mean.keys["fed"]) == ("cells", 1)]
    assert mean.result.value == pytest.approx(
        sum(f.result.value for f in found if f.keys["fed"] == 1) / 2
    )


def test_a_label_that_does_not_exist_is_left_blank(study: Any, tmp_path: Path) -> None:
    name = study.made.names[12]
    label = study.made.label(name, "depth")
    content = label.read_bytes()
    label.unlink()
    try:
        result = analyse(
            study.folder,
            "research.analyses.known_frames:build",
            tmp_path,
            {"ids": [name], "task": "normals"},
            strategies=["cells"],
        )
    finally:
        label.write_bytes(content)
    values = {
        str(f.keys["labels"]): f.result.value for f in result.findings if f.run.name == "cells"
    }
    assert values["semseg"] == values["semseg+depth"] != values[""]
    written = texts((tmp_path / "known_frames-cells.svg").read_bytes())
    assert "+ semseg" in written and "+ depth" not in written


def test_networks_of_fewer_tasks_are_shown_as_far_as_they_go(tmp_path: Path) -> None:
    arms = '[simulate.arms.all]\nstrategy = "random_images"\n[simulate.arms.label]\ntasks = ["semseg"]\n'
    study = finished_study(
        tmp_path, SIMULATE.replace("rounds = 2", "rounds = 0") + arms, missing=[(10, "semseg")]
    )
    drawn = tmp_path / "drawn"
    found = analyse(
        study.folder, "research.analyses.known_frames:build", drawn, {"images": 1}
    ).findings
    assert {finding.run.name: finding.keys["fed"] for finding in found} == {
        "start": 2,
        "start.label": 0,
        "all": 2,
        "label": 0,
    }
    captions = {path.stem: set(texts(path.read_bytes())) for path in drawn.glob("*.svg")}
    assert (
        "fed in" in captions["known_frames-all"] and "fed in" not in captions["known_frames-label"]
    )
    assert "semseg, label" in captions["known_frames-label"]
    of_depth = analyse(
        study.folder, "research.analyses.known_frames:build", None, {"images": 1, "task": "depth"}
    ).findings
    assert {finding.run.name for finding in of_depth} == {"start", "all"}
    with pytest.raises(LabelgridError, match=r"has no label of 'semseg'(.|\n)*Name other images"):
        analyse(
            study.folder,
            "research.analyses.known_frames:build",
            drawn,
            {"ids": [study.made.names[10]]},
        )


@pytest.mark.parametrize(
    "options", [{"task": "depht"}, {"feed": ["depth", "depth"]}, {"feed": ["semseg"]}]
)
def test_wrong_tasks_are_refused(study: Any, tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(
        LabelgridError, match=r"The tasks are semseg, depth, normals(.|\n)*Nothing was written"
    ):
        analyse(study.folder, "research.analyses.known_frames:build", tmp_path / "no", options)
    assert not (tmp_path / "no").exists()
