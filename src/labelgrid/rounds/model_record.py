"""Measures a round's model on the held-out images, and records both."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from labelgrid.basics.errors import ModelError
from labelgrid.basics.files import atomic_folder, disk_errors, remove_folder
from labelgrid.basics.progress import Progress, Silent
from labelgrid.data.frame import Frame
from labelgrid.ledger.grid import Split, State
from labelgrid.nets.network import Raw
from labelgrid.project.declaration_changes import target_declarations
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.heldout_examples import (
    EXAMPLES,
    HeldoutExample,
    choose_examples,
    write_examples,
)
from labelgrid.project.images.unusable_images import usable_images
from labelgrid.project.records import (
    Fit,
    Measurement,
    remove_measurement,
    write_fit,
    write_measurement,
)
from labelgrid.project.settings import FEATURES
from labelgrid.recipes.resolve import hash_of
from labelgrid.rounds.context import RoundContext, labelled_images
from labelgrid.rounds.outputs import skip_unwritable, write_label
from labelgrid.rounds.protocol import WHOLE, Protocol
from labelgrid.train.checkpoint import encoder_hash
from labelgrid.train.evaluation import Evaluation, evaluate, predictions
from labelgrid.train.trained_model import TrainedModel

#: Predicts images: yields each one's id, raw outputs and frame.
Outputs = Callable[[Sequence[str]], Iterator[tuple[str, Raw, Frame]]]
#: Seconds since the last training began with an encoder, after which it may be removed.
UNUSED = 24 * 3600.0


def record_model(project: ProjectFolder, fit: Fit) -> None:
    """Write the record of a finished training, or of a folder of predictions.

    Also into the ledger, unless a query has closed the round meanwhile.
    """
    write_fit(project.round_folder(fit.round), fit)
    with project.store.transaction():
        row = project.store.current_round()
        if row and row.number == fit.round:
            project.store.update_round(replace(row, recipe=hash_of(fit.recipe), model=fit.model))


def remove_unneeded_encoders(project: ProjectFolder) -> None:
    """Remove frozen encoders that no checkpoint names, a day after a training last began with one.

    A training that has begun has no checkpoint yet. A damaged one may need any encoder. Runs of a
    study share their encoders, which stay.
    """
    if project.settings.features != FEATURES:
        return
    began = time.time() - UNUSED
    with suppress(ModelError, OSError):  # another process removed one, or it is somebody else's
        files = project.encoders.glob("*.safetensors")
        unused = [path for path in files if path.stat().st_mtime < began]
        checkpoints = project.folder.glob("*/*/fit/**/*.ckpt") if unused else ()
        needed = {encoder_hash(path) for path in checkpoints}
        for path in unused:
            if path.stem not in needed:
                path.unlink(missing_ok=True)


def record_measurement(
    context: RoundContext, fit: Fit, result: Evaluation | None, outputs: Outputs
) -> None:
    """Write the metrics of a round on the held-out images; without any, remove older ones.

    Also a few predictions for the report, which `outputs` makes.
    """
    store = context.project.store
    folder = context.project.round_folder(fit.round)
    if result is None:
        remove_measurement(folder)
        return
    rows = store.cells(state=State.LABELLED, splits=("heldout",))
    labels = [(row.cell.image_id, row.cell.task, row.digest) for row in rows]
    record = Measurement(
        round=fit.round,
        model=fit.model,
        labels=fit.labels,
        spent=fit.spent,
        heldout_labels=result.labels,
        metrics=result.metrics,
        loss_mtl=result.loss_mtl.value,
        heldout_set=hash_of(sorted(labels), target_declarations(context.definitions)),
        without=result.without,
        classes=result.classes,
    )
    write_measurement(folder, record, store.spent(("heldout",)), result.losses)
    save_examples(folder, context, fit=fit, result=result, outputs=outputs)


def measure_heldout(
    context: RoundContext, model: TrainedModel, fit: Fit, progress: Progress
) -> Evaluation | None:
    """Evaluate a round's network on the held-out labels, and write the result for the report.

    The cost of these labels is written, too. Without a held-out label, older metrics of the round
    are removed.
    """
    result = measure(context, model=model, split="heldout", progress=progress)
    record_measurement(
        context,
        fit=fit,
        result=result,
        outputs=lambda image_ids: predictions(
            model,
            context.definitions,
            source=context.source,
            image_ids=image_ids,
            data=context.recipe.data,
        ),
    )
    if result is None:
        return None
    for task, metrics in result.metrics.items():
        names = []
        for name, metric in metrics.items():
            if not math.isfinite(metric.value):
                names.append(name)
        if names and result.labels.get(task):  # such as labels without an edge
            progress.say(
                f"{task}: {', '.join(names)} cannot be measured on its held-out labels: they hold "
                "nothing of what is looked for."
            )
    return result


def measure(
    context: RoundContext,
    model: TrainedModel,
    split: Split,
    progress: Progress,
    protocol: Protocol = WHOLE,
) -> Evaluation | None:
    """Evaluate a network on the labels of a split; None if the split has no label.

    `protocol` says which of their pixels count.
    """
    project = context.project
    image_ids = usable_images(project, labelled_images(project, split), progress)
    if not image_ids:
        return None
    recipe = context.recipe
    return evaluate(
        model,
        protocol.tasks(context.tasks, context.definitions),
        definitions=context.definitions,
        source=protocol.source(context.source, context.definitions),
        image_ids=image_ids,
        data=recipe.data,
        objective=recipe.objective,
        workers=recipe.train.workers,
        group=project.group_of,
        progress=progress,
    )


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
                with skip_unwritable(Silent(), task):
                    write_label(
                        context.tasks[task],
                        context.definitions[task],
                        raw=raws[task],
                        frame=frame,
                        path=path,
                    )
                    written.append(example)
        write_examples(building, written)


def _choose(context: RoundContext, fit: Fit, result: Evaluation) -> dict[str, list[HeldoutExample]]:
    """The median and the worst image of each measured task, by image."""
    chosen: dict[str, list[HeldoutExample]] = {}
    for name, values in result.by_image.items():
        definition = context.definitions[name]
        extension = definition.codec.EXTENSIONS[0]
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
