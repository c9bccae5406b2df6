"""Writes predictions of a few held-out images as label files, for the report."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from torch import Tensor

from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import atomic_folder, disk_errors, remove_folder
from labelgrid.data.frame import Frame
from labelgrid.formats.codec import codec
from labelgrid.nets.network import Raw
from labelgrid.project.heldout_examples import (
    EXAMPLES,
    HeldoutExample,
    choose_examples,
    write_examples,
)
from labelgrid.project.records import Fit
from labelgrid.rounds.context import RoundContext
from labelgrid.rounds.outputs import write_label
from labelgrid.train.evaluate import Evaluation

#: Predicts images: yields each one's id, raw outputs and frame.
Outputs = Callable[[Sequence[str]], Iterator[tuple[str, Raw, Frame]]]


def save_examples(
    folder: Path, context: RoundContext, fit: Fit, result: Evaluation, outputs: Outputs
) -> None:
    """Write, for each task that was measured, the predictions of the median and the worst image.

    They replace those of an earlier model in the folder of the round.

    Raises:
        ProjectError: the disk reports an error.
    """
    folder = folder / EXAMPLES
    remove_folder(folder)
    chosen = _choose(context, fit, result)
    if not chosen:
        return
    with disk_errors(folder), atomic_folder(folder) as building:
        written = []
        for image_id, raws, frame in outputs(sorted(chosen)):
            for example in chosen[image_id]:
                task = example.task
                path = building / example.file
                path.parent.mkdir(exist_ok=True)
                if _is_written(context, task, raw=raws[task], frame=frame, path=path):
                    written.append(example)
        write_examples(building, written)


def _is_written(context: RoundContext, task: str, raw: Tensor, frame: Frame, path: Path) -> bool:
    """Write a prediction; False if its format cannot hold it."""
    try:
        write_label(context.tasks[task], context.definitions[task], raw=raw, frame=frame, path=path)
    except LabelError as error:
        # A failed write is not specific to this label.
        if isinstance(error.__cause__, OSError):
            raise
        return False
    return True


def _choose(context: RoundContext, fit: Fit, result: Evaluation) -> dict[str, list[HeldoutExample]]:
    """By image, the tasks for which it was chosen, with the files for the predictions."""
    chosen: dict[str, list[HeldoutExample]] = {}
    for name, values in result.by_image.items():
        definition = context.definitions[name]
        extension = codec(definition.spec.codec).EXTENSIONS[0]
        better = result.metrics[name][definition.headline].better
        for place, image_id in choose_examples(values, better).items():
            example = HeldoutExample(
                task=name,
                image_id=image_id,
                place=place,
                value=values[image_id],
                file=f"{name}/{place}{extension}",
                model=fit.model,
            )
            chosen.setdefault(image_id, []).append(example)
    return chosen
