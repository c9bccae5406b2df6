"""How a project's network is measured: on a split, or on a folder of labels."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from labelgrid.errors import ProjectError
from labelgrid.labels.grid import Split, State
from labelgrid.labels.images import list_images
from labelgrid.labels.naming import whole_names
from labelgrid.progress import Progress
from labelgrid.project.artifacts import Fit, write_measured
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.sources import ImageFiles, _labels
from labelgrid.report.content import Measured
from labelgrid.rounds.context import RoundContext
from labelgrid.rounds.models import model_of, restore
from labelgrid.train.evaluate import Evaluation, evaluate
from labelgrid.train.model import TrainedModel


def measure_heldout(
    project: ProjectFolder, context: RoundContext, model: TrainedModel, done: Fit, progress: Progress
) -> Evaluation | None:
    """Measure a round's network on the held-out labels there are, for the report; their cost is kept apart."""
    measured = measure(project, context, model, "heldout", progress)
    if measured is not None:
        spent = sum(count.spent for count in project.store.counts(("heldout",)).values())
        record = Measured(
            done.round, done.model, done.labels, done.spent, measured.labels, measured.metrics, measured.loss_mtl.value
        )
        write_measured(project.round_folder(done.round), record, spent, measured.losses)
    return measured


def measure(
    project: ProjectFolder, context: RoundContext, model: TrainedModel, split: Split, progress: Progress
) -> Evaluation | None:
    """The network on a split's labels; None where it has none."""
    names = sorted({row.cell.image_id for row in project.store.cells(state=State.LABELLED, splits=(split,))})
    if not names:
        return None
    recipe = context.recipe
    return evaluate(
        model,
        context.tasks,
        context.definitions,
        context.source,
        names,
        recipe.data,
        recipe.objective,
        workers=recipe.train.workers,
        progress=progress,
    )


def as_json(measured: Evaluation) -> dict[str, Any]:
    """An evaluation as JSON values."""
    return {
        "metrics": {t: {name: asdict(r) for name, r in group.items()} for t, group in measured.metrics.items()},
        "losses": dict(measured.losses),
        "loss_mtl": measured.loss_mtl.value,
    }


def evaluate_split(project: ProjectFolder, split: Split, progress: Progress) -> dict[str, Any]:
    """Measure the newest model on a split of the project; held-out figures are kept for the report.

    Raises:
        ProjectError: there is no model, or the split has no label.
    """
    done = model_of(project)
    context, model = restore(project, done)
    if split == "heldout":
        measured = measure_heldout(project, context, model, done, progress)
    else:
        measured = measure(project, context, model, split, progress)
    if measured is None:
        raise ProjectError(f"The {split} split has no label.", next_step="Import some first.")
    return {"labels": dict(measured.labels), **as_json(measured)}


def evaluate_folder(project: ProjectFolder, labels: Path, progress: Progress) -> dict[str, Any]:
    """Measure the newest model on a folder of labels: of the images in its `images/`, or of the project's own.

    Raises:
        ProjectError: there is no model, or no image has a label. LabelError: a label cannot be read.
    """
    done = model_of(project)
    context, model = restore(project, done)
    own = labels / "images"
    if own.is_dir():
        paths, digests = {name: own / name for name in list_images(own)}, {}
    else:
        rows = list(project.store.images())
        paths, digests = (
            {row.image_id: Path(row.root) / row.image_id for row in rows},
            {row.image_id: row.digest for row in rows},
        )
    source = ImageFiles(paths, _labels(labels), whole_names(paths, paths), digests)
    tasks = context.definitions.values()
    names = [name for name in source.images() if any(source.label(name, task) is not None for task in tasks)]
    if not names:
        raise ProjectError(
            "No image has a label there.", where=str(labels), next_step="Labels lie at TASK/IMAGE.png below it."
        )
    recipe = context.recipe
    measured = evaluate(
        model, context.tasks, context.definitions, source, names, recipe.data, recipe.objective, progress=progress
    )
    return {"labels": dict(measured.labels), **as_json(measured)}
