"""Runs a model in an ONNX file, described by a TOML file beside the model.

The model runs in separate processes, with bounds on memory and time; see the page on ONNX models.
Needs the packages onnx and onnxruntime.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from labelgrid.basics import files
from labelgrid.basics.array_types import Array, Bytes
from labelgrid.basics.config import check_ranges
from labelgrid.basics.errors import ImageError, ModelError, StorageError, note_unchanged
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Size, Texts, Values
from labelgrid.basics.words import join_names
from labelgrid.project.sources import ImageFiles
from labelgrid.project.suppliers import UpToChoice
from labelgrid.recipes.resolve import hash_of
from labelgrid.suppliers.maker import LabelPlace, refuse_two_sorts, unknown_classes
from labelgrid.suppliers.model_file import (
    UNCHANGED,
    ModelFile,
    ModelOutput,
    model_digest,
    model_path,
    read_model_file,
)
from labelgrid.suppliers.onnx_runner import ModelSetup, OnnxRunners, need_runtime
from labelgrid.tasks.task import TaskDef, TaskDefs

#: Why there is no label.
NO_NUMBER = "no number of its output is finite"


@dataclass(frozen=True)
class Options:
    """The limits of a model, and values missing in its description.

    Args:
        up_to: what depth is true up to: nothing, scale or scale-shift; None: as described.
        larger_is_nearer: whether numbers grow toward the camera; None: as described.
        seconds: the most time for an image.
        memory: the most memory of each of the model's two processes, in GB.
    """

    up_to: UpToChoice | None = None
    larger_is_nearer: bool | None = None
    seconds: int = 60
    memory: float = 8.0

    def __post_init__(self) -> None:
        check_ranges(self, seconds=(1, 86_400), memory=(0.5, 4096))


@dataclass(frozen=True)
class OutputPlan:
    """An output that labels a task."""

    task: TaskDef
    output: ModelOutput

    @property
    def form(self) -> "OutputForm":
        """How its numbers become a file."""
        form = form_of(self.task)
        assert form is not None
        return form

    def setup(self) -> Values:
        """The output for the setup of the model's process."""
        output = self.output
        return {
            "name": output.name,
            "shape": output.shape,
            "activation": output.activation,
            "channels": self.form.channels or len(output.classes),
            "meaning": self.form.meaning,
        }


#: Writes the arrays of an image's output; returns why there is no label, or "".
WriteLabel = Callable[[OutputPlan, Sequence[Array], LabelPlace, str], str]


def _write_distances(
    plan: OutputPlan, arrays: Sequence[Array], place: LabelPlace, image: str
) -> str:
    values = arrays[0][..., 0]
    lowest, highest = _ends(values)
    if lowest > highest:
        return NO_NUMBER
    if plan.output.up_to == "scale-shift" and lowest <= 0:  # 0 and less would not be measured
        values = values - lowest + ((highest - lowest) / 1000 or 1)
    if not (values > 0).any():
        return "no number of its output is above 0, as distances are"
    content = io.BytesIO()
    numbers = values / np.float32(plan.task.options.step or 1)
    np.save(content, numbers.astype(np.float32), allow_pickle=False)
    files.write_bytes(place.path(plan.task.name, image, ".npy"), content.getbuffer())
    return ""


def _ends(values: Array) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return float(finite.min(initial=np.inf)), float(finite.max(initial=-np.inf))


def _write_grades(plan: OutputPlan, arrays: Sequence[Array], place: LabelPlace, image: str) -> str:
    grades, finite = arrays
    if not finite.any():
        return NO_NUMBER
    _write_png(place.path(plan.task.name, image, ".png"), grades)
    return ""


def _write_classes(plan: OutputPlan, arrays: Sequence[Array], place: LabelPlace, image: str) -> str:
    numbers, confidence, finite = arrays
    if not finite.any():
        return NO_NUMBER
    dtype = np.uint8 if len(plan.output.classes) < 255 else np.uint16
    void = np.iinfo(dtype).max
    _write_png(place.confidence(plan.task.name, image), confidence)
    path = place.path(plan.task.name, image, ".png")
    _write_png(path, np.where(finite, numbers, void).astype(dtype))
    return ""


def _write_directions(
    plan: OutputPlan, arrays: Sequence[Array], place: LabelPlace, image: str
) -> str:
    from labelgrid.formats.codecs.normals import normalise_vectors

    vectors = np.nan_to_num(arrays[0], nan=0.0)
    path = place.path(plan.task.name, image, ".npy")
    label = normalise_vectors(vectors, path, plan.output.axes, NO_NUMBER)
    plan.task.codec.write(path, label, plan.task.options)
    return ""


def _write_png(path: Path, array: Array) -> None:
    import cv2

    _, data = cv2.imencode(".png", array)
    files.write_bytes(path, data.data)


@dataclass(frozen=True)
class OutputForm:
    """How an output becomes the label of a format.

    Args:
        meaning: the arrays that the process returns, see `onnx_runner.ARRAYS`.
        channels: the number of channels; 0: one for each class.
        extension: the end of names of files.
        write: the function that writes a file.
    """

    meaning: str
    channels: int
    extension: str
    write: WriteLabel


DISTANCES = OutputForm("numbers", 1, ".npy", _write_distances)
DIRECTIONS = OutputForm("numbers", 3, ".npy", _write_directions)
GRADES = OutputForm("grades", 1, ".png", _write_grades)
CLASSES = OutputForm("classes", 0, ".png", _write_classes)


def form_of(task: TaskDef) -> OutputForm | None:
    """How an output becomes a task's label; None if it cannot."""
    if task.class_names:
        return CLASSES
    if task.spec.up_to:
        return DISTANCES
    if hasattr(task.options, "axes"):
        return DIRECTIONS
    return GRADES if task.region_names else None


@dataclass(frozen=True, kw_only=True)
class OnnxMaker:
    """Makes labels by a model.

    Args:
        model: the description.
        path: the model's file.
        digest: the SHA-256 of the file.
        plans: the outputs that label tasks.
        options: the options of the run.
    """

    model: ModelFile
    path: Path
    digest: str
    plans: tuple[OutputPlan, ...]
    options: Options

    @property
    def files(self) -> Texts:
        """As `Maker.files`."""
        return {plan.task.name: plan.form.extension for plan in self.plans}

    @property
    def declared(self) -> Values:
        """As `Maker.declared`."""
        model = self.model
        outputs = {plan.task.name: plan.output for plan in self.plans}
        described = hash_of(asdict(model.input), asdict(model.resize), _plain(outputs))
        values: dict[str, Any] = {
            "origin": model.origin,
            "revision": self.digest[:16],
            "licence": model.stated_licence,
            "settings": {
                "maker": "onnx",
                "file": model.file,
                "outputs": ",".join(f"{task}={output.name}" for task, output in outputs.items()),
                "description": described,
            },
        }
        for plan in self.plans:
            if plan.task.spec.up_to:
                values["up_to"] = plan.output.up_to
                values["larger_is_nearer"] = plan.output.larger_is_nearer
            if plan.form.meaning == "grades":
                values["grades"] = [*values.get("grades", ()), plan.task.name]
            if plan.form.meaning == "classes":
                classes = plan.output.classes
                values["classes"] = values.get("classes", {}) | {plan.task.name: list(classes)}
                values["map"] = values.get("map", {}) | unknown_classes(plan.task, classes)
        return values

    def make(self, images: ImageFiles, place: LabelPlace, progress: Progress) -> Texts:
        """As `Maker.make`."""
        run = _Run(maker=self, images=images, progress=progress)
        runners = OnnxRunners.of(self._setup(place.threads))
        for computed in runners.run(run.pixels()):
            image_id = run.sent.pop(0)
            for plan, arrays in zip(self.plans, computed, strict=True):
                with note_unchanged(UNCHANGED):
                    why = plan.form.write(plan, arrays, place, image_id)
                if why:
                    run.faults[image_id] = f"{plan.task.name}: {why}."
            progress.advance()
        return run.faults

    def _setup(self, threads: int) -> ModelSetup:
        return ModelSetup(
            path=str(self.path),
            digest=self.digest,
            input=asdict(self.model.input),
            interpolation=self.model.resize.interpolation,
            outputs=[plan.setup() for plan in self.plans],
            seconds=self.options.seconds,
            memory=int(self.options.memory * 2**30),
            threads=threads,
        )


@dataclass(frozen=True, kw_only=True)
class _Run:
    """Reads images for a model.

    Attributes:
        sent: the images that were read, whose labels are not written yet.
        faults: why images have no label.
    """

    maker: OnnxMaker
    images: ImageFiles
    progress: Progress
    sent: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)

    def pixels(self) -> Iterator[tuple[Bytes, Size]]:
        """Yield the pixels of each readable image, and the size at the input."""
        for image_id in self.images.images():
            try:
                pixels = self.images.image(image_id)
            except (ImageError, StorageError) as error:
                self.faults[image_id] = error.what
                self.progress.advance()
                continue
            self.sent.append(image_id)
            height, width = pixels.shape[:2]
            yield pixels, self.maker.model.resize.size((height, width))


def _plain(outputs: Mapping[str, ModelOutput]) -> Values:
    """The properties of outputs that labels depend on."""
    return {
        task: asdict(replace(output, meaning="", restore="")) for task, output in outputs.items()
    }


def build(model: Path, tasks: TaskDefs, chosen: Texts, options: Options) -> OnnxMaker:
    """A maker of the labels that a model's outputs are."""
    described = read_model_file(model)
    plans = [_described(plan, model, options) for plan in _planned(described, tasks, chosen, model)]
    distances = [plan for plan in plans if plan.task.spec.up_to]
    sorts = {
        plan.task.name: (plan.output.up_to, plan.output.larger_is_nearer) for plan in distances
    }
    refuse_two_sorts(sorts, model)
    path = model_path(model, described)
    digest = model_digest(path, model, described)
    need_runtime()
    return OnnxMaker(model=described, path=path, digest=digest, plans=tuple(plans), options=options)


def _planned(model: ModelFile, tasks: TaskDefs, chosen: Texts, where: Path) -> Iterator[OutputPlan]:
    """The outputs that tasks were given, else the outputs with names of tasks."""
    outputs = {output.name: output for output in model.output}
    for task, name in chosen.items():
        if task not in tasks or name not in outputs:
            raise _refused(
                f"There is no task '{task}'" if task not in tasks else f"It has no output '{name}'",
                where,
                f"Tasks: {join_names(list(tasks))}. Outputs: {join_names(list(outputs))}.",
            )
        yield OutputPlan(tasks[task], outputs[name])
    if chosen:
        return
    meant = model.tasks(tasks)
    for name in meant:
        yield OutputPlan(meant[name], outputs[name])
    if not meant:
        words = join_names([output.task or model.task or output.name for output in model.output])
        raise _refused(
            f"No task of the project, or more than one, is what the model gives: {words}",
            where,
            f"Say which: --task TASK={model.output[0].name}. Tasks: {join_names(list(tasks))}.",
        )


def _described(plan: OutputPlan, where: Path, options: Options) -> OutputPlan:
    """An output with what is told beside the description, checked.

    Raises:
        ModelError: its numbers cannot be the label.
    """
    task = plan.task
    output = plan.output
    if form_of(task) is None or task.form.stride > 1:
        raise _refused(
            f"Labels of '{task.name}' are not made from a model's numbers",
            where,
            f"Their format is '{task.spec.codec}', with a stride of {task.form.stride}.",
        )
    if task.spec.up_to:
        nearer = options.larger_is_nearer
        output = replace(
            output,
            up_to=options.up_to or output.up_to,
            larger_is_nearer=output.larger_is_nearer if nearer is None else nearer,
        )
        if not output.up_to or output.larger_is_nearer is None:
            raise _refused(
                f"It is not said what the numbers of '{output.name}' are"
                + (f" (only: {output.meaning})" if output.meaning else ""),
                where,
                'Write up_to = "nothing", "scale" or "scale-shift" and larger_is_nearer = true or '
                "false into [output]; or --set up_to=scale-shift --set larger_is_nearer=true.",
            )
    if not (plan.form.channels or len(output.classes) > 1):
        raise _refused(
            f"The classes of '{output.name}' have no names",
            where,
            'Write classes = ["…", "…"] into [output], in the order of its channels.',
        )
    return replace(plan, output=output)


def _refused(fault: str, where: Path, next_step: str) -> ModelError:
    return ModelError(f"{fault}.", where=where, next_step=next_step, unchanged=UNCHANGED)
