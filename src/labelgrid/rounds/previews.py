"""Writes previews of picks: the prediction as a label file for annotators, and pictures for the report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelgrid.data.frame import Frame, label_of, to_original
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
    tasks_by_image: dict[str, list[str]] = {}
    for pick in picks:
        tasks_by_image.setdefault(pick.cell.image_id, []).append(pick.cell.task)
    whole = whole_names(tasks_by_image, context.source.images())
    definitions, data = context.definitions, context.recipe.data
    progress.start("Predicting the picks", len(tasks_by_image), "images")
    outputs = predictions(
        scorer.model, definitions, context.source, sorted(tasks_by_image), data, known=True, progress=progress
    )
    for image_id, raws, frame in outputs:
        for task in tasks_by_image[image_id]:
            path = label_path(folder / "prelabels", definitions[task], image_id, image_id in whole)
            try:
                write_label(context.tasks[task], definitions[task], raws[task], frame, path)
            except LabelError as error:
                if isinstance(error.__cause__, OSError):  # a failed write is not specific to this label
                    raise
                progress.say(f"No pre-label of {task} for {image_id}: {error.what}")


def draw(scorer: PoolScorer, picks: Sequence[Pick], number: int) -> None:
    """Write the pictures of the first picks of a round."""
    Pictures.of(scorer, number).write(picks[:SHOWN])


def label_path(folder: Path, task: TaskDef, image_id: str, whole: bool) -> Path:
    """The path of a cell's label file below a folder: `<task>/<image path>.<ext>`.

    Args:
        folder: the folder of the files.
        task: its format gives the extension.
        image_id: the image.
        whole: keep the image's own extension, because several images share the rest; see `naming.whole_names`.
    """
    return folder / task.name / label_name(image_id, codec(task.spec.codec).EXTENSIONS[0], whole)


def prediction_strips(task: Task, raw: Tensor, frame: Frame) -> Iterator[Tensor]:
    """Yield a raw output as predictions [1, channels, rows, W] at the image's original size, strip by strip."""
    height, width = frame.original
    for rows in strips(task.channels, height, width):
        with torch.inference_mode():
            yield task.activate(to_original(raw, frame, rows)[None])


def predicted(task: Task, raw: Tensor, frame: Frame) -> LabelArray:
    """A raw output as a label at the image's original size, computed strip by strip."""
    parts = [label_of(task.to_target(strip)) for strip in prediction_strips(task, raw, frame)]
    return LabelArray(np.concatenate([p.value for p in parts]), np.concatenate([p.valid for p in parts]))


def write_soft_prediction(task: Task, raw: Tensor, frame: Frame, path: Path) -> None:
    """Write a soft prediction beside its label file, quantised as by `labels.soft`."""
    parts = [strip[0].float().cpu().numpy() for strip in prediction_strips(task, raw, frame)]
    write_soft(path.with_suffix(EXTENSION), np.concatenate(parts, 1))


def write_label(task: Task, definition: TaskDef, raw: Tensor, frame: Frame, path: Path) -> None:
    """Write a prediction as a label file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    definition.write(path, predicted(task, raw, frame))


@dataclass(frozen=True)
class Pictures:
    """The report's pictures of picked cells: `<index of the pick>-{image,prediction,uncertainty}.jpg`."""

    context: RoundContext
    model: TrainedModel
    folder: Path

    @classmethod
    def of(cls, scorer: PoolScorer, number: int) -> "Pictures":
        """The pictures of a round."""
        return cls(scorer.context, scorer.model, scorer.project.round_folder(number) / "pictures")

    def write(self, picks: Sequence[Pick]) -> None:
        """Write the three pictures of each pick, numbered in the picks' order."""
        table = self.context.recipe.score.get("dropout", {})
        options: Options = check_options("score", PluginChoice("dropout", table))
        job = scoring_job(self.context, self.model, {}, {})
        picks_by_image: dict[str, list[tuple[int, str]]] = {}
        for index, pick in enumerate(picks):
            picks_by_image.setdefault(pick.cell.image_id, []).append((index, pick.cell.task))
        self.folder.mkdir(parents=True, exist_ok=True)
        for pool in pool_batches(job, sorted(picks_by_image)):
            with torch.inference_mode():
                maps = head_maps(Passes.of(pool, options, self.context.seed), self.context.tasks)
                final = self.model.network.decode(pool.features, pool.batch.targets or None).final
            for i, image_id in enumerate(pool.batch.ids):
                for index, task in picks_by_image[image_id]:
                    self._draw(index, image_id, task, final[task][i], maps[task][i], pool.batch.frames[i])

    def _draw(self, index: int, image_id: str, task: str, raw: Tensor, uncertainty: Tensor, frame: Frame) -> None:
        definition = self.context.definitions[task]
        label = predicted(self.context.tasks[task], raw, frame)
        self._save(index, "image", self.context.source.image(image_id))
        self._save(index, "prediction", colour_map(definition, label.value, label.valid))
        self._save(index, "uncertainty", heat_map(to_original(uncertainty, frame).cpu().numpy()))

    def _save(self, index: int, content: str, picture: NDArray[np.uint8]) -> None:
        (self.folder / f"{index:03d}-{content}.jpg").write_bytes(jpeg(picture))


def redraw(folder: Path, number: int) -> None:
    """Write the missing pictures of a project's closed round, with the model and the labels of that time.

    Does nothing if the round has pictures.

    Raises:
        ModelError: the checkpoint of the round's model is missing.
    """
    with ProjectFolder.open(folder) as project:
        round_folder, fit = project.round_folder(number), latest(project, before=number + 1)
        records = read_picks(round_folder) if number else []
        if fit is None or not records or (round_folder / "pictures").is_dir():
            return
        scorer = PoolScorer(project, fit, strategy_of(project)[1], Silent())
        requested_in = {row.cell: row.round for row in project.store.cells(state=State.LABELLED)}
        source = scorer.context.source
        known = {cell: label for cell, label in source.labels.items() if requested_in[cell] < number}
        earlier = replace(scorer.context, source=replace(source, labels=known))
        picks = [Pick(Cell(record.image, record.task), record.score or 0.0) for record in records]
        replace(Pictures.of(scorer, number), context=earlier).write(picks[:SHOWN])
