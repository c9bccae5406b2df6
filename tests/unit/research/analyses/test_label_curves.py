"""The loss of each line of arms over the labels that they pay for."""

from pathlib import Path
from typing import Any

from labelgrid.lab.simulation.analyse import analyse
from labelgrid.lab.simulation.study_results import read_outcomes
from tests.unit.drawings.test_charts import texts


def test_a_line_has_the_arms_of_its_series_and_counts_labels_that_are_not_trained_on(
    study: Any, tmp_path: Path
) -> None:
    options = {
        "series": {"bought": ["images", "cells"], "taught": ["pseudo"]},
        "unused": {"taught": 7},
    }
    result = analyse(study.folder, "research.analyses.label_curves:build", tmp_path, options)
    assert {finding.run.name for finding in result.findings} == {"images", "cells", "pseudo"}
    last = {}
    for outcome in read_outcomes(study.folder):
        if outcome.metric == "loss_mtl" and outcome.kind == "strategy":
            last[outcome.strategy, outcome.seed] = outcome
    for finding in result.findings:
        outcome = last[finding.run.name, finding.run.seed]
        assert finding.result.value == outcome.value
        unused = 7 if finding.run.name == "pseudo" else 0
        assert finding.keys["labels"] == outcome.labels + unused
    written = texts((tmp_path / "label-curves.svg").read_bytes())
    assert {"bought", "taught"} <= set(written)


def test_a_line_has_the_losses_after_all_rounds_if_asked(study: Any, tmp_path: Path) -> None:
    options = {"series": {"bought": ["cells"]}, "every_round": True}
    result = analyse(study.folder, "research.analyses.label_curves:build", tmp_path, options)
    wanted = set()
    for outcome in read_outcomes(study.folder):
        if outcome.metric == "loss_mtl" and outcome.strategy == "cells":
            wanted.add((outcome.seed, outcome.labels, outcome.value))
    found = set()
    for finding in result.findings:
        found.add((finding.run.seed, finding.keys["labels"], finding.result.value))
    assert found == wanted and len(wanted) > len({seed for seed, _, _ in wanted})
