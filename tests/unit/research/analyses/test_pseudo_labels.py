"""The errors of pseudo-labels of a whole study."""

from pathlib import Path
from typing import Any

import pytest

from labelgrid.basics.errors import RecipeError
from labelgrid.lab.simulation.analyse import analyse
from labelgrid.project.folder import ProjectFolder
from research.analyses.pseudo_errors import pseudo_errors
from tests.unit.drawings.test_charts import texts


def test_each_arm_with_pseudo_labels_has_their_errors(study: Any, tmp_path: Path) -> None:
    result = analyse(study.folder, "research.analyses.pseudo_labels:build", tmp_path, {"bins": 4})
    with ProjectFolder.open(study.folder / "runs" / "pseudo-seed0") as project:
        expected = [row for row in pseudo_errors(project, 4) if row.pixels]
    assert [finding.run.name for finding in result.findings] == ["pseudo"] * len(expected)
    found = [
        (*finding.keys.values(), finding.result.value, finding.count) for finding in result.findings
    ]
    assert found == [
        (row.round, row.task, row.confidence, row.error, row.pixels) for row in expected
    ]
    tasks = {row.task for row in expected}
    assert tasks
    for task in tasks:
        written = texts((tmp_path / f"pseudo_labels-{task}.svg").read_bytes())
        assert {"confidence (lower end of a range)", "error"} <= set(written)


def test_no_ranges_are_refused(study: Any) -> None:
    with pytest.raises(RecipeError, match="bins must be a number of at least 1"):
        analyse(study.folder, "research.analyses.pseudo_labels:build", options={"bins": 0})
