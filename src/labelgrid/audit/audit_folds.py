"""Compares each label with the prediction of a network whose training left the image out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from labelgrid.advice.extra_trainings import ExtraTraining, TrainingResult
from labelgrid.basics.errors import UsageError
from labelgrid.basics.files import disk_errors, remove_folder
from labelgrid.basics.processes import set_threads
from labelgrid.basics.progress import Progress
from labelgrid.basics.streams import drawn_places, seed_of
from labelgrid.data.frame import Frame
from labelgrid.evidence.doubts import Evidence, OfLabels
from labelgrid.executors.passes import Pass, PassPart
from labelgrid.executors.workplace import JOBS, Workplace
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell, State
from labelgrid.ledger.roster import Roster
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.holdout import families
from labelgrid.project.images.unusable_images import usable_images
from labelgrid.recipes.resolve import hash_of
from labelgrid.rounds.context import RoundContext, context_of
from labelgrid.rounds.fit import Splits, splits_for_training
from labelgrid.rounds.outputs import predicted_label
from labelgrid.tasks.pictures import thumbnail
from labelgrid.tasks.task import TaskDef
from labelgrid.train.evaluation import Measure, predictions
from labelgrid.train.trained_model import TrainedModel

#: The folder of the project with what an audit trains.
FOLDER = "audit"
PICTURES = "pictures"
#: The file of a fold with what its network says.
RECORD = "labels.json"
#: The width of the kept pictures of predictions.
WIDTH = 320


@dataclass(frozen=True, kw_only=True)
class FoldLabel:
    """A fold's network's judgement of a label: an entry of the fold's `labels.json`.

    Args:
        image: its image.
        task: its task.
        loss: the mean loss over its valid pixels.
        text: its headline metric in words and, of classes, the most frequent confusion.
        picture: the file with a picture of the prediction, below the folder of the fold.
    """

    image: str
    task: str
    loss: float
    text: str
    picture: str


@dataclass(frozen=True, kw_only=True)
class FoldLabels(TrainingResult):
    """A fold's `labels.json`: all of its labels."""

    labels: Sequence[FoldLabel]


def fold_evidence(
    project: ProjectFolder, folds: int, progress: Progress
) -> tuple[OfLabels, dict[Cell, Path]]:
    """Train a network for each fold on the rest of the images, and compare predictions with labels.

    Finished folds are kept in the project's folder `audit`, and a killed training is resumed.
    Nothing of the project's rounds is read or changed. Images of a group, and copies, are in one
    fold; `folds` is their number, at least 2.

    Returns:
        What the networks say of the labels, and pictures of their predictions.

    Raises:
        UsageError: a fold holds all labels.
        LabelgridError: as by `fit`.
    """
    evidence: OfLabels = {}
    pictures: dict[Cell, Path] = {}
    for fold in _folds(project, folds, progress):
        left_out = f"{len(fold.image_ids)} images are left out"
        progress.say(f"Fold {fold.name} of {folds}: {left_out}.")
        for label in fold.labels():
            cell = Cell(label.image, label.task)
            evidence[cell] = Evidence(math.log(max(label.loss, 1e-9)), label.text)
            pictures[cell] = fold.folder / label.picture
    return evidence, pictures


def train_folds(
    project: ProjectFolder, folds: int, progress: Progress, workplace: Workplace
) -> bool:
    """Train the networks of folds somewhere; `fold_evidence` finds them finished.

    Returns:
        Whether all are finished, not only a share.

    Raises:
        ProjectError: some could not be trained.
        LabelgridError: as by `fold_evidence`.
    """
    if workplace.executor is None:
        return True
    folder = project.folder.absolute()
    job = FoldJob(
        folder=folder, roster=project.store.known_roster(), folds=folds, threads=workplace.threads
    )
    drawn = {fold.name: fold for fold in _folds(project, folds, progress)}
    training = Pass[PassPart](
        activity="Training on folds",
        folder=folder / FOLDER,
        function=train_ordered_fold,
        arguments=lambda part: (job,),
        is_done=lambda part: drawn[part.items[0]].is_done(),
        unit="networks",
        title="Fold {item}",
    )
    is_whole = training.run([PassPart(items=[name]) for name in drawn], workplace, progress)
    if is_whole:
        remove_folder(training.folder / JOBS)
    return is_whole


@dataclass(frozen=True, kw_only=True)
class FoldJob:
    """The data from which a fold is trained elsewhere, beside the ledger.

    Args:
        folder: the project's folder.
        roster: the project's tasks and images.
        folds: their number.
        threads: the threads with which a network is trained.
    """

    folder: Path
    roster: Roster
    folds: int
    threads: int


def train_ordered_fold(part: PassPart, job: FoldJob, progress: Progress) -> None:
    """Train a fold's network and keep its record: the function of a job."""
    set_threads(job.threads)
    with ProjectFolder.open(job.folder) as project, project.store.steady(job.roster):
        drawn = {fold.name: fold for fold in _folds(project, job.folds, progress)}
        drawn[part.items[0]].labels()


def _folds(project: ProjectFolder, folds: int, progress: Progress) -> "list[_Fold]":
    context = context_of(project)
    splits = splits_for_training(context, progress)
    rows = project.store.cells(state=State.LABELLED)
    labelled = usable_images(project, sorted({row.cell.image_id for row in rows}), progress)
    fold_of = _draw_folds(project, labelled, folds)
    all_folds = []
    for number in range(folds):
        image_ids = [image_id for image_id in labelled if fold_of[image_id] == number]
        if image_ids:
            fold = _Fold(
                context=context,
                folder=project.folder / FOLDER / f"fold-{number + 1}-of-{folds}",
                number=number,
                splits=splits,
                image_ids=image_ids,
                progress=progress,
            )
            all_folds.append(fold)
    return all_folds


def _draw_folds(project: ProjectFolder, image_ids: Sequence[str], folds: int) -> dict[str, int]:
    """The fold of each image, drawn by group and content; as equal as these allow."""
    family = families(list(project.store.images(names=image_ids)))
    names = sorted(set(family.values()))
    order = drawn_places(names, seed_of(project.settings.seed, "audit folds"))
    fold_of = {names[index]: rank % folds for rank, index in enumerate(order)}
    return {image_id: fold_of[name] for image_id, name in family.items()}


@dataclass(frozen=True, kw_only=True)
class _Fold:
    """A fold in a folder: the training and the record."""

    context: RoundContext
    folder: Path
    number: int
    splits: Splits
    image_ids: Sequence[str]
    progress: Progress

    @property
    def name(self) -> str:
        """Its number, from 1."""
        return str(self.number + 1)

    def is_done(self) -> bool:
        return self._further.read(FoldLabels, RECORD, self._identity) is not None

    def labels(self) -> Sequence[FoldLabel]:
        """The record of the network on the fold's labels: from the file or, if outdated, anew.

        Raises:
            UsageError: the fold holds all labels.
        """
        kept = self._further.read(FoldLabels, RECORD, self._identity)
        if kept is None:
            labels = self._measure(self._further.train())
            kept = FoldLabels(identity=self._identity, labels=labels)
            self._further.keep(kept, RECORD)
        return kept.labels

    @cached_property
    def _further(self) -> ExtraTraining:
        """The training without the fold's images.

        Raises:
            UsageError: the fold holds all labels.
        """
        left_out = set(self.image_ids)
        learn = [image_id for image_id in self.splits[0] if image_id not in left_out]
        choose = [image_id for image_id in self.splits[1] if image_id not in left_out]
        labelled = {cell.image_id for cell in self.context.source.labels}
        if labelled.isdisjoint(learn):
            raise UsageError(
                f"Fold {self.name} leaves no label to learn from.",
                next_step="Use more folds.",
                unchanged="Nothing was trained.",
            )
        seed = seed_of(self.context.seed, "audit fold", self.number)
        return ExtraTraining(
            context=replace(self.context, seed=seed),
            splits=(learn, choose),
            folder=self.folder,
            progress=self.progress,
        )

    @cached_property
    def _identity(self) -> str:
        left_out = set(self.image_ids)
        labels = []
        for cell, label in self.context.source.labels.items():
            if cell.image_id in left_out:
                labels.append((cell.image_id, cell.task, label.path.name))
        return hash_of(self._further.identity, sorted(labels))

    def _measure(self, model: TrainedModel) -> list[FoldLabel]:
        with disk_errors(self.folder):
            (self.folder / PICTURES).mkdir(parents=True, exist_ok=True)
        context = self.context
        self.progress.start("Comparing with predictions", len(self.image_ids), "images")
        outputs = predictions(
            model,
            context.definitions,
            source=context.source,
            image_ids=self.image_ids,
            data=context.recipe.data,
            progress=self.progress,
        )
        entries: list[FoldLabel] = []
        for image_id, raws, frame in outputs:
            for name in sorted(model.trained or ()):
                label = context.source.label(image_id, context.definitions[name])
                if label is not None and label.valid.any():
                    picture = f"{PICTURES}/{len(entries):06}.png"
                    cell = Cell(image_id, name)
                    entry = self._compare(cell, label, raw=raws[name], frame=frame, picture=picture)
                    entries.append(entry)
        return entries

    def _compare(
        self, cell: Cell, label: LabelArray, *, raw: Tensor, frame: Frame, picture: str
    ) -> FoldLabel:
        """Compare a label with the prediction of its image, and keep a picture of the prediction.

        `frame` is the place of the raw output on the image.
        """
        task = self.context.tasks[cell.task]
        definition = self.context.definitions[cell.task]
        measure = Measure(task)
        measure.add(raw, frame, label)
        predicted = predicted_label(task, definition, raw, frame)
        _write_picture(self.folder / picture, definition, label=label, predicted=predicted)
        headline = measure.metric.compute()[task.headline]
        value = f"{headline.value:.2g} {headline.unit}".rstrip()
        text = f"a model that did not learn it disagrees ({headline.name} {value})"
        confused = _confusion(definition, label, predicted)
        if confused:
            text += f"; it says {confused}"
        return FoldLabel(
            image=cell.image_id, task=cell.task, loss=measure.loss, text=text, picture=picture
        )


def _confusion(task: TaskDef, label: LabelArray, predicted: LabelArray) -> str:
    """The most frequent confusion of classes, in words; empty without one.

    It is the one of the most pixels, where the prediction and the label differ.
    """
    if not task.classes:
        return ""
    count = len(task.classes)
    both = label.valid & predicted.valid
    ours = label.value[..., 0][both].astype(np.int64)
    its = predicted.value[..., 0][both].astype(np.int64)
    table = np.bincount(its * count + ours, minlength=count * count).reshape(count, count)
    np.fill_diagonal(table, 0)
    if not table.any():
        return ""
    its_class, our_class = np.unravel_index(int(table.argmax()), table.shape)
    fraction = table.max() / both.sum()
    return (
        f"'{task.classes[int(its_class)]}' for '{task.classes[int(our_class)]}' on {fraction:.0%} "
        "of the pixels"
    )


def _write_picture(path: Path, task: TaskDef, *, label: LabelArray, predicted: LabelArray) -> None:
    overview = task.overview()
    overview.add("", label)
    height, width = label.size
    size = (max(1, round(height * min(1, WIDTH / width))), min(width, WIDTH))
    pixels = thumbnail(task, predicted, size, overview.limits(), lines=overview.lines)
    with disk_errors(path):
        Image.fromarray(pixels).save(path)
