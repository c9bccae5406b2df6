"""Trains on a strategy's picks and on as many random labels, and says whether the picks pay."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from labelgrid.advice.control_record import ComparisonRecord, write_comparison
from labelgrid.advice.control_trainings import ControlTrainings, TaskLabels
from labelgrid.advice.control_verdict import (
    Answer,
    MeasureRow,
    answer_of,
    compare_measures,
    sentence,
)
from labelgrid.basics.comparison import seeds_needed
from labelgrid.basics.errors import ProjectError, UsageError, command
from labelgrid.basics.progress import Progress
from labelgrid.basics.shown import Shown, table
from labelgrid.basics.words import count_text, join_names
from labelgrid.ledger.grid import Cell, State
from labelgrid.project.cells.chosen_labels import ChosenLabels, chosen_labels, equal_counts
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds.context import context_of, labelled_images
from labelgrid.rounds.fit import splits_for_training
from labelgrid.select.draws import CONTROL

#: Fewer labels of each set show nothing.
FEWEST = 2


@dataclass(frozen=True, kw_only=True, repr=False)
class ControlComparison(Shown):
    """The answer to whether the picks pay.

    Args:
        answer: the answer in one word.
        text: the answer in one sentence, with its numbers.
        seeds: the number of trainings on each label set.
        strategies: the strategies that picked.
        labels: the number of compared labels, by task.
        shared: the number of labels that all trainings have: neither picked nor drawn as a control.
        measures: `loss_mtl` and the tasks' headline metrics on the held-out images.
    """

    answer: Answer
    text: str
    seeds: int
    strategies: Sequence[str]
    labels: Sequence[TaskLabels]
    shared: int
    measures: Sequence[MeasureRow]

    def __str__(self) -> str:
        return self.text

    def _parts(self) -> Iterator[str]:
        rows = []
        for row in self.measures:
            cells = (row.name, row.metric, fmean(row.picks), fmean(row.control), row.unit)
            rows.append(cells)
        yield table(("task", "metric", "with the picks", "with random labels", "unit"), rows)


def compare_with_control(
    project: ProjectFolder, seeds: int, progress: Progress
) -> ControlComparison:
    """Train on the picks and on as many labels of the control, and compare on held-out images.

    Both sets of labels also have all others: first labels, pairs, imported ones. Each seed draws
    the labels anew. Finished trainings and the last answer are kept in the project's folder
    `control`; a killed training is resumed. Nothing of the project's rounds is changed.

    Args:
        project: the project.
        seeds: the number of trainings on each set, at least 6.
        progress: receives the progress.

    Raises:
        UsageError: there are too few seeds to show a difference.
        ProjectError: there are no labels to compare, or to measure on.
        LabelgridError: as by `fit`.
    """
    _refuse(project, seeds)
    chosen = chosen_labels(project)
    _refuse_few(project, chosen)
    context = context_of(project)
    splits = splits_for_training(context, progress)
    labels = chosen.within(splits[0])  # no training learns from a val image
    _refuse_few(project, labels)
    work = ControlTrainings(
        context=context, splits=splits, chosen=labels, seeds=seeds, progress=progress
    )
    for row in work.labels:
        if not row.compared:
            progress.say(
                f"{row.task} is left out: {count_text(row.picks, 'pick')} and "
                f"{count_text(row.control, 'label')} of the control."
            )
    picks, control = work.measured()
    measures = compare_measures(picks, control)
    record = ComparisonRecord(
        answer=answer_of(measures[0]),
        text=sentence(measures[0]),
        spent=project.store.spent(("train",)),
        seeds=seeds,
    )
    write_comparison(project.folder, record)
    return ControlComparison(
        answer=record.answer,
        text=record.text,
        seeds=seeds,
        strategies=sorted(set(labels.picks.values())),
        labels=work.labels,
        shared=work.shared,
        measures=measures,
    )


# What is refused


def _refuse(project: ProjectFolder, seeds: int) -> None:
    needed = seeds_needed(1)
    if seeds < needed:
        raise UsageError(
            f"With {count_text(seeds, 'seed')} no difference can be seen, however large.",
            next_step=f"Use --seeds {needed}, or more.",
            unchanged="Nothing was trained.",
        )
    if project.settings.oracle:
        raise ProjectError(
            "This project is a run of a simulation.",
            where=project.folder,
            next_step="Compare strategies as the arms of a study: `labelgrid simulate`.",
            unchanged="Nothing was trained.",
        )
    if labelled_images(project, "heldout"):
        return
    step = f"Hold images out: `{command('add', project.folder, '--holdout', '20%')}`."
    if project.store.count_images(("heldout",)):
        step = f"Import their labels first; `{command('export', project.folder)}` asks for them."
    raise ProjectError(
        "There is no label of a held-out image to measure on.",
        where=project.folder,
        next_step=step,
        unchanged="Nothing was trained.",
    )


def _refuse_few(project: ProjectFolder, labels: ChosenLabels) -> None:
    options = ("--budget", "100", "--control", "20%")
    query = command("query", project.folder, *options)
    if not labels.control:
        message = "No training label was drawn as a control."
        step = f"`{query}` draws some; import their labels then."
        drawn = project.store.events(why=CONTROL, in_effect=True)
        asked = {event.move.request_id for event in drawn}
        rows = project.store.cells(state=State.REQUESTED, splits=("train",))
        if any(row.request_id in asked for row in rows):
            step = "Import the labels of the control that were requested."
    elif not labels.picks:
        message = "No training label was picked by a strategy since there was a model."
        step = f"Run `{command('fit', project.folder)}`, then `{query}`; import the labels then."
    elif sum(equal_counts(labels.picks, labels.control).values()) < FEWEST:
        message = (
            f"The picks and the control have fewer than {FEWEST} labels of the same tasks: the "
            f"picks {_counts_text(labels.picks)}, the control {_counts_text(labels.control)}."
        )
        step = f"`{query}` draws more; import their labels then."
    else:
        return
    raise ProjectError(
        message, where=project.folder, next_step=step, unchanged="Nothing was trained."
    )


def _counts_text(cells: Collection[Cell]) -> str:
    counts = Counter(cell.task for cell in cells)
    return join_names([f"{count} {task}" for task, count in sorted(counts.items())])
