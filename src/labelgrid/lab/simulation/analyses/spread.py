"""Counts the images, and groups of images, over which the labels of each arm are spread, by round.

The analysis counts the training images with at least one label and, if the images have groups, the
groups: near-duplicates of a scene say little more than a single image. A round's labels are the
labels that its network is trained on, as in `outcomes.csv`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from labelgrid.basics.progress import Progress
from labelgrid.basics.results import Result
from labelgrid.drawings.charts import Chart
from labelgrid.lab.simulation.analysis import Finding, Mean, group_means, lines_of
from labelgrid.lab.simulation.runs import Run
from labelgrid.lab.simulation.study_recipe import Kind
from labelgrid.ledger.grid import State
from labelgrid.project.folder import ProjectFolder


@dataclass(frozen=True)
class Options:
    """There are none."""


@dataclass(frozen=True)
class LabelSpread:
    """See the module."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({"strategy"})
    within: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[str] = "labels"

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        """As `Analysis.findings`."""
        progress.start("Counting", len(runs), "runs")
        for run, folder in runs:
            with ProjectFolder.open(folder) as project:
                groups = {}
                for row in project.store.images(splits=("train",)):
                    groups[row.image_id] = row.group
                cells = project.store.cells(state=State.LABELLED, splits=("train",))
                bought = {(row.round, row.cell.image_id) for row in cells}
                numbers = [row.number for row in project.store.rounds() if row.number > 1]
            for number in numbers:
                images = {image for bought_in, image in bought if bought_in < number}
                image_groups = {groups[image] for image in images} - {""}
                counts = {"images": len(images), "groups": len(image_groups)}
                for name, count in counts.items():
                    if count:
                        yield Finding(
                            run=run,
                            keys={"round": number},
                            result=Result(name, count, "", "higher"),
                            count=len(images),
                        )
            progress.advance(note=run.key)

    def drawings(self, means: Sequence[Mean]) -> Sequence[Chart]:
        """As `Analysis.drawings`: drawings for images and for groups, with a line for each arm."""
        charts = []
        for group in group_means(means).values():
            counted = group[0].result.name
            title = group[0].titled(counted)
            chart = Chart(
                name=f"spread-{title}",
                x_label="round",
                y_label=f"{counted} with a label",
                lines=lines_of(group, "round", lambda mean: mean.arm),
                whole=True,
                title=title,
            )
            charts.append(chart)
        return charts


def build(options: Options) -> LabelSpread:
    """Build the analysis."""
    return LabelSpread()
