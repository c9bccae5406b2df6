"""Writes a network as an ONNX file, and compares the network with ONNX Runtime.

Needs the extra `onnx`.
"""

import json
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
from torch import Tensor

from labelgrid.basics.streams import seed_of
from labelgrid.basics.type_names import Json, Size, Values
from labelgrid.exporting.exported_network import ExportedNetwork
from labelgrid.nets.onnx_ops import translations
from labelgrid.tasks.task import Tasks

#: The set of operators: runtimes since 2023 have it.
OPSET = 18
#: The key of the description in the file's metadata.
DESCRIPTION = "labelgrid"
#: The sides of images: that which the graph is recorded with, and the limits.
EXAMPLE = (65, 97)
SMALLEST = 17
LARGEST = 8192
#: The sides of the images that are compared.
COMPARED = (SMALLEST, 160)
#: The largest difference; or, where rounding makes more, so many times that.
TOLERANCE = 1e-4
TIMES = 4.0
#: The logger of the exporter's optimiser, and what it says of nodes that it leaves as they are.
FOLDING = "onnxscript.optimizer._constant_folding"
UNFOLDED = re.compile(r"Skipping constant folding for op \w+ with multiple outputs\.")
#: What the exporter warns of where axes of several inputs are equal.
SHARED_NAMES = r"# The axis name: \w+ will not be used, since it shares"


def input_names(known_tasks: Sequence[str]) -> list[str]:
    """The names of a graph's inputs.

    Example:
        >>> input_names(["depth"])
        ['image', 'known_depth', 'known_depth_valid']
    """
    names = ["image"]
    for task in known_tasks:
        names += [f"known_{task}", f"known_{task}_valid"]
    return names


def write_onnx(
    network: ExportedNetwork, path: Path, known_tasks: Sequence[str], description: Values
) -> None:
    """Write the graph, for images of every size, with the description in its metadata.

    Args:
        network: the network in evaluation mode, on the CPU.
        path: the path of the file.
        known_tasks: the tasks whose labels are inputs, too.
        description: JSON values.
    """
    image, labels = _example(network.tasks, known_tasks, 2, EXAMPLE)
    size = {"min": SMALLEST, "max": LARGEST}
    axes = {
        0: torch.export.Dim("batch"),
        2: torch.export.Dim("height", **size),
        3: torch.export.Dim("width", **size),
    }
    inputs: Json = {"image": image}
    shapes: Json = {"image": axes}
    if known_tasks:
        inputs["known"] = labels
        shapes["known"] = dict.fromkeys(known_tasks, (axes, axes))
    with torch.no_grad(), _without_known_noise():
        program = torch.onnx.export(
            network,
            kwargs=inputs,
            dynamic_shapes=shapes,
            input_names=input_names(known_tasks),
            output_names=list(network.predicted),
            opset_version=OPSET,
            custom_translation_table=translations(),
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto
    onnx.helper.set_model_props(model, {DESCRIPTION: json.dumps(description)})
    onnx.save(model, path)


@contextmanager
def _without_known_noise() -> Iterator[None]:
    """Hide known messages of the exporter about correct graphs."""
    logger = logging.getLogger(FOLDING)
    logger.addFilter(_is_news)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=SHARED_NAMES)
            yield
    finally:
        logger.removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not UNFOLDED.fullmatch(record.getMessage())


def read_description(path: Path) -> Json:
    """The description in a file's metadata."""
    properties = onnx.load(path, load_external_data=False).metadata_props
    [description] = [entry.value for entry in properties if entry.key == DESCRIPTION]
    return json.loads(description)


@dataclass(frozen=True)
class OutputDifference:
    """The distance of two computations of a prediction, in parts of the largest value.

    If that is below 1, in its unit.

    Args:
        largest: the largest difference between ONNX Runtime and the network.
        rounding: the difference between the network in single and in double precision: normals are
            directions, and where a vector is almost 0, rounding turns it.
    """

    largest: float
    rounding: float

    @property
    def is_small(self) -> bool:
        """Whether it is within the tolerance, or explained by rounding."""
        return self.largest <= max(TOLERANCE, TIMES * self.rounding)


def differences(
    network: ExportedNetwork, path: Path, known_tasks: Sequence[str], count: int
) -> Iterator[dict[str, OutputDifference]]:
    """Compare the file with the network on images of random pixels and odd sizes.

    Half of the known_tasks labels' pixels are valid, and in every second image none.

    Args:
        network: as it was written.
        path: the path of the file.
        known_tasks: the tasks whose labels are inputs.
        count: the number of images.

    Yields:
        by task, the difference on one more image.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    exact_network = deepcopy(network).double()
    draws = _draws()
    names = input_names(known_tasks)
    for number in range(count):
        sides = torch.randint(*COMPARED, (2,), generator=draws) // 2 * 2 + 1
        image, labels = _example(network.tasks, known_tasks, 1, (int(sides[0]), int(sides[1])))
        if number % 2:
            labels = {name: (value, valid & False) for name, (value, valid) in labels.items()}
        with torch.inference_mode():
            expected = network(image, labels)
            exact = exact_network(image.double(), labels)
        tensors = [image]
        for label in labels.values():
            tensors += label
        inputs = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
        computed = session.run(None, inputs)
        yield {
            name: _difference(*three)
            for name, *three in zip(network.predicted, computed, expected, exact, strict=True)
        }


def _difference(computed: Any, expected: Tensor, exact: Tensor) -> OutputDifference:
    if computed.shape != tuple(expected.shape):
        return OutputDifference(float("inf"), 0.0)
    scale = max(1.0, float(expected.abs().max()))
    apart = (torch.from_numpy(computed) - expected).abs().max()
    rounded = (expected - exact).abs().max()
    return OutputDifference(float(apart) / scale, float(rounded) / scale)


def _example(
    tasks: Tasks, known_tasks: Sequence[str], count: int, size: Size
) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    draws = _draws(*size)
    image = torch.randn(count, 3, *size, generator=draws)
    labels = {}
    for name in known_tasks:
        raw = torch.randn(count, tasks[name].channels, *size, generator=draws)
        label = tasks[name].to_target(tasks[name].activate(raw))
        valid = torch.rand(label.valid.shape, generator=draws) < 0.5
        labels[name] = (label.value, label.valid & valid)
    return image, labels


def _draws(*names: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(0, "onnx", *names))
