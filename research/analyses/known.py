"""How much better a network predicts a task if it is given the true labels of other tasks.

PartAL's figures 10 and 11 (section 4.5, improved inference): the metrics of each task on the test
split, by the number of other tasks whose labels are fed in (`fed`), over all their combinations
(`labels`). The network is the last one of each run. With `over = "images"` the metrics are those of
each image alone: the mean and the standard deviation over images.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import ClassVar, Literal

from labelgrid.basics.progress import Progress
from labelgrid.basics.results import mean_and_deviation
from labelgrid.drawings.charts import Chart
from labelgrid.lab.simulation.analysis import Finding, Keys, Mean, group_means, lines_of
from labelgrid.lab.simulation.measuring import Question, measure_cells, measure_networks
from labelgrid.lab.simulation.runs import Run
from labelgrid.lab.simulation.study_recipe import Kind
from labelgrid.ledger.grid import State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import newest_fit

#: The column that says what a number over images is.
OVER_IMAGES = "over_images"


@dataclass(frozen=True)
class Options:
    """What is measured.

    Args:
        over: `"set"`: the metrics of all images as one set. `"images"`: the mean and the standard
            deviation over images of the metrics of one image; PartAL's figure 11 shows "standard
            deviations over samples".
    """

    over: Literal["set", "images"] = "set"


@dataclass(frozen=True)
class Known:
    """See the module."""

    options: Options
    kinds: ClassVar[frozenset[Kind]] = frozenset({"start", "strategy", "full"})
    within: ClassVar[frozenset[str]] = frozenset({"labels"})
    needs: ClassVar[str] = "a trained network"

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        """As `Analysis.findings`."""
        questions = [question for run, folder in runs for question in _questions(run, folder)]
        find = _of_sets if self.options.over == "set" else _of_images
        order = {run.key: index for index, (run, _) in enumerate(runs)}
        findings = list(find(questions, progress))
        findings.sort(key=lambda f: (order[f.run.key], f.keys["task"], f.keys["fed"]))
        yield from findings

    def drawings(self, means: Sequence[Mean]) -> Sequence[Chart]:
        """As `Analysis.drawings`: one drawing for each task, one line for each arm.

        Bands: seeds, or images.
        """
        return [_chart(group) for group in group_means(_with_bands(means), "task").values()]


def _of_sets(questions: Sequence[Question], progress: Progress) -> Iterator[Finding]:
    """The metrics of each task over all images as one set."""
    for answer in measure_networks(questions, progress):
        for task in answer.evaluation.metrics:
            yield from answer.findings(task, _keys(answer.question, task))


def _of_images(questions: Sequence[Question], progress: Progress) -> Iterator[Finding]:
    """The mean and the standard deviation over images of each task's metrics."""
    on_cells = measure_cells(questions, lambda measure: measure.metric.compute(), progress)
    for question, by_cell in zip(questions, on_cells, strict=True):
        with ProjectFolder.open(question.folder) as project:
            headlines = {name: task.headline for name, task in project.tasks().items()}
        for task, headline in headlines.items():
            results = [found for cell, found in by_cell.items() if cell.task == task]
            for name, one in (results[0] if results else {}).items():
                values = [
                    found[name].value for found in results if math.isfinite(found[name].value)
                ]
                for part, value in zip(
                    ("mean", "deviation"), mean_and_deviation(values), strict=True
                ):
                    keys = {**_keys(question, task), OVER_IMAGES: part}
                    yield Finding(
                        run=question.run,
                        keys=keys,
                        result=replace(one, value=value),
                        count=len(values),
                        headline=name == headline,
                    )


def _keys(question: Question, task: str) -> Keys:
    others = sorted({cell.task for cell in question.known} - {task})
    return {"task": task, "fed": len(others), "labels": "+".join(others)}


def _with_bands(means: Sequence[Mean]) -> list[Mean]:
    """The means that are drawn; the deviation of means over images is that over images."""
    spreads = [mean.result.value for mean in means if mean.keys.get(OVER_IMAGES) == "deviation"]
    lines = [mean for mean in means if mean.keys.get(OVER_IMAGES) != "deviation"]
    if not spreads:
        return lines
    return [replace(mean, deviation=spread) for mean, spread in zip(lines, spreads, strict=True)]


def _questions(run: Run, folder: Path) -> Iterator[Question]:
    """What is measured of a run: its last network, given the labels of an even number of tasks.

    A task's own label never reaches its own output. So a network that is given the labels of tasks
    A and B predicts task A from B's alone, and C from both: the even numbers give every combination
    for every task.
    """
    fit = newest_fit(folder)
    with ProjectFolder.open(folder) as project:
        cells = frozenset(
            row.cell for row in project.store.cells(state=State.LABELLED, splits=("heldout",))
        )
        tasks = list(project.tasks())
    for size in range(0, len(tasks) + 1, 2):
        for fed in combinations(tasks, size):
            known = frozenset(cell for cell in cells if cell.task in fed)
            yield Question(
                run=run, folder=folder, round=fit.round if fit else 0, cells=cells, known=known
            )


def _chart(means: Sequence[Mean]) -> Chart:
    first = means[0]
    title = first.titled(str(first.keys["task"]))
    lines = lines_of(means, "fed", lambda mean: mean.arm)
    return Chart(
        name=f"known-{title}",
        x_label="other tasks whose labels are fed in",
        y_label=first.axis_label,
        lines=lines,
        whole=True,
        title=title,
    )


def build(options: Options) -> Known:
    """Build the analysis."""
    return Known(options)
