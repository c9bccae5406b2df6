"""The loss of each arm minus that of the reference with the same seed."""

from pathlib import Path
from typing import Any

import pytest

from labelgrid.lab.simulation.analyse import analyse
from labelgrid.lab.simulation.study_results import read_outcomes


def test_each_seed_is_compared_with_the_reference_of_its_own(study: Any, tmp_path: Path) -> None:
    options = {"reference": "images"}
    result = analyse(study.folder, "research.analyses.differences:build", tmp_path, options)
    last = {}
    for outcome in read_outcomes(study.folder):
        if outcome.metric == "loss_mtl" and outcome.kind == "strategy":
            last[outcome.strategy, outcome.seed] = outcome.value
    assert {finding.run.name for finding in result.findings} == {"cells", "pseudo", "uncertain"}
    for finding in result.findings:
        seed = finding.run.seed
        expected = last[finding.run.name, seed] - last["images", seed]
        assert finding.result.value == pytest.approx(expected)
    assert (tmp_path / "differences.png").is_file()
