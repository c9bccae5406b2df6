"""What annotators and readers see of a pick: the prediction as a label file, and pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelgrid.data.frame import Frame, label_of
from labelgrid.data.frame import restore as to_original
from labelgrid.errors import LabelError
from labelgrid.labels.codec import LabelArray, codec
from labelgrid.labels.grid import Cell, Pick, State
from labelgrid.labels.naming import label_name, whole_names
from labelgrid.labels.soft import EXTENSION, write_soft
from labelgrid.progress import Silent
from labelgrid.project.artifacts import SHOWN, read_picks
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.resolve import check_options
from labelgrid.recipes.schema import PluginChoice
from labelgrid.rounds.context import RoundContext
from labelgrid.rounds.models import latest
from labelgrid.rounds.score import PoolScorer, scoring_job, strategy_of
from labelgrid.score.dropout import Options, Passes, head_maps
from labelgrid.score.pool import pool_batches
from labelgrid.tasks.pictures import colour_map, heat_map, jpeg
from labelgrid.tasks.task import Task, TaskDef
from labelgrid.train.evaluate import predictions, strips
from labelgrid.train.model import TrainedModel


def write_prelabels(scorer: PoolScorer, picks: Sequence[Pick], number: int) -> None:
    """Write the model's prediction of each picked cell as a label file."""
    context, folder, progress = scorer.context, scorer.project.round_folder(number), scorer.progress
    wanted: dict[str, list[str]] = {}
    for pick in picks:
        wanted.setdefault(pick.cell.image_id, []).append(pick.cell.task)
    whole = whole_names(wanted, context.source.images())
    definitions, data = context.definitions, context.recipe.data
    progress.start("Predicting the picks", len(wanted), "images")
    outputs = predictions(
        scorer.model, definitions, context.source, sorted(wanted), data, known=True, progress=progress
    )
    for image, raws, frame in outputs:
        for task in wanted[image]:
            path = label_path(folder / "prelabels", definitions[task], image, image in whole)
            try:
                write_label(context.tasks[task], definitions[task], raws[task], frame, path)
            except LabelError as error:
                if isinstance(error.__cause__, OSError):  # the disk refuses: not this label's fault
                    raise
                progress.say(f"No pre-label of {task} for {image}: {error.what}")


def draw(scorer: PoolScorer, picks: Sequence[Pick], number: int) -> None:
    """Draw the first picks of a round."""
    Pictures.of(scorer, number).write(picks[:SHOWN])


def label_path(folder: Path, task: TaskDef, image: str, whole: bool) -> Path:
    """Where the label file of a cell is written below a folder: `<task>/<image path>.<ext>`.

    Args:
        folder: of the files.
        task: whose format gives the extension.
        image: its id.
        whole: the image's own extension stays, since images share the rest; see `naming.whole_names`.
    """
    return folder / task.name / label_name(image, codec(task.spec.codec).EXTENSIONS[0], whole)


def prediction_strips(task: Task, raw: Tensor, frame: Frame) -> Iterator[Tensor]:
    """A raw output as predictions [1, channels, rows, W] at the image's original size, strip after strip."""
    height, width = frame.original
    for rows in strips(task.channels, height, width):
        with torch.inference_mode():
            yield task.activate(to_original(raw, frame, rows)[None])


def predicted(task: Task, raw: Tensor, frame: Frame) -> LabelArray:
    """A raw output as a label at the image's original size, made strip by strip."""
    parts = [label_of(task.to_target(strip)) for strip in prediction_strips(task, raw, frame)]
    return LabelArray(np.concatenate([p.value for p in parts]), np.concatenate([p.valid for p in parts]))


def write_soft_prediction(task: Task, raw: Tensor, frame: Frame, path: Path) -> None:
    """Write a prediction itself beside its label file, in the fine steps of `labels.soft`."""
    parts = [strip[0].float().cpu().numpy() for strip in prediction_strips(task, raw, frame)]
    write_soft(path.with_suffix(EXTENSION), np.concatenate(parts, 1))


def write_label(task: Task, definition: TaskDef, raw: Tensor, frame: Frame, path: Path) -> None:
    """Write a prediction as a label file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    definition.write(path, predicted(task, raw, frame))


@dataclass(frozen=True)
class Pictures:
    """Pictures of cells for the report: `<place among the picks>-{image,prediction,uncertainty}.jpg`."""

    context: RoundContext
    model: TrainedModel
    folder: Path

    @classmethod
    def of(cls, scorer: PoolScorer, number: int) -> "Pictures":
        """The pictures of a round."""
        return cls(scorer.context, scorer.model, scorer.project.round_folder(number) / "pictures")

    def write(self, picks: Sequence[Pick]) -> None:
        """Write the three pictures of each pick, numbered in the picks' order."""
        own = self.context.recipe.score.get("dropout", {})
        options: Options = check_options("score", PluginChoice("dropout", own))
        job = scoring_job(self.context, self.model, {}, {})
        places: dict[str, list[tuple[int, str]]] = {}
        for index, pick in enumerate(picks):
            places.setdefault(pick.cell.image_id, []).append((index, pick.cell.task))
        self.folder.mkdir(parents=True, exist_ok=True)
        for pool in pool_batches(job, sorted(places)):
            with torch.inference_mode():
                maps = head_maps(Passes.of(pool, options, self.context.seed), self.context.tasks)
                final = self.model.network.decode(pool.features, pool.batch.targets or None).final
            for i, name in enumerate(pool.batch.ids):
                for index, task in places[name]:
                    self._draw(index, name, task, final[task][i], maps[task][i], pool.batch.frames[i])

    def _draw(self, index: int, image: str, task: str, raw: Tensor, unsure: Tensor, frame: Frame) -> None:
        definition = self.context.definitions[task]
        label = predicted(self.context.tasks[task], raw, frame)
        self._save(index, "image", self.context.source.image(image))
        self._save(index, "prediction", colour_map(definition, label.value, label.valid))
        self._save(index, "uncertainty", heat_map(to_original(unsure, frame).cpu().numpy()))

    def _save(self, index: int, what: str, picture: NDArray[np.uint8]) -> None:
        (self.folder / f"{index:03d}-{what}.jpg").write_bytes(jpeg(picture))


def redraw(folder: Path, number: int) -> None:
    """Draw the pictures of a project's closed round, as they would have been drawn then; nothing where they are there.

    Raises:
        ModelError: the network that chose is gone.
    """
    with ProjectFolder.open(folder) as project:
        place, done = project.round_folder(number), latest(project, before=number + 1)
        records = read_picks(place) if number else []
        if done is None or not records or (place / "pictures").is_dir():
            return
        scorer = PoolScorer(project, done, strategy_of(project)[1], Silent())
        asked = {row.cell: row.round for row in project.store.cells(state=State.LABELLED)}
        source = scorer.context.source
        known = {cell: kept for cell, kept in source.labels.items() if asked[cell] < number}
        before = replace(scorer.context, source=replace(source, labels=known))
        picks = [Pick(Cell(record.image, record.task), record.score or 0.0) for record in records]
        replace(Pictures.of(scorer, number), context=before).write(picks[:SHOWN])
