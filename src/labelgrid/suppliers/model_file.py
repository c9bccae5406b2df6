"""Describes a model in a file by the TOML beside it: input, size, and meaning of outputs.

Keys that no program needs, such as where the file comes from, may be anything. Loads no torch.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from labelgrid.basics import files
from labelgrid.basics.config import parse, read_toml
from labelgrid.basics.errors import LabelgridError, ModelError, RecipeError
from labelgrid.basics.type_names import Size, Values
from labelgrid.project.suppliers import UpToChoice
from labelgrid.tasks.task import TaskDef, TaskDefs

#: The most bytes of a description, and of a model: a protobuf has no more.
LARGEST_TEXT = 2**20
LARGEST_FILE = 2**31
#: The most numbers of an input.
MOST_NUMBERS = 2**28
UNCHANGED = "No label was made."
#: The sides of a tensor: numbers, or names of free ones.
Shape = tuple[int | str, ...]
Interpolation = Literal["nearest", "bilinear", "bicubic", "area"]
Activation = Literal["none", "sigmoid", "softmax"]
_STRETCH = re.compile(r"stretch to height (\d{1,5}), width (\d{1,5})\b")
_LONGER = re.compile(
    r"longer side to (\d{1,5}), the other in proportion(?:, rounded to (\d{1,4})k(?:\+(\d{1,4}))?)?"
)
_MULTIPLES = re.compile(r"multiples of (\d{1,4})\b")
_NONE = re.compile(r"none\b")
RULES = (
    '"none", "stretch to height H, width W", "longer side to N, the other in proportion, rounded '
    'to 16k+1" and "multiples of N"'
)


@dataclass(frozen=True, kw_only=True)
class ModelInput:
    """The input of a model: an image.

    Args:
        name: the tensor.
        shape: batch (1), channels (3), height and width; free sides have names.
        dtype: the type of its numbers.
        channel_order: red or blue first.
        divisor: the input is (pixel / divisor - mean) / std, with pixels from 0 to 255.
        mean: a number a channel, in their order.
        std: a number a channel, in their order.
        value_range: for readers.
    """

    name: str
    shape: Shape
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    channel_order: Literal["RGB", "BGR"] = "RGB"
    divisor: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    value_range: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not (self.divisor > 0 and min(self.std) > 0):
            raise ValueError("divisor and std must be above 0")
        batch, channels, *sides = [*self.shape, *[0] * 4][:4]
        if len(self.shape) != 4 or channels != 3 or not (batch == 1 or isinstance(batch, str)):
            raise ValueError("shape must be [1, 3, height, width]")
        for side in sides:
            if isinstance(side, int) and side < 1:
                raise ValueError("a side must be 1 or more, or a name")
        if math.prod(side for side in self.shape if isinstance(side, int)) > MOST_NUMBERS:
            raise ValueError(f"shape has more than {MOST_NUMBERS:,} numbers")


@dataclass(frozen=True, kw_only=True)
class ModelResize:
    """The size of an image at the input.

    Args:
        rule: a sentence that begins in one of four ways; see `ModelResize.size`.
        interpolation: the way between pixels.
    """

    rule: str = "none"
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        if not any(rule.match(self.rule) for rule in (_NONE, _STRETCH, _LONGER, _MULTIPLES)):
            raise ValueError(f"rule must begin as one of {RULES}")
        if not 0 < math.prod(self.size((64, 64))) <= MOST_NUMBERS:
            raise ValueError(f"rule must give a number of pixels from 1 to {MOST_NUMBERS:,}")

    def size(self, image: Size) -> Size:
        """The height and width at the input for those of an image.

        Example:
            >>> ModelResize(rule="stretch to height 192, width 320").size((480, 640))
            (192, 320)
            >>> rule = "longer side to 513, the other in proportion, rounded to 16k+1"
            >>> ModelResize(rule=rule).size((240, 320))
            (385, 513)
            >>> ModelResize(rule="multiples of 14").size((240, 320))
            (238, 322)
            >>> ModelResize().size((251, 333))
            (251, 333)
        """
        stretch = _STRETCH.match(self.rule)
        if stretch:
            return int(stretch[1]), int(stretch[2])
        step = 1
        offset = 0
        factor = 1.0
        longer = _LONGER.match(self.rule)
        multiples = _MULTIPLES.match(self.rule)
        if longer:
            factor = int(longer[1]) / max(image)
            step = int(longer[2] or 1)
            offset = int(longer[3] or 0)
        elif multiples:
            step = int(multiples[1])
        return _side(image[0] * factor, step, offset), _side(image[1] * factor, step, offset)


def _side(length: float, step: int, offset: int) -> int:
    """The nearest length of a form step * k + offset that is not too short."""
    steps = max(round((length - offset) / max(step, 1)), 0 if offset else 1)
    return steps * max(step, 1) + offset


@dataclass(frozen=True, kw_only=True)
class ModelOutput:
    """An output of a model, which is the label of a task.

    Args:
        name: the tensor.
        shape: batch, channels, height and width; a free side of the input's name has its length.
        task: what it is: depth, normals, classes, edges, saliency, or the name of a task.
        activation: what is still to be applied to its numbers.
        classes: the names of its channels.
        up_to: what depth is true up to; required for depth.
        larger_is_nearer: whether its numbers grow toward the camera; required for depth.
        axes: where the axes of normals point, as a task declares them.
        meaning: for readers.
        restore: for readers; outputs are resized bilinearly to the image's size.
        observed_range: for readers.
    """

    name: str
    shape: Shape = ()
    task: str = ""
    activation: Activation = "none"
    classes: tuple[str, ...] = ()
    up_to: UpToChoice | None = None
    larger_is_nearer: bool | None = None
    axes: str = "x right, y up, z toward the camera"
    meaning: str = ""
    restore: str = ""
    observed_range: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A model in a file, described by the TOML beside the file.

    Args:
        file: the path below the TOML's folder.
        input: the image.
        output: the outputs; one table, or several.
        resize: the size of images at the input.
        task: the task of outputs without a task of their own.
        model: the name of the model.
        bytes: the size of the file, if it is to be checked.
        sha256: the digest of the file, if it is to be checked.
        opset: for readers.
        source: the origin: `repository`, `commit` and anything else.
        licence: `stated`, the words of the licence, and anything else.
    """

    file: str
    input: ModelInput
    output: tuple[ModelOutput, ...]
    resize: ModelResize = field(default_factory=ModelResize)
    task: str = ""
    model: str = ""
    bytes: int | None = None
    sha256: str = ""
    opset: int | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    licence: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [output.name for output in self.output]
        if not names or len(set(names)) < len(names):
            raise ValueError("output must be one table or several, each of another name")

    @property
    def origin(self) -> str:
        """The model's name, and the address of the source."""
        address = str(self.source.get("repository", ""))
        commit = str(self.source.get("commit", ""))
        place = f"{address} {commit[:8]}".strip()
        return ", ".join(filter(None, (self.model or self.file, place)))

    def tasks(self, tasks: TaskDefs) -> dict[str, TaskDef]:
        """The tasks by output: a task of the same name, or the only task of the kind."""
        meant = {}
        for output in self.output:
            word = output.task or self.task
            fitting = [task for task in tasks.values() if _is_meant(word, task)]
            if word in tasks:
                meant[output.name] = tasks[word]
            elif len(fitting) == 1:
                meant[output.name] = fitting[0]
        return meant

    @property
    def stated_licence(self) -> str:
        """The words of its licence; "" if none is stated."""
        return str(self.licence.get("stated", ""))


def _is_meant(word: str, task: TaskDef) -> bool:
    """Whether a word of a description is a task's kind, or its label format."""
    return word in (task.kind, task.spec.codec)


def read_model_file(path: Path) -> ModelFile:
    """Read the description of a model.

    Raises:
        RecipeError: it is no such description, or too large.
    """
    try:
        files.open_regular(path, LARGEST_TEXT).close()
    except FileNotFoundError:
        pass  # which reading says
    except OSError as error:
        raise RecipeError(
            f"The description of a model cannot be read: {error.strerror}.",
            where=path,
            next_step="Name the TOML file beside the model.",
            unchanged=UNCHANGED,
        ) from error
    try:
        return parse(ModelFile, _with_several_outputs(read_toml(path)), str(path))
    except LabelgridError as error:
        error.unchanged = error.unchanged or UNCHANGED
        raise


def _with_several_outputs(values: Values) -> Values:
    output = values.get("output")
    return {**values, "output": [output]} if isinstance(output, dict) else values


def model_path(description: Path, model: ModelFile) -> Path:
    """The path of a model's file, a regular file in the folder of the description.

    Raises:
        ModelError: it is not, or it has another size than is declared.
    """
    folder = description.parent.resolve()
    parts = Path(model.file).parts
    path = folder.joinpath(*parts)
    fault = ""
    if not parts or ".." in parts or Path(model.file).is_absolute() or "\0" in model.file:
        fault = "leads out of the folder of its description"
    elif path.resolve() != path:
        fault = "is a link, or lies behind one"
    if not fault:
        try:
            with files.open_regular(path, LARGEST_FILE) as file:
                size = file.seek(0, 2)
            if model.bytes not in (None, size):
                fault = f"has {size:,} bytes, and its description says {model.bytes:,}"
        except OSError as error:
            fault = f"cannot be read: {error.strerror}"
    if fault:
        raise ModelError(
            f"The model's file {model.file!r} {fault}.",
            where=description,
            next_step="Put the file itself beside the TOML, and name it there.",
            unchanged=UNCHANGED,
        )
    return path


def model_digest(path: Path, description: Path, model: ModelFile) -> str:
    """The SHA-256 of a model's file.

    Raises:
        ModelError: it is not the declared one.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if model.sha256 not in ("", digest):
        raise ModelError(
            f"The model's file {model.file!r} is another than the described one: its SHA-256 is "
            f"{digest[:16]}…, and the description says {model.sha256[:16]}….",
            where=description,
            next_step="Fetch the file again, or correct the description.",
            unchanged=UNCHANGED,
        )
    return digest
