"""Reads the predictions of a network outside the program as the batches that statistics get.

The file of an image is `FOLDER/IMAGE.npz`; docs/own-model.md says what it holds.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from labelgrid.annotate.answers import Fault, fault_lines
from labelgrid.basics.errors import LabelError, ModelError
from labelgrid.basics.progress import Progress
from labelgrid.basics.streams import image_keys
from labelgrid.basics.type_names import Size
from labelgrid.basics.words import count_text, join_names
from labelgrid.data.batch import Batch
from labelgrid.data.frame import Frame
from labelgrid.data.transforms import fit_placement
from labelgrid.formats.naming import label_name, whole_names
from labelgrid.images.opening import CONTENT
from labelgrid.nets.network import Features, Network, Output, Raw
from labelgrid.rounds.context import RoundContext
from labelgrid.rounds.outside_files import (
    EXTENSION,
    LARGEST,
    Arrays,
    OutsideFiles,
    read_predictions,
)
from labelgrid.rounds.own_model.outside_arrays import (
    FEATURES,
    array_faults,
    expected_arrays,
    shapes_of,
)
from labelgrid.score.maps import Outputs, Passes
from labelgrid.score.statistic import PoolBatch, Statistic
from labelgrid.tasks.task import Task
from labelgrid.train.trained_model import TrainedModel

#: The arrays of an image may always have so many bytes; larger ones as many as 64 passes.
FEWEST_BYTES = 2**27
#: Probabilities are not nearer to 0 and 1 than this: their logits are finite.
LEAST = 1e-12


@dataclass(frozen=True, kw_only=True)
class OutsideBatch(PoolBatch):
    """An image with predictions from a file in place of a network's.

    No known label is fed in.

    Args:
        predicted: the raw outputs of each pass; those of `output` are their mean.
    """

    predicted: Outputs

    @cached_property
    def output(self) -> Output:
        """The mean of all passes as a network's output."""
        final = {}
        for name, task in self.tasks.items():
            final[name] = mean_raw(task, [raws[name] for raws in self.predicted])
        return Output(initial=(), final=final, features=self.features, task_features={})

    def passes(self, predict: Callable[[], Passes]) -> Passes:
        """The passes that were read."""
        return self.predicted


@dataclass(frozen=True, kw_only=True)
class OutsidePredictions:
    """The predictions of a folder, read image by image.

    Args:
        files: the files of the folder.
        context: the context, with tasks and images.
        shapes: what all files have in common, by the name of each array; see `shapes_of`.
        first: the name of the file that they are of.
        whole: the images whose files keep the image's extension; see `naming.whole_names`.
    """

    files: OutsideFiles
    context: RoundContext
    shapes: Mapping[str, tuple[int, ...]]
    first: str
    whole: Collection[str]
    _sizes: dict[str, Size] = field(default_factory=dict, repr=False)
    _checked: set[str] = field(default_factory=set, repr=False)

    @classmethod
    def of(cls, folder: Path, context: RoundContext) -> "OutsidePredictions":
        """The predictions of a folder; of the files, the first of an image is read.

        Raises:
            ProjectError: there is no such folder, or no file in it.
            LabelError: no file is of an image, or the first cannot be used.
        """
        files = OutsideFiles.of(folder)
        image_ids = context.source.images()
        whole = whole_names(image_ids, image_ids)
        predictions = cls(files=files, context=context, shapes={}, first="", whole=whole)
        first = next((image_id for image_id in image_ids if predictions.has(image_id)), None)
        if first is None:
            expected = label_name(image_ids[0], EXTENSION, image_ids[0] in whole)
            raise LabelError(
                "No file of predictions has the name of an image. Found "
                f"{join_names(sorted(files.names), 3)}; expected such as {expected}.",
                where=folder,
                next_step="Name each file after its image: the image's path below the images' "
                f"folder, with {EXTENSION} as its extension.",
                unchanged="Nothing was scored.",
            )
        shapes = shapes_of(predictions._read(first))
        return replace(predictions, shapes=shapes, first=predictions._name(first))

    @property
    def trained(self) -> list[str]:
        """The tasks that are predicted."""
        return [name for name in self.context.tasks if self._content(name)]

    def _content(self, task: str) -> list[str]:
        contents = (f"{task}.{name}" for name in ("probabilities", "logits", "values"))
        return [name for name in contents if name in self.shapes]

    def has(self, image_id: str) -> bool:
        """Whether predictions of an image exist."""
        return self._name(image_id) in self.files.names

    def _name(self, image_id: str) -> str:
        return label_name(image_id, EXTENSION, image_id in self.whole)

    def _read(self, image_id: str) -> Arrays:
        """Read an image's file, unless the arrays are far larger than predictions can be."""
        height, width = self._size(image_id)
        channels = sum(task.channels for task in self.context.tasks.values())
        most = max(FEWEST_BYTES, CONTENT * channels * height * width)
        return read_predictions(self.files.folder / self._name(image_id), min(most, LARGEST))

    # Checks

    def check(self, image_ids: Sequence[str], progress: Progress) -> None:
        """Read the files of images, and refuse all files for any fault.

        Those that were checked before are not read again.

        Raises:
            LabelError: lists what is wrong.
        """
        image_ids = [image_id for image_id in image_ids if image_id not in self._checked]
        if image_ids:
            progress.start("Checking the predictions", len(image_ids), "images")
        faults = list(self._form_faults())
        turned = []
        oblong = 0
        for image_id in image_ids:
            name = self._name(image_id)
            texts, upright = self._faults(image_id)
            faults += [Fault(name, text) for text in texts]
            height, width = self._size(image_id)
            oblong += height != width
            if not upright:
                turned.append(Fault(name, f"Its maps are turned: the image is {height}x{width}."))
            progress.advance()
        if len(turned) == oblong:  # a network may stretch some of the images to another shape
            faults += turned
        if faults:
            self._refuse(faults, len(image_ids))
        self._checked.update(image_ids)

    def _form_faults(self) -> Iterator[Fault]:
        """Yield the faults of all files alike: passes, and kinds of predictions."""
        where = "all files"
        counts = {math.prod(shape) for name, shape in self.shapes.items() if name != FEATURES}
        if len(counts - {1}) > 1:
            yield Fault(
                where,
                f"The tasks have {join_names(sorted(map(str, counts)))} passes.",
                "Write the same number of all tasks, or one.",
            )
        if not self.trained:
            yield Fault(where, "No task is predicted.")
        for name in self.trained:
            if not _keeps_predictions(self.context.tasks[name]):
                yield Fault(where, f"Predictions of the kind of {name} cannot be read from files.")

    def _faults(self, image_id: str) -> tuple[list[str], bool]:
        """The faults of an image's file, and whether the maps have the image's orientation."""
        if not self.has(image_id):
            return ["There is no such file."], True
        try:
            arrays = self._read(image_id)
        except LabelError as error:
            return [f"{error.what} {error.next_step}"], True
        texts = list(array_faults(arrays, self.context.tasks))
        if not texts and shapes_of(arrays) != self.shapes:
            form = _form_text(shapes_of(arrays))
            return [f"It holds {form}; '{self.first}' holds {_form_text(self.shapes)}."], True
        maps = []
        for name, array in arrays.items():
            if name != FEATURES and array.ndim > 1:
                maps.append(array)
        height, width = self._size(image_id)
        is_turned = [_is_turned(array.shape[-2:], (height, width)) for array in maps]
        return texts, not (is_turned and all(is_turned))

    def _refuse(self, faults: Sequence[Fault], count: int) -> None:
        lines = fault_lines(faults)
        missing = sum(fault.what == "There is no such file." for fault in faults)
        if missing:
            image_names = {self._name(image_id) for image_id in self.context.source.images()}
            others = sorted(self.files.names - image_names)
            if others:
                lines.append(f"Files that are of no image: {join_names(others, 3)}.")
        images = count_text(count, "image that is needed", "images that are needed")
        raise LabelError(
            f"The predictions have {count_text(len(faults), 'fault')}; {images}.",
            where=self.files.folder,
            next_step="\n  ".join([*lines, expected_arrays(self.context.tasks)]),
            unchanged="Nothing was scored.",
        )

    def check_statistics(self, statistics: Mapping[str, Statistic]) -> None:
        """Refuse statistics that cannot be computed from the files.

        Raises:
            ModelError: names them, and what each lacks.
        """
        single = [name for name in self.trained if self._count(name) == 1]
        lacking = {
            "network": "a network that labelgrid trained",
            "features": "" if FEATURES in self.shapes else f"'{FEATURES}' in the files",
            "passes": f"several passes of {join_names(single)}" if single else "",
        }
        parts = []
        for name, statistic in statistics.items():
            lack = lacking.get(statistic.reads)
            if lack:
                parts.append(f"'{name}' needs {lack}")
        if parts:
            raise ModelError(
                f"The predictions do not suffice: {', '.join(parts)}.",
                where=self.files.folder,
                next_step="Write that into the files, or choose another strategy: `margin` with "
                'statistic = "confidence" needs single predictions of classes alone.',
                unchanged="Nothing was scored.",
            )

    def _count(self, task: str) -> int:
        """The number of a task's predictions of an image; a variance doubles the number."""
        count = math.prod(self.shapes[self._content(task)[0]])
        return 2 * count if f"{task}.variance" in self.shapes else count

    # Reading

    def batches(self, image_ids: Sequence[str]) -> Iterator[PoolBatch]:
        """Yield the images, one at a time, in the given order.

        Raises:
            LabelError: a file cannot be read.
        """
        model = TrainedModel(network=Network(), trained=frozenset(self.trained))
        for image_id in image_ids:
            arrays = self._read(image_id)
            features = torch.zeros(0)
            if FEATURES in arrays:
                features = torch.from_numpy(arrays[FEATURES]).float()
            pooled = features.view(1, -1, 1, 1)
            size = self._size(image_id)
            placement = fit_placement(size, self.context.recipe.data)
            rows, columns = (part.stop - part.start for part in placement.target)
            batch = Batch(
                ids=(image_id,),
                images=torch.zeros(1, 3, 0, 0),
                targets={},
                weights=torch.zeros(1, len(self.context.tasks)),
                frames=(Frame(size, (rows, columns), (slice(0, rows), slice(0, columns))),),
            )
            yield OutsideBatch(
                batch=batch,
                keys=image_keys([image_id]),
                features=Features(pooled, (pooled,)),
                model=model,
                tasks=self.context.tasks,
                definitions=self.context.definitions,
                predicted=Outputs(self._raws(arrays)),
            )

    def outputs(
        self, image_ids: Sequence[str], progress: Progress
    ) -> Iterator[tuple[str, Raw, Frame]]:
        """Yield the images' predictions as `train.evaluate.predictions` does.

        Tasks that are not predicted are left out.
        """
        for pool in self.batches(image_ids):
            raws = {name: pool.output.final[name][0] for name in self.trained}
            yield pool.batch.ids[0], raws, pool.batch.frames[0]
            progress.advance()

    def _raws(self, arrays: Arrays) -> list[Raw]:
        """The raw outputs of all passes; fewer passes are repeated, missing tasks have zeros."""
        raws = {}
        for name, task in self.context.tasks.items():
            raws[name] = [torch.zeros(1, task.channels, 1, 1)]
            if name in self.trained:
                raws[name] = _task_raws(arrays, task)
        count = math.lcm(*map(len, raws.values()))
        return [_pass(raws, index) for index in range(count)]

    def _size(self, image_id: str) -> Size:
        if image_id not in self._sizes:
            height, width = self.context.source.image(image_id).shape[:2]
            self._sizes[image_id] = (height, width)
        return self._sizes[image_id]


def _pass(raws: Mapping[str, Sequence[Tensor]], index: int) -> Raw:
    return {name: passes[index % len(passes)] for name, passes in raws.items()}


def mean_raw(task: Task, raws: Sequence[Tensor]) -> Tensor:
    """The raw output [b, c, h, w] of the mean prediction of several raw outputs."""
    if len(raws) == 1:
        return raws[0]
    total = torch.zeros(())
    for raw in raws:
        total = total + task.activate(raw)
    return as_raw(task, task.from_mean(total / len(raws)))


def as_raw(task: Task, prediction: Tensor) -> Tensor:
    """The raw output that a task turns into a prediction [b, c, h, w].

    For probabilities, these are the logarithms, or the logit of a single probability.
    """
    if task.probabilities is None:
        return prediction
    if task.channels > 1:
        return prediction.clamp(min=LEAST).log()
    return prediction.double().logit(LEAST).float()


def _keeps_predictions(task: Task) -> bool:
    equal = 1 / task.channels if task.channels > 1 else 0.3
    example = task.from_mean(torch.full((1, task.channels, 1, 1), equal))
    return torch.allclose(task.activate(as_raw(task, example)), example, atol=1e-4)


def _task_raws(arrays: Arrays, task: Task) -> list[Tensor]:
    """The raw outputs [1, c, h, w] of each pass of a task.

    A value with a variance becomes two values, one standard deviation below and above: their mean
    and variance are the same, and so are the mean and variance over all passes (law of total
    variance).
    """
    if f"{task.name}.logits" in arrays:
        return list(_passes(arrays[f"{task.name}.logits"]))
    if f"{task.name}.probabilities" in arrays:
        stated = arrays[f"{task.name}.probabilities"]
        return [as_raw(task, part) for part in _passes(stated)]
    values = list(_passes(arrays[f"{task.name}.values"]))
    variance = arrays.get(f"{task.name}.variance")
    if variance is None:
        return values
    raws = []
    for value, squared in zip(values, _passes(variance), strict=True):
        raws += [value - squared.sqrt(), value + squared.sqrt()]
    return raws


def _passes(array: object) -> Iterator[Tensor]:
    """Yield the passes [1, c, h, w] of an array [c, h, w] or [passes, c, h, w], in float32."""
    maps = torch.as_tensor(array)
    for part in maps.reshape(-1, *maps.shape[-3:]):
        yield part[None].float()


def _is_turned(shape: tuple[int, ...], size: Size) -> bool:
    """Whether maps have the shape of the image turned by 90 degrees, and not of the image.

    Example:
        >>> _is_turned((64, 48), (480, 640)), _is_turned((48, 64), (480, 640))
        (True, False)
        >>> _is_turned((64, 64), (480, 640)), _is_turned((64, 64), (640, 640))
        (False, False)
    """
    rows, columns = shape
    height, width = size
    off = abs(rows * height - columns * width)  # 0 if exchanged; off by a rounded row or column
    return height != width and rows != columns and off <= max(height, width) // 2


def _form_text(shapes: Mapping[str, tuple[int, ...]]) -> str:
    parts = []
    for name, shape in shapes.items():
        numbers = f" {list(shape)}" if shape else ""
        parts.append(f"{name}{numbers}")
    return join_names(parts)
