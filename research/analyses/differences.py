"""Draws how far the loss of each arm is from that of a reference, seed by seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from labelgrid.basics.progress import Progress
from labelgrid.basics.results import LOSS, Result
from labelgrid.drawings.dots import Dots
from labelgrid.lab.simulation.analysis import Finding, Mean
from labelgrid.lab.simulation.runs import Run
from labelgrid.lab.simulation.study_recipe import Kind
from research.analyses.label_curves import measurements_of


@dataclass(frozen=True)
class Options:
    """What the arms are compared with.

    Args:
        reference: an arm.
    """

    reference: str


@dataclass(frozen=True)
class Differences:
    """See the module."""

    options: Options
    kinds: ClassVar[frozenset[Kind]] = frozenset({"strategy"})
    within: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[str] = "a measured network beside one of the reference"

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        """As `Analysis.findings`."""
        progress.start("Reading", len(runs), "runs")
        losses = []
        for run, folder in runs:
            losses += [(run, measured.loss_mtl) for measured in measurements_of(folder)[-1:]]
            progress.advance(note=run.key)
        reference = self.options.reference
        zeros = {run.seed: loss for run, loss in losses if run.name == reference}
        for run, loss in losses:
            if run.name != reference and run.seed in zeros:
                yield Finding(
                    run=run,
                    keys={"arm": run.name},
                    result=Result(LOSS, loss - zeros[run.seed], "", "lower"),
                    count=1,
                )

    def drawings(self, means: Sequence[Mean]) -> Sequence[Dots]:
        """As `Analysis.drawings`."""
        ordered = sorted(means, key=lambda mean: mean.result.value)
        marks = {mean.arm: (mean.result.value, mean.deviation) for mean in ordered}
        label = f"{LOSS} minus that of {self.options.reference}, lower is better"
        return [Dots("differences", label, {"difference": marks})]


def build(options: Options) -> Differences:
    """Build the analysis."""
    return Differences(options)
