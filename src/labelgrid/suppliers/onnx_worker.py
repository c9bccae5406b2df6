"""Runs an ONNX model in a process of its own: `labelgrid.suppliers.onnx_runner` starts it.

The model may be a stranger's. So the process has bounds on memory and time, may write no file, and
refuses operators of other domains, data outside the model's folder and giant shapes. The first line
of the input is JSON: the model and the bounds. A line of JSON and the pixels of an image follow, as
often as wanted. An answer is a line of JSON, which may be a refusal, and the arrays.
"""

import contextlib
import json
import math
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import cv2
import numpy as np

#: The domains of ONNX's own operators.
DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
#: The most numbers of a declared tensor, and the most nodes of a graph.
MOST_NUMBERS = 2**31
MOST_NODES = 1_000_000
#: Seconds without a request after which the process ends, and that loading may take.
IDLE = 60
LOADING = 120
#: By how much rounding may lead out of the range of probabilities.
ROUNDING = 1e-3
INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}


class RefusedModelError(Exception):
    """Refuses a model, or numbers that a model computes; the text is the reason."""


def graphs_of(model: Any) -> Iterator[Any]:
    """The graph of a model and all graphs in its nodes."""
    waiting = [model.graph]
    count = 0
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            count += 1
            if count > MOST_NODES:
                raise RefusedModelError(f"its graph has more than {MOST_NODES:,} nodes")
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += attribute.graphs


def tensors_of(graph: Any) -> Iterator[Any]:
    """The stored tensors of a graph."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from ([attribute.t] if attribute.HasField("t") else [])
            yield from attribute.tensors


def check_model(model: Any, folder: Path) -> None:
    """Refuse a model that could do more than compute.

    Raises:
        RefusedModelError: says what it is refused for.
    """
    if model.functions:
        raise RefusedModelError("it defines functions of its own")
    for graph in graphs_of(model):
        for node in graph.node:
            if node.domain not in DOMAINS:
                raise RefusedModelError(
                    f"it needs the operator '{node.op_type:.60}' of the domain "
                    f"'{node.domain:.60}', and only ONNX's own are run"
                )
        for tensor in tensors_of(graph):
            _check_size(tensor.name, tensor.dims)
            if tensor.data_location:
                _check_place(tensor, folder)
        for info in (*graph.input, *graph.output, *graph.value_info):
            sides = info.type.tensor_type.shape.dim
            _check_size(info.name, [side.dim_value for side in sides if side.dim_value])


def _check_size(name: str, sides: Any) -> None:
    if min(sides, default=1) < 0 or math.prod(sides) > MOST_NUMBERS:
        shape = "×".join(map(str, sides))
        raise RefusedModelError(f"its tensor '{name:.60}' is declared as {shape:.80} numbers")


def _check_place(tensor: Any, folder: Path) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    parts = Path(location).parts
    path = folder.joinpath(*parts)
    is_inside = bool(parts) and ".." not in parts and not Path(location).is_absolute()
    if not is_inside or path.resolve() != path or not path.is_file():
        raise RefusedModelError(
            f"its data are in '{location:.120}', which is no file in the model's own folder"
        )


def check_names(model: Any, setup: Any) -> None:
    """Refuse a model whose input or outputs are not the described ones.

    Raises:
        RefusedModelError: says which.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [info for info in model.graph.input if info.name not in stored]
    names = [info.name for info in inputs]
    if names != [setup["input"]["name"]]:
        raise RefusedModelError(
            f"its inputs are {names!s:.200}, and the TOML describes '{setup['input']['name']}'"
        )
    sides = [side.dim_value for side in inputs[0].type.tensor_type.shape.dim]
    described = setup["input"]["shape"]
    fits = len(sides) in (0, len(described)) and all(
        not side or isinstance(wanted, str) or side == wanted
        for side, wanted in zip(sides, described, strict=bool(sides))
    )
    if not fits:
        raise RefusedModelError(
            f"its input has the shape {sides} (0: free), and the TOML says {described}"
        )
    names = [info.name for info in model.graph.output]
    for output in setup["outputs"]:
        if output["name"] not in names:
            raise RefusedModelError(
                f"its outputs are {names!s:.200}, and the TOML describes '{output['name']}'"
            )


class Model:
    """A model that was checked and loaded.

    Args:
        setup: what to run, as JSON values.
    """

    def __init__(self, setup: Any) -> None:
        import onnx
        import onnxruntime

        path = Path(setup["path"])
        try:
            model = onnx.load(path, load_external_data=False)
        except Exception as error:
            raise RefusedModelError("it is no ONNX file, or cut short") from error
        check_model(model, path.parent)
        check_names(model, setup)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = setup["threads"]
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # Threads that spin take the cores from whoever reads and writes meanwhile.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        del model
        try:
            self.session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise RefusedModelError(f"ONNX Runtime cannot load it: {error!s:.300}") from error
        self.setup = setup

    def run(self, pixels: Any, size: Any) -> list[Any]:
        """The arrays of the outputs for an image, at its size."""
        tensor = self._tensor(pixels, size)
        names = [output["name"] for output in self.setup["outputs"]]
        try:
            computed = self.session.run(names, {self.setup["input"]["name"]: tensor})
        except Exception as error:
            raise RefusedModelError(f"ONNX Runtime cannot run it: {error!s:.300}") from error
        arrays = []
        for output, values in zip(self.setup["outputs"], computed, strict=True):
            maps = self._maps(output, values, size)
            arrays += MEANINGS[output["meaning"]](maps, output, pixels.shape[:2])
        return arrays

    def _tensor(self, pixels: Any, size: Any) -> Any:
        described = self.setup["input"]
        height, width = size
        if pixels.shape[:2] != (height, width):
            way = INTERPOLATIONS[self.setup["interpolation"]]
            pixels = cv2.resize(pixels, (width, height), interpolation=way)
        if described["channel_order"] == "BGR":
            pixels = pixels[..., ::-1]
        std = np.array(described["std"], np.float32)
        factor = 1 / (described["divisor"] * std)
        offset = np.array(described["mean"], np.float32) / std
        planes = np.empty((1, 3, height, width), np.float32)
        for channel in range(3):
            np.multiply(pixels[..., channel], factor[channel], out=planes[0, channel])
            planes[0, channel] -= offset[channel]
        return planes.astype(described["dtype"], copy=False)

    def _maps(self, output: Any, values: Any, size: Any) -> Any:
        """The channels of an output as float32 [c, h, w], after its activation.

        Raises:
            RefusedModelError: its shape or its numbers are not the described ones.
        """
        channels = output["channels"]
        shape = list(np.shape(values))
        if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
            kind = getattr(values, "dtype", type(values).__name__)
            raise RefusedModelError(
                f"its output '{output['name']}' holds {kind}, and floating-point numbers are wanted"
            )
        if shape[:1] == [1] and len(shape) == 3 and channels == 1:  # [1, h, w]
            values = values[:, None]
        free = dict(zip(self.setup["input"]["shape"][2:], size, strict=True))
        promised = [free.get(side, side) for side in output["shape"]]
        others = [
            number != side
            for number, side in zip(shape, promised, strict=False)
            if isinstance(side, int)
        ]
        is_as_promised = len(promised) in (0, len(shape)) and not any(others)
        if values.ndim != 4 or values.shape[:2] != (1, channels) or not is_as_promised:
            sides = promised[2:] or ["height", "width"]
            raise RefusedModelError(
                f"its output '{output['name']}' has the shape {shape}, not "
                f"{[1, channels, *sides]} as the TOML and the task have it"
            )
        return ACTIVATIONS[output["activation"]](values[0].astype(np.float32, copy=False))


def _sigmoid(maps: Any) -> Any:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-maps))


def _softmax(maps: Any) -> Any:
    powers = np.exp(maps - maps.max(axis=0))
    return powers / powers.sum(axis=0)


def _as_it_is(maps: Any) -> Any:
    return maps


def _resized(channel: Any, size: Any) -> Any:
    height, width = size
    if channel.shape == (height, width):
        return channel
    return cv2.resize(channel, (width, height), interpolation=cv2.INTER_LINEAR)


def _numbers(maps: Any, output: Any, size: Any) -> list[Any]:
    """The channels [h, w, c]; NaN where a number is not finite."""
    maps = np.where(np.isfinite(maps), maps, np.float32(np.nan))
    return [np.ascontiguousarray(np.stack([_resized(one, size) for one in maps], axis=-1))]


def _check_probabilities(maps: Any, output: Any, activation: str) -> None:
    finite = maps[np.isfinite(maps)]
    if finite.size and not -ROUNDING <= finite.min() <= finite.max() <= 1 + ROUNDING:
        raise RefusedModelError(
            f"its output '{output['name']}' holds numbers from {finite.min():.3g} to "
            f"{finite.max():.3g}, where probabilities from 0 to 1 are wanted (activation = "
            f'"{activation}" makes them from others)'
        )


def _grades(maps: Any, output: Any, size: Any) -> list[Any]:
    """The grades from 0 to 255 [h, w], and where they are finite."""
    _check_probabilities(maps, output, "sigmoid")
    (grades,) = _numbers(maps, output, size)
    finite = np.isfinite(grades[..., 0])
    grades = np.where(finite, grades[..., 0], 0.5)
    return [np.rint(grades.clip(0, 1) * 255).astype(np.uint8), finite]


def _classes(maps: Any, output: Any, size: Any) -> list[Any]:
    """The likeliest classes [h, w], probabilities from 0 to 255, and a mask of finite pixels."""
    _check_probabilities(maps, output, "softmax")
    best = np.full(size, -1, np.float32)
    numbers = np.zeros(size, np.uint16)
    finite = np.ones(size, np.bool_)
    for number, channel in enumerate(maps):
        values = _resized(channel, size)
        finite &= np.isfinite(values)
        is_better = values > best
        numbers[is_better] = number
        np.copyto(best, values, where=is_better)
    confidence = np.where(finite, best.clip(0, 1), 0)
    return [numbers, np.rint(confidence * 255).astype(np.uint8), finite]


ACTIVATIONS = {"none": _as_it_is, "sigmoid": _sigmoid, "softmax": _softmax}
MEANINGS = {"numbers": _numbers, "grades": _grades, "classes": _classes}


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Load a model and answer images until they end."""
    setup = json.loads(requests.readline())
    _limit(setup["memory"])
    signal.alarm(LOADING)
    try:
        model = Model(setup)
    except (RefusedModelError, MemoryError, ImportError) as error:
        _refuse(answers, error)
    answers.write(b"{}\n")
    answers.flush()
    signal.alarm(IDLE)
    while line := requests.readline():
        signal.alarm(setup["seconds"] + IDLE)
        head = json.loads(line)
        content = requests.read(math.prod(head["shape"]))
        pixels = np.frombuffer(content, np.uint8).reshape(head["shape"])
        try:
            arrays = model.run(pixels, head["size"])
        except (RefusedModelError, MemoryError, cv2.error) as error:
            _refuse(answers, error)
        answers.write(b"{}\n")
        for array in arrays:
            answers.write(np.ascontiguousarray(array).data)
        answers.flush()
        signal.alarm(IDLE)


def _limit(memory: int) -> None:
    """Bound the memory of the process, and forbid it to write files and core dumps."""
    limits = ((resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, memory))
    for kind, most in limits:
        with contextlib.suppress(ValueError, OSError):  # a lower limit holds, or there is none
            resource.setrlimit(kind, (most, most))


def _refuse(answers: BinaryIO, error: Exception) -> NoReturn:
    why = str(error)
    if isinstance(error, MemoryError):
        why = "it needs more memory than it may take"
    if isinstance(error, ImportError):
        why = f"missing: {error.name}"
    answers.write(json.dumps({"refused": why}).encode() + b"\n")
    answers.flush()
    os._exit(0)


def main() -> None:
    """Take the process's own output for the answers; what libraries print goes nowhere."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for handle in (1, 2):
        os.dup2(nowhere, handle)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
