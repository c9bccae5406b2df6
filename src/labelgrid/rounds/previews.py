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
from labelgrid.files import remove_folder
from labelgrid.labels.codec import LabelArray, codec
from labelgrid.labels.grid import Cell, Pick, State
from labelgrid.labels.naming import label_name, whole_names
from labelgrid.labels.soft import EXTENSION, write_soft
from labelgrid.nets.network import Network
from labelgrid.progress import Progress
from labelgrid.project.artifacts import SHOWN, Fit, read_picks
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.resolve import check_options
from labelgrid.recipes.schema import PluginChoice
from labelgrid.rounds.context import RoundContext
from labelgrid.rounds.models import latest, restore
from labelgrid.rounds.score import score_options, scoring_job
from labelgrid.score.dropout import Options, Passes, head_maps
from labelgrid.score.pool import pool_batches
from labelgrid.tasks.pictures import colour_map, heat_map, jpeg
from labelgrid.tasks.task import Task, TaskDef
from labelgrid.train.evaluate import predictions, strips


def write_prelabels(project: ProjectFolder, done: Fit, picks: Sequence[Pick], number: int, progress: Progress) -> None:
    """Write the model's prediction of each picked cell as a label file, and pictures of the first picks."""
    crew, network = restore(project, done)
    folder = project.round_folder(number)
    wanted: dict[str, list[str]] = {}
    for pick in picks:
        wanted.setdefault(pick.cell.image, []).append(pick.cell.task)
    whole = whole_names(wanted, crew.source.images())
    progress.start("Predicting the picks", len(wanted), "images")
    outputs = predictions(
        network, crew.definitions, crew.source, sorted(wanted), crew.recipe.data, known=True, progress=progress
    )
    for image, raws, frame in outputs:
        for task in wanted[image]:
            path = label_path(folder / "prelabels", crew.definitions[task], image, image in whole)
            try:
                write_label(crew.tasks[task], crew.definitions[task], raws[task], frame, path)
            except LabelError as error:
                if isinstance(error.__cause__, OSError):  # the disk refuses: not this label's fault
                    raise
                progress.say(f"No pre-label of {task} for {image}: {error.what}")
    draw(project, crew, network, picks, number)


def write_pictures(project: ProjectFolder, done: Fit, picks: Sequence[Pick], number: int) -> None:
    """Write pictures of the first picks alone, before their labels are granted."""
    crew, network = restore(project, done)
    draw(project, crew, network, picks, number)


def draw(project: ProjectFolder, crew: RoundContext, network: Network, picks: Sequence[Pick], number: int) -> None:
    """Draw the first picks of a round with a restored network."""
    options = check_options("score", PluginChoice("dropout", score_options(project).get("dropout", {})))
    Pictures(crew, network, project.round_folder(number) / "pictures", options).write(picks[:SHOWN])


def clear_prelabels(project: ProjectFolder, number: int) -> None:
    """Remove what an earlier, unfinished query of this round wrote."""
    for name in ("prelabels", "pictures"):
        remove_folder(project.round_folder(number) / name)


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

    crew: RoundContext
    network: Network
    folder: Path
    options: Options

    def write(self, picks: Sequence[Pick]) -> None:
        """Write the three pictures of each pick, numbered in the picks' order."""
        work = scoring_job(self.crew, self.network, {}, {})
        places: dict[str, list[tuple[int, str]]] = {}
        for index, pick in enumerate(picks):
            places.setdefault(pick.cell.image, []).append((index, pick.cell.task))
        self.folder.mkdir(parents=True, exist_ok=True)
        for look in pool_batches(work, sorted(places)):
            passes = Passes.of(look, self.options, self.crew.seed)
            maps = head_maps(passes, self.crew.tasks)
            final = self.network.decode(look.features, look.batch.targets or None).final
            for i, name in enumerate(look.batch.ids):
                frame = look.batch.frames[i]
                for index, task in places[name]:
                    self._save(index, "image", self.crew.source.image(name))
                    label = predicted(self.crew.tasks[task], final[task][i], frame)
                    self._save(index, "prediction", colour_map(self.crew.definitions[task], label.value, label.valid))
                    unsure = to_original(maps[task][i], frame).cpu().numpy()
                    self._save(index, "uncertainty", heat_map(unsure))

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
        crew, network = restore(project, done)
        asked = {row.cell: row.round for row in project.store.cells(state=State.LABELLED)}
        known = {cell: kept for cell, kept in crew.source.labels.items() if asked[cell] < number}
        before = replace(crew, source=replace(crew.source, labels=known))
        picks = [Pick(Cell(record.image, record.task), record.score or 0.0) for record in records]
        draw(project, before, network, picks, number)
