"""Predicts images with a restored model, image by image, into label files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelgrid.basics.progress import Progress
from labelgrid.data.dataset import Source, camera_of
from labelgrid.data.loader import OnFault
from labelgrid.project.records import Fit
from labelgrid.relations.bound import BoundRelation
from labelgrid.rounds.context import ModelContext
from labelgrid.rounds.derived_predictions import ImagePredictions
from labelgrid.rounds.prediction_writer import PredictionWriter
from labelgrid.tasks.task import TaskDef, TaskDefs
from labelgrid.train.evaluation import predictions
from labelgrid.train.trained_model import TrainedModel


def tasks_with_heads(
    definitions: TaskDefs, fit: Fit, derived: Mapping[str, BoundRelation]
) -> dict[str, TaskDef]:
    """The tasks without the derived ones that were added after the training: they lack heads."""
    without = derived.keys() - fit.tasks.keys() if fit.tasks else set[str]()
    return {name: task for name, task in definitions.items() if name not in without}


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """Predicts images with a model.

    Args:
        context: of its training, with all tasks.
        fit: the record of the training.
        model: the model.
        heads: the tasks that it has heads for.
        known: whether the labels of the images' source are fed in.
    """

    context: ModelContext
    fit: Fit
    model: TrainedModel
    heads: TaskDefs
    known: bool

    def write(
        self,
        source: Source,
        image_ids: Sequence[str],
        writer: PredictionWriter,
        progress: Progress,
        *,
        on_fault: OnFault | None = None,
    ) -> int:
        """Write the predictions of images; returns the number of label files.

        Args:
            source: the images.
            image_ids: those that are predicted.
            writer: writes them.
            progress: counts the images.
            on_fault: is told of images that cannot be read; None: they are errors.

        Raises:
            LabelgridError: an image or label cannot be read, or the disk reports an error.
        """
        outputs = predictions(
            self.model,
            self.heads,
            source=source,
            image_ids=image_ids,
            data=self.context.recipe.data,
            known=self.known,
            progress=progress,
            on_fault=on_fault,
        )
        written = 0
        for image_id, raws, frame in outputs:
            made = ImagePredictions(
                tasks=self.context.tasks,
                definitions=self.context.definitions,
                raws=raws,
                learned=self.fit.trained,
                frame=frame,
                camera=camera_of(source, image_id, frame.original),
            )
            written += writer.write(image_id, made)
        return written
