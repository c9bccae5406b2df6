"""Predicts images with a restored model, as label files and as pictures for people."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from labelgrid.basics.files import write_bytes, write_text
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Names
from labelgrid.basics.version import __version__
from labelgrid.data.dataset import Source, camera_of
from labelgrid.data.loader import OnFault
from labelgrid.drawings.label_sheet import SheetTask, legends
from labelgrid.drawings.overlay import draw_overlay
from labelgrid.formats.naming import label_name
from labelgrid.ledger.grid import TaskRow
from labelgrid.project.records import Fit
from labelgrid.recipes.recipe import Recipe
from labelgrid.recipes.resolve import hash_of
from labelgrid.relations.bound import BoundRelation, bind_relations
from labelgrid.relations.choice import RelationChoice
from labelgrid.rounds.context import ModelContext
from labelgrid.rounds.derived_predictions import Derived, ImagePredictions, derived_tasks
from labelgrid.rounds.outputs import skip_unwritable, write_soft_prediction
from labelgrid.rounds.previews import label_path
from labelgrid.tasks.legend import (
    LEGEND_PICTURE,
    LEGEND_TABLE,
    OVERLAY,
    OVERLAYS,
    legend_of,
    legends_text,
)
from labelgrid.tasks.overview import Legend
from labelgrid.tasks.pictures import picture_file
from labelgrid.tasks.task import TaskDef, TaskDefs, definitions
from labelgrid.train.evaluation import predictions
from labelgrid.train.trained_model import TrainedModel

#: The width of the picture of all legends, in pixels.
WIDTH = 900


@dataclass(frozen=True, kw_only=True)
class PredictionOrder:
    """The model and the settings that predictions depend on, beside the images.

    Args:
        folder: the folder of the project and the checkpoint.
        encoders: the folder of frozen encoders.
        tasks: the ledger's tasks.
        class_lists: the ledger's class lists, which give classes their colours.
        recipe: the recipe of the training.
        relations: the relations that may derive predictions.
        which: which tasks to derive: "missing", "mean" or "none".
        fit: the record of the training.
        feeds_known: whether known labels are fed in.
        out: the folder for the files `<task>/<image path>.<ext>`.
        soft: also write soft predictions.
        overlay: also draw each photograph with each prediction over it.
    """

    folder: Path
    encoders: Path
    tasks: tuple[TaskRow, ...]
    class_lists: tuple[Names, ...]
    recipe: Recipe
    relations: Mapping[str, RelationChoice]
    which: Derived
    fit: Fit
    feeds_known: bool
    out: Path
    soft: bool
    overlay: bool

    @property
    def identity(self) -> str:
        """A hash of everything that changes a prediction, or the files written."""
        relations = {name: asdict(choice) for name, choice in self.relations.items()}
        switches = [
            self.which,
            self.feeds_known,
            self.soft,
            self.overlay,
            self.class_lists,
            __version__,
        ]
        tasks = [asdict(row) for row in self.tasks]
        settings = {"relations": relations, "tasks": tasks, "switches": switches}
        return hash_of(self.fit.model, json.loads(self.recipe.json()), settings)

    def predictor(self) -> "Predictor":
        """Build the predictor, which needs no ledger."""
        tasks = definitions(self.tasks, self.class_lists)
        relations = bind_relations(self.relations, tasks)
        derived = derived_tasks(relations, self.fit.trained, self.which)
        # Derived tasks that were added after the training have no heads.
        without = derived.keys() - self.fit.tasks.keys() if self.fit.tasks else set[str]()
        return Predictor(
            order=self,
            context=ModelContext.of_training(
                self.recipe, tasks, self.fit.seed, encoders=self.encoders
            ),
            derived=derived,
            heads={name: task for name, task in tasks.items() if name not in without},
        )


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """Predicts images with a model, and writes the predictions.

    Args:
        order: the settings.
        context: the context of the training, with all tasks.
        derived: the tasks whose predictions follow from those of other tasks.
        heads: the tasks that the model has heads for.
    """

    order: PredictionOrder
    context: ModelContext
    derived: Mapping[str, BoundRelation]
    heads: dict[str, TaskDef]

    def write(
        self,
        model: TrainedModel,
        source: Source,
        image_ids: Sequence[str],
        *,
        whole: Collection[str],
        progress: Progress,
        on_fault: OnFault | None = None,
    ) -> int:
        """Write the predictions of images; returns the number of label files.

        Args:
            model: the model with the heads.
            source: the images, and the labels that are fed in.
            image_ids: the images to predict.
            whole: the images whose files keep the image's extension in their names.
            progress: counts the images, and is told of predictions that no file can hold.
            on_fault: called with each image that cannot be read; None: such an image is an error.

        Raises:
            LabelgridError: an image or label cannot be read, or the disk reports an error.
        """
        order = self.order
        outputs = predictions(
            model,
            self.heads,
            source=source,
            image_ids=image_ids,
            data=self.context.recipe.data,
            batch=1,  # rounding in a batch depends on the other images
            feed_known=order.feeds_known,
            progress=progress,
            on_fault=on_fault,
        )
        written = 0
        for image_id, raws, frame in outputs:
            made = ImagePredictions(
                tasks=self.context.tasks,
                definitions=self.context.definitions,
                raws=raws,
                learned=order.fit.trained,
                frame=frame,
                camera=camera_of(source, image_id, frame.original),
            )
            photograph = source.image(image_id) if order.overlay else None
            for name, task in made.definitions.items():
                label = None
                with skip_unwritable(progress, f"{name} of {image_id} was not written"):
                    path = label_path(order.out, task, image_id, image_id in whole)
                    relation = self.derived.get(name)
                    prediction = made.write(name, relation, path)
                    if order.soft and relation is None:
                        write_soft_prediction(made.tasks[name], raws[name], frame, path)
                    label = prediction
                    written += 1
                if label is not None and photograph is not None:
                    picture = draw_overlay(photograph, task, label)
                    file = label_name(image_id, OVERLAY, image_id in whole)
                    write_bytes(order.out / OVERLAYS / name / file, picture_file(picture, OVERLAY))
        return written


def write_legends(out: Path, tasks: TaskDefs) -> None:
    """Write the classes of all tasks, with their colours and numbers, as a table and a picture.

    Raises:
        ProjectError: the disk reports an error.
    """
    text = legends_text(tasks.values())
    if not text:
        return
    shown = [_with_numbers(task) for task in tasks.values() if legend_of(task)]
    write_text(out / LEGEND_TABLE, text)
    write_bytes(out / LEGEND_PICTURE, picture_file(legends(shown, WIDTH), ".png"))


def _with_numbers(task: TaskDef) -> SheetTask:
    swatches = []
    for row in legend_of(task):
        red, green, blue = row.colour.to_bytes(3)
        name = row.name if row.number is None else f"{row.number}  {row.name}"
        swatches.append(((red, green, blue), name))
    return SheetTask(task.name, "", Legend(swatches=swatches))
