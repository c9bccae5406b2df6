"""Measures the networks of a study's runs on hidden labels, with known labels fed in or not."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from labelgrid.basics.array_types import Bytes
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.words import join_names
from labelgrid.data.dataset import Source, labels_of, nonempty_label
from labelgrid.formats.codec import LabelArray
from labelgrid.lab.simulation.analysis import Finding, Keys
from labelgrid.lab.simulation.runs import Run
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Fit, read_fit
from labelgrid.project.sources import dataset_of
from labelgrid.recipes.resolve import hash_of
from labelgrid.rounds.context import RoundContext
from labelgrid.rounds.models import check_known_is_used, restore
from labelgrid.tasks.task import TaskDef
from labelgrid.train.evaluation import Evaluation, Measure, evaluate, predictions
from labelgrid.train.trained_model import TrainedModel

T = TypeVar("T")
#: The records of trainings, by project and round.
Fits = dict[tuple[Path, int], Fit]


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which cells the network of a round is measured on.

    Args:
        run: the run.
        folder: its project.
        round: the round of the network.
        cells: the cells, whose hidden labels are read. They are measured as one set for each task.
        known: the cells whose labels are fed in.
        keys: what the metrics are of.
    """

    run: Run
    folder: Path
    round: int
    cells: frozenset[Cell]
    known: frozenset[Cell] = frozenset()
    keys: Keys = field(default_factory=dict)

    @property
    def images(self) -> list[str]:
        """The ids of the images, sorted."""
        return sorted({cell.image_id for cell in self.cells})

    @property
    def network(self) -> tuple[Path, int]:
        """The project and the round of the network."""
        return self.folder, self.round


@dataclass(frozen=True)
class CellMetrics:
    """The metrics by task, and each task's headline metric."""

    question: Question
    evaluation: Evaluation
    headlines: Mapping[str, str]

    def findings(self, task: str, keys: Keys) -> Iterator[Finding]:
        """The metrics of a task; none if no cell of it was measured."""
        labels = self.evaluation.labels[task]
        if not labels:
            return
        for result in self.evaluation.metrics[task].values():
            yield Finding(
                run=self.question.run,
                keys=keys,
                result=result,
                count=labels,
                headline=result.name == self.headlines[task],
            )


@dataclass(frozen=True)
class HiddenLabels:
    """The labels of some cells of a data set, hidden or not: a `Source`.

    A label without a valid pixel is missing.
    """

    data: Source
    cells: frozenset[Cell]

    def images(self) -> Sequence[str]:
        """As `ImageSource.images`."""
        return self.data.images()

    def image(self, image_id: str) -> Bytes:
        """As `ImageSource.image`."""
        return self.data.image(image_id)

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`."""
        if Cell(image_id, task.name) not in self.cells:
            return None
        return nonempty_label(self.data, image_id, task)


def hidden_data(project: ProjectFolder) -> Source:
    """The data set whose labels are hidden from a simulated campaign."""
    oracle = project.settings.oracle
    assert oracle is not None
    return dataset_of(oracle)


def measure_networks(questions: Sequence[Question], progress: Progress) -> list[CellMetrics]:
    """Measure each network on its cells, at the images' original size.

    What arms have in common is measured once.

    Raises:
        ProjectError: a network is gone.
        LabelgridError: an image or a label cannot be read.
    """
    fits, stamps, first = _unique_questions(questions, progress)
    ordered = sorted(first, key=lambda stamp: first[stamp].network)
    answers = {}
    for (folder, number), group in groupby(ordered, key=lambda stamp: first[stamp].network):
        with ProjectFolder.open(folder) as project:
            context, model = restore(project, fits[folder, number])
            headlines = {name: task.headline for name, task in context.definitions.items()}
            for stamp in group:
                evaluation = _measure(context, model, first[stamp], progress)
                answers[stamp] = evaluation, headlines
    measured = []
    for question, stamp in zip(questions, stamps, strict=True):
        measured.append(CellMetrics(question, *answers[stamp]))
    return measured


def measure_cells(
    questions: Sequence[Question], read: Callable[[Measure], T], progress: Progress
) -> list[Mapping[Cell, T]]:
    """Measure each network on each cell alone; returns what `read` makes of each measure.

    Cells without a label are left out. What questions have in common is measured once.

    Raises:
        ProjectError: a network is gone.
        LabelgridError: an image or a label cannot be read.
    """
    fits, stamps, first = _unique_questions(questions, progress)
    answers = {}
    for stamp, question in first.items():
        answers[stamp] = _measure_each(question, fits[question.network], read, progress)
    return [answers[stamp] for stamp in stamps]


def _unique_questions(
    questions: Sequence[Question], progress: Progress
) -> tuple[Fits, list[Hashable], dict[Hashable, Question]]:
    """Find the trainings, the stamp of each question, and the first question of each stamp.

    Questions with one stamp have one answer: arms of a seed start with the same network. The
    progress is over the first questions.

    Raises:
        ProjectError: a network is gone.
        UsageError: labels are to be fed into a network of one stage.
    """
    fits = _read_fits(questions)
    stamps: list[Hashable] = []
    for question in questions:
        fit = fits[question.network]
        stamps.append((fit.model, hash_of(fit.recipe), question.cells, question.known))
    first = dict(zip(reversed(stamps), reversed(questions), strict=True))
    for folder, number in {question.network for question in first.values() if question.known}:
        with ProjectFolder.open(folder) as project:
            check_known_is_used(*restore(project, fits[folder, number]))
    progress.start("Measuring", sum(len(question.images) for question in first.values()), "images")
    return fits, stamps, first


def _measure_each(
    question: Question, fit: Fit, read: Callable[[Measure], T], progress: Progress
) -> dict[Cell, T]:
    readings = {}
    with ProjectFolder.open(question.folder) as project:
        context, model = restore(project, fit)
        data = hidden_data(project)
        tasks = context.definitions
        labels = HiddenLabels(data, question.cells)
        outputs = predictions(
            model,
            tasks,
            source=HiddenLabels(data, question.known),
            image_ids=question.images,
            data=context.recipe.data,
            feed_known=bool(question.known),
            progress=progress,
        )
        for image, raws, frame in outputs:
            for name, label in labels_of(labels, tasks, image).items():
                measure = Measure(context.tasks[name])
                measure.add(raws[name], frame, label)
                readings[Cell(image, name)] = read(measure)
    return readings


def _read_fits(questions: Sequence[Question]) -> Fits:
    fits = {}
    gone = []
    for folder, number in dict.fromkeys(question.network for question in questions):
        fit = read_fit(folder / "rounds" / f"{number:04d}")
        if fit and (folder / fit.checkpoint).is_file():
            fits[folder, number] = fit
        else:
            gone.append(f"{folder.name} (round {number})")
    if gone:
        raise ProjectError(
            f"The networks of these runs are gone: {join_names(gone, 6)}.",
            where=questions[0].folder.parent,
            next_step="Restore their checkpoints from a copy, "
            "or remove the folders of these runs and run `labelgrid simulate` again.",
        )
    return fits


def _measure(
    context: RoundContext, model: TrainedModel, question: Question, progress: Progress
) -> Evaluation:
    data = hidden_data(context.project)
    recipe = context.recipe
    return evaluate(
        model,
        context.tasks,
        definitions=context.definitions,
        source=HiddenLabels(data, question.cells),
        image_ids=question.images,
        data=recipe.data,
        objective=recipe.objective,
        workers=recipe.train.workers,
        known_source=HiddenLabels(data, question.known) if question.known else None,
        progress=_Advance(progress),
    )


class _Advance(Silent):
    """Advances the progress of a whole step, and starts no step of its own."""

    def __init__(self, whole: Progress) -> None:
        self.whole = whole

    def advance(self, amount: int = 1, note: str = "") -> None:
        """As `Progress.advance`."""
        self.whole.advance(amount, note)
