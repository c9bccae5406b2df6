"""How wrong the pseudo-labels of the term `pseudo_labels` were, by round, task and confidence.

`error` is the share of wrong pixels for classes, and for values the mean of the task's
`disagreement` with the hidden label: for depth in its unit, for normals 1 − the cosine of the
angle. A range of confidence is named by its lower end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from labelgrid.basics.progress import Progress
from labelgrid.basics.results import Result
from labelgrid.drawings.charts import Chart
from labelgrid.lab.simulation.analysis import Finding, Keys, Mean, group_means, lines_of
from labelgrid.lab.simulation.runs import Run
from labelgrid.lab.simulation.study_recipe import Kind
from labelgrid.project.folder import ProjectFolder
from research.analyses.pseudo_errors import pseudo_errors


@dataclass(frozen=True)
class Options:
    """How confidences are divided.

    Args:
        bins: the number of ranges of confidence, equally wide.
    """

    bins: int = 10

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise ValueError(f"bins must be a number of at least 1; it is {self.bins}")


@dataclass(frozen=True)
class PseudoLabelErrors:
    """See the module."""

    options: Options
    kinds: ClassVar[frozenset[Kind]] = frozenset({"strategy"})
    within: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[str] = "pseudo-labels; an arm's `changes` can add the term `pseudo_labels`"

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        """As `Analysis.findings`."""
        progress.start("Comparing", len(runs), "runs")
        for run, folder in runs:
            with ProjectFolder.open(folder) as project:
                found = [row for row in pseudo_errors(project, self.options.bins) if row.pixels]
            for row in found:
                keys: Keys = {"round": row.round, "task": row.task, "confidence": row.confidence}
                yield Finding(
                    run=run,
                    keys=keys,
                    result=Result("error", row.error, "", "lower"),
                    count=row.pixels,
                )
            progress.advance(note=run.key)

    def drawings(self, means: Sequence[Mean]) -> Sequence[Chart]:
        """As `Analysis.drawings`: one drawing for each task, one line for each arm and round."""
        return [_chart(group) for group in group_means(means, "task").values()]


def _chart(means: Sequence[Mean]) -> Chart:
    title = means[0].titled(str(means[0].keys["task"]))
    lines = lines_of(means, "confidence", lambda mean: f"{mean.arm}, round {mean.keys['round']}")
    return Chart(
        name=f"pseudo_labels-{title}",
        x_label="confidence (lower end of a range)",
        y_label="error",
        lines=lines,
        title=title,
    )


def build(options: Options) -> PseudoLabelErrors:
    """Build the analysis."""
    return PseudoLabelErrors(options)
