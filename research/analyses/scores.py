"""What the scores of cells correlate with, such as the cell's loss.

Spearman's rank correlation over the cells that could be picked in a round, for each statistic with
a value per cell, task and trait. The traits (`with`): the loss of the round's network on the cell's
hidden label, given the labels that the image had; rare classes, or the mean value, in the image's
hidden label of each task; the noise of the image. A run's correlations are averaged over its
rounds.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.stats import spearmanr

from labelgrid.basics.progress import Progress
from labelgrid.basics.results import Result
from labelgrid.drawings.dots import Dots
from labelgrid.lab.simulation.analysis import Finding, Keys, Mean, group_means
from labelgrid.lab.simulation.measuring import Question, hidden_data, measure_cells
from labelgrid.lab.simulation.runs import Run
from labelgrid.lab.simulation.study_recipe import Kind
from labelgrid.ledger.grid import Cell, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.score.table import FILE, Table
from labelgrid.score.table_files import read_table
from labelgrid.tasks.task import TaskDef, build_all
from research.analyses.traits import Traits


@dataclass(frozen=True)
class Options:
    """There are none."""


@dataclass(frozen=True)
class Scores:
    """See the module."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({"strategy"})
    within: ClassVar[frozenset[str]] = frozenset({"round"})
    needs: ClassVar[str] = "scores of cells"

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        """As `Analysis.findings`."""
        rounds = [scored for run, folder in runs for scored in _rounds(run, folder)]
        if not rounds:
            return
        traits = _traits([folder for _, folder in runs])
        losses = measure_cells(
            [scored.question for scored in rounds], lambda measure: measure.loss, progress
        )
        for scored, of_cells in zip(rounds, losses, strict=True):
            yield from _compared(scored, of_cells, traits)

    def drawings(self, means: Sequence[Mean]) -> Sequence[Dots]:
        """As `Analysis.drawings`: one drawing for each task, one row for each trait."""
        return [_dots(group) for group in group_means(means, "task").values()]


@dataclass(frozen=True)
class _ScoredRound:
    """A round of a run: the cells that could be picked, the pool, and the statistics of cells."""

    question: Question
    pool: Sequence[str]
    table: Table


def _rounds(run: Run, folder: Path) -> Iterator[_ScoredRound]:
    """The rounds of a run that have statistics of cells."""
    with ProjectFolder.open(folder) as project:
        pool = [row.image_id for row in project.store.images(("train",))]
        rows = list(project.store.cells(splits=("train",)))
    for path in sorted(folder.glob(f"rounds/*/scores/{FILE}")):
        whole = read_table(path)
        number = int(path.parent.parent.name)
        table = whole.only(
            [name for name, axis in whole.axes.items() if axis == "cell"], whole.stamp
        )
        if not table.statistics:
            continue
        earlier = [row for row in rows if row.round < number]
        known = frozenset(row.cell for row in earlier if row.state == State.LABELLED)
        scored = frozenset(Cell(image, task) for image in table.images for task in table.tasks)
        cells = scored - {row.cell for row in earlier}
        yield _ScoredRound(
            Question(
                run=run,
                folder=folder,
                round=number,
                cells=cells,
                known=known,
                keys={"round": number},
            ),
            pool,
            table,
        )


def _traits(folders: Sequence[Path]) -> Traits:
    """The traits of the study's data set, for the tasks of all its arms."""
    tasks: dict[str, TaskDef] = {}
    for folder in folders:
        with ProjectFolder.open(folder) as project:
            tasks |= project.tasks()
            source = hidden_data(project)
    classes = frozenset(name for name, task in build_all(tasks).items() if task.probabilities)
    return Traits(source=source, tasks=tasks, classes=classes)


def _compared(
    scored: _ScoredRound, losses: Mapping[Cell, float], traits: Traits
) -> Iterator[Finding]:
    question = scored.question
    table = scored.table
    by_name = traits.of(scored.pool)
    for name, statistic in table.statistics.items():
        for column, task in enumerate(table.tasks):
            scores = dict(zip(table.images, statistic[:, column], strict=True))
            for image in table.images:
                if Cell(image, task) not in question.cells:
                    del scores[image]
            task_losses = {cell.image_id: x for cell, x in losses.items() if cell.task == task}
            for trait, values in {"the loss": task_losses, **by_name}.items():
                value, count = _correlation(scores, values)
                if math.isfinite(value):
                    keys: Keys = {**question.keys, "scores": name, "task": task, "with": trait}
                    yield Finding(
                        run=question.run,
                        keys=keys,
                        result=Result("Spearman's rho", value, "", "higher"),
                        count=count,
                    )


def _correlation(scores: Mapping[str, float], values: Mapping[str, float]) -> tuple[float, int]:
    """The rank correlation over the images that have both, and their number.

    NaN if either is the same for all.
    """
    pairs = np.array(
        [(score, values.get(image, math.nan)) for image, score in scores.items()]
    ).reshape(-1, 2)
    known = pairs[np.isfinite(pairs).all(1)]
    if len(known) < 3 or (known == known[0]).all(0).any():
        return math.nan, len(known)
    return float(spearmanr(known[:, 0], known[:, 1]).statistic), len(known)


def _dots(means: Sequence[Mean]) -> Dots:
    """The marks of one task: a series for each arm and statistic."""
    marks: dict[str, dict[str, tuple[float, float]]] = {}
    for mean in means:
        own = marks.setdefault(f"{mean.arm} ({mean.keys['scores']})", {})
        own[str(mean.keys["with"])] = mean.result.value, mean.deviation
    title = means[0].titled(str(means[0].keys["task"]))
    return Dots(f"scores-{title}", "Spearman's rank correlation with the scores", marks, title)


def build(options: Options) -> Scores:
    """Build the analysis."""
    return Scores()
