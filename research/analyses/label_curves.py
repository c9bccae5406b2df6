"""Draws the loss of arms over the labels that they pay for, a line for each series of arms.

Arms that differ in their number of labels alone make one line: how many labels reach the same loss
is where the lines reach the same height. The loss is that after the last round, or after each.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from labelgrid.basics.progress import Progress
from labelgrid.basics.results import LOSS, Result
from labelgrid.drawings.charts import Chart
from labelgrid.lab.simulation.analysis import Finding, Mean, group_means, lines_of
from labelgrid.lab.simulation.runs import Run
from labelgrid.lab.simulation.study_recipe import Kind
from labelgrid.project.records import Measurement, read_measurement


@dataclass(frozen=True, kw_only=True)
class Options:
    """What makes a line.

    Args:
        series: by the name of a line, its arms.
        unused: by line, the labels that its arms pay for and are not trained on.
        every_round: take the losses after all rounds of an arm, not only after its last one.
    """

    series: Mapping[str, tuple[str, ...]]
    unused: Mapping[str, int] = field(default_factory=dict)
    every_round: bool = False


@dataclass(frozen=True)
class LabelCurves:
    """See the module."""

    options: Options
    kinds: ClassVar[frozenset[Kind]] = frozenset({"strategy"})
    within: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[str] = "a measured network"

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        """As `Analysis.findings`."""
        lines = {arm: line for line, arms in self.options.series.items() for arm in arms}
        progress.start("Reading", len(runs), "runs")
        for run, folder in runs:
            line = lines.get(run.name)
            measurements = measurements_of(folder) if line else []
            for measured in measurements if self.options.every_round else measurements[-1:]:
                labels = sum(measured.labels.values())
                yield Finding(
                    run=run,
                    keys={"line": line, "labels": labels + self.options.unused.get(line, 0)},
                    result=Result(LOSS, measured.loss_mtl, "", "lower"),
                    count=labels,
                )
            progress.advance(note=run.key)

    def drawings(self, means: Sequence[Mean]) -> Sequence[Chart]:
        """As `Analysis.drawings`."""
        return [_chart(group) for group in group_means(means).values()]


def measurements_of(folder: Path) -> list[Measurement]:
    """What was measured after the rounds of a run, in their order."""
    measured = [read_measurement(path) for path in sorted(folder.glob("rounds/*"))]
    return [each for each in measured if each]


def _chart(means: Sequence[Mean]) -> Chart:
    """Draw the loss over the labels."""
    return Chart(
        name="label-curves",
        x_label="labels that are paid for",
        y_label=means[0].axis_label,
        lines=lines_of(means, "labels", lambda mean: str(mean.keys["line"])),
        whole=True,
    )


def build(options: Options) -> LabelCurves:
    """Build the analysis."""
    return LabelCurves(options)
