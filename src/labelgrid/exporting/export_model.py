"""Writes a project's network as a file that programs without labelgrid run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from labelgrid.basics.config import read_toml
from labelgrid.basics.errors import ModelError, UsageError
from labelgrid.basics.files import atomic_write, disk_errors
from labelgrid.basics.progress import Progress
from labelgrid.basics.shown import Shown, table
from labelgrid.basics.type_names import Json
from labelgrid.basics.version import __version__
from labelgrid.basics.words import join_names
from labelgrid.data.cameras import NAME as CAMERA
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Fit
from labelgrid.rounds.context import RoundContext, context_of, training_context

if TYPE_CHECKING:
    from labelgrid.train.trained_model import TrainedModel

#: The number of images that the file is compared with the network on.
IMAGES = 20
#: What the extra `onnx` installs.
PACKAGES = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True, kw_only=True, repr=False)
class ExportedModel(Shown):
    """A file that was written.

    Args:
        path: the path of the file.
        round: whose training it is.
        tasks: what it predicts.
        known: the tasks whose labels it takes.
        differences: for each task, the largest difference from the network on `IMAGES` images, in
            parts of the largest value if that is above 1.
    """

    path: Path
    round: int
    tasks: tuple[str, ...]
    known: tuple[str, ...]
    differences: Mapping[str, float]

    def __str__(self) -> str:
        return f"{self.path} predicts {join_names(self.tasks)} as round {self.round} does."

    def _parts(self) -> Iterator[str]:
        yield table(("task", "largest difference"), list(self.differences.items()))


def export_model(
    project: ProjectFolder, out: Path, known_tasks: Sequence[str], progress: Progress
) -> ExportedModel:
    """Write the newest training's network as an ONNX file, and compare the two.

    Args:
        project: a project with a trained model.
        out: the file.
        known_tasks: the tasks whose labels are inputs, too.
        progress: receives the progress.

    Raises:
        LabelgridError: there is no model; a task is unknown, or has no effect as a known label; a
            package is missing; the network cannot be written, or the file computes something else.
            A file that is there is unchanged.
    """
    _need_packages()
    from labelgrid.rounds.models import check_known_is_used, model_of, restore_model

    fit = model_of(project)
    # Maps of the images that the file is tried with are of no use later.
    context = replace(training_context(context_of(project), fit), features=None)
    for name in known_tasks:
        if name not in context.definitions:
            raise UsageError(
                f"The network has no task '{name}'.",
                next_step=f"Its tasks are: {', '.join(context.definitions)}.",
                unchanged="Nothing was written.",
            )
    model = restore_model(context, fit)
    reason = model.network.unportable
    if reason:
        raise UsageError(
            f"The network '{context.recipe.network.name}' {reason}.",
            next_step="Train one that leaves: shared_heads, aspp_heads, pad_net or mti_net.",
            unchanged="Nothing was written.",
        )
    if known_tasks:
        check_known_is_used(context, model)
    learned = _learned(context, fit)
    left_out = context.definitions.keys() - learned
    if left_out:
        progress.say(f"Left out, as no label of it was learned: {join_names(sorted(left_out))}.")
    with disk_errors(out, "Nothing was written."), atomic_write(out) as path:
        differences = _write(
            context, fit, model=model, path=path, known_tasks=known_tasks, progress=progress
        )
    return ExportedModel(
        path=out,
        round=fit.round,
        tasks=tuple(learned),
        known=tuple(known_tasks),
        differences=differences,
    )


def _learned(context: RoundContext, fit: Fit) -> list[str]:
    return [name for name in context.definitions if name in fit.trained]


def _need_packages() -> None:
    try:
        for name in PACKAGES:
            import_module(name)
    except ImportError as error:
        raise UsageError(
            f"ONNX needs packages that are not installed: {error.name} is missing.",
            next_step="Install them: pip install 'labelgrid[onnx]'.",
            unchanged="Nothing was written.",
        ) from error


def _write(
    context: RoundContext,
    fit: Fit,
    *,
    model: "TrainedModel",
    path: Path,
    known_tasks: Sequence[str],
    progress: Progress,
) -> dict[str, float]:
    from labelgrid.exporting.exported_network import ExportedNetwork
    from labelgrid.exporting.onnx_file import differences, write_onnx

    predicted = _learned(context, fit)
    network = ExportedNetwork(
        model.network.cpu(), context.tasks, predicted, context.recipe.data
    ).eval()
    progress.say("Recording the graph; this takes about a minute.")
    write_onnx(network, path, known_tasks, describe_model(context, fit, known_tasks))
    progress.start("Comparing", IMAGES, "images")
    largest = dict.fromkeys(predicted, 0.0)
    for by_task in differences(network, path, known_tasks, IMAGES):
        for name, difference in by_task.items():
            largest[name] = max(largest[name], difference.largest)
            if not difference.is_small:
                raise ModelError(
                    f"ONNX Runtime computes other predictions of {name} than the network, by up to "
                    f"{difference.largest:.2g} of the largest value.",
                    next_step="Report this, with the recipe and the versions of torch and "
                    "onnxruntime.",
                    unchanged="Nothing was written.",
                )
        progress.advance()
    return largest


def describe_model(context: RoundContext, fit: Fit, known_tasks: Sequence[str]) -> Json:
    """Describe the network for a program that runs the file, as JSON values."""
    camera = context.project.folder / CAMERA
    data = context.recipe.data
    outputs = {}
    for name in _learned(context, fit):
        task = context.definitions[name]
        outputs[name] = {
            "kind": task.kind,
            "meaning": task.spec.meaning(task.options),
            "classes": list(task.class_names),
        }
    return {
        "labelgrid": __version__,
        "round": fit.round,
        "model": fit.model,
        "input": {
            "name": "image",
            "channels": "RGB",
            "formula": "(pixel / 255 - mean) / std",
            "mean": list(data.mean),
            "std": list(data.std),
            "trained_at": list(data.size),
            "fit": data.fit,
        },
        "known": {name: [f"known_{name}", f"known_{name}_valid"] for name in known_tasks},
        "outputs": outputs,
        "camera": read_toml(camera) if camera.is_file() else None,
    }
