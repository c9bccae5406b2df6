"""How much better a network predicts a task if it is given the true labels of other tasks.

PartAL's figures 10 and 11 (section 4.5, improved inference): the metrics of each task on the test split, by the number
of other tasks whose labels are fed in (`fed`), over all their combinations (`labels`). The network is the last one of
each run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import ClassVar

from labelgrid.labels.grid import State
from labelgrid.progress import Progress
from labelgrid.project.artifacts import newest_fit
from labelgrid.project.folder import ProjectFolder
from labelgrid.report.charts import Chart
from labelgrid.simulation.analyses.analysis import Finding, Mean, grouped, lines_of
from labelgrid.simulation.analyses.measuring import Question, measured
from labelgrid.simulation.runs import Run
from labelgrid.simulation.study import Kind


@dataclass(frozen=True)
class Options:
    """There are none."""


@dataclass(frozen=True)
class Known:
    """See the module."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({"start", "strategy", "full"})
    within: ClassVar[frozenset[str]] = frozenset({"labels"})
    needs: ClassVar[str] = "a trained network"

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        """As `Analysis.findings`."""
        questions = [question for run, folder in runs for question in _questions(run, folder)]
        found: list[Finding] = []
        for answer in measured(questions, progress):
            fed = sorted({cell.task for cell in answer.question.known})
            for task in answer.evaluation.metrics:
                others = [name for name in fed if name != task]
                found += answer.findings(task, {"task": task, "fed": len(others), "labels": "+".join(others)})
        order = {run.key: index for index, (run, _) in enumerate(runs)}
        yield from sorted(found, key=lambda one: (order[one.run.key], one.keys["task"], one.keys["fed"]))

    def drawings(self, means: Sequence[Mean]) -> Sequence[Chart]:
        """As `Analysis.drawings`: one drawing for each task, one line for each arm."""
        return [_chart(group) for group in grouped(means, "task").values()]


def _questions(run: Run, folder: Path) -> Iterator[Question]:
    """What is measured of a run: its last network, given the labels of an even number of tasks.

    A task's own label never reaches its own output. So a network that is given the labels of tasks A and B predicts
    task A from B's alone, and C from both: the even numbers give every combination for every task.
    """
    fit = newest_fit(folder)
    with ProjectFolder.open(folder) as project:
        cells = frozenset(row.cell for row in project.store.cells(state=State.LABELLED, splits=("heldout",)))
        tasks = list(project.tasks())
    for size in range(0, len(tasks) + 1, 2):
        for fed in combinations(tasks, size):
            known = frozenset(cell for cell in cells if cell.task in fed)
            yield Question(run, folder, fit.round if fit else 0, cells, known)


def _chart(means: Sequence[Mean]) -> Chart:
    first = means[0]
    title = first.titled(str(first.keys["task"]))
    lines = lines_of(means, "fed", lambda mean: mean.arm)
    return Chart(
        f"known-{title}", "other tasks whose labels are fed in", first.axis_label, lines, whole=True, title=title
    )


def build(options: Options) -> Known:
    """Build the analysis."""
    return Known()
