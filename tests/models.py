"""ONNX files of a few hundred bytes, each with the TOML beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from labelgrid.basics.config import as_toml
from labelgrid.basics.type_names import Json

OPSET = 17
FREE = (1, 3, "height", "width")


def weights(name: str, values: Any) -> TensorProto:
    return numpy_helper.from_array(np.asarray(values, np.float32), name)


def write_graph(
    path: Path,
    nodes: Sequence[Any],
    channels: int = 1,
    *,
    stored: Sequence[TensorProto] = (),
    shape: Sequence[int | str] = FREE,
    shown: Sequence[int | str] | None = None,
    opset: int = OPSET,
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """Write a graph from `image` to `out`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = (1, channels, "height", "width") if shown is None else shown
    graph = helper.make_graph(
        list(nodes),
        "made",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shown)],
        list(stored),
    )
    sets = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in domains)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return model


def description(file: str, task: str, **changes: Any) -> Json:
    """What the TOML of such a graph says; `changes` are of tables, such as input={...}, or of keys."""
    values: Json = {
        "file": file,
        "task": task,
        "model": "made",
        "input": {"name": "image", "shape": list(FREE), "divisor": 255.0},
        "output": {"name": "out"},
        "licence": {"stated": "made for a test; no use is forbidden"},
    }
    if task == "depth":
        values["output"] |= {"up_to": "nothing", "larger_is_nearer": False}
    for key, value in changes.items():
        is_table = isinstance(value, dict) and isinstance(values.get(key), dict)
        values[key] = values[key] | value if is_table else value
    return values


def write_toml(path: Path, values: Json) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{key} = {as_toml(value)}\n" for key, value in values.items()]
    path.write_text("".join(lines))
    return path


def depth_model(folder: Path, factor: float = 4.0, **changes: Any) -> Path:
    """Depth: the mean of the channels × `factor` + 1."""
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["mean", "factor"], ["scaled"]),
        helper.make_node("Add", ["scaled", "one"], ["out"]),
    ]
    stored = [weights("factor", factor), weights("one", 1.0)]
    write_graph(folder / "depth.onnx", nodes, stored=stored)
    return write_toml(folder / "depth.toml", description("depth.onnx", "depth", **changes))


def grade_model(folder: Path, task: str = "edges", **changes: Any) -> Path:
    """Grades: the mean of the channels."""
    nodes = [helper.make_node("ReduceMean", ["image"], ["out"], axes=[1], keepdims=1)]
    write_graph(folder / f"{task}.onnx", nodes)
    return write_toml(folder / f"{task}.toml", description(f"{task}.onnx", task, **changes))


def class_model(folder: Path, classes: Sequence[str], **changes: Any) -> Path:
    """Classes: the softmax of products with the channels."""
    count = len(classes)
    kernel = np.arange(count * 3, dtype=np.float32).reshape(count, 3, 1, 1) % 5 - 2
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["raw"]),
        helper.make_node("Softmax", ["raw"], ["out"], axis=1),
    ]
    write_graph(folder / "classes.onnx", nodes, count, stored=[weights("kernel", 4 * kernel)])
    changes["output"] = {"classes": list(classes)} | changes.get("output", {})
    return write_toml(folder / "classes.toml", description("classes.onnx", "classes", **changes))


def normals_model(folder: Path, **changes: Any) -> Path:
    """Normals: the channels around a half, towards the camera."""
    nodes = [
        helper.make_node("Sub", ["image", "half"], ["around"]),
        helper.make_node("Add", ["around", "toward"], ["out"]),
    ]
    stored = [weights("half", 0.5), weights("toward", np.reshape([0, 0, 1.5], (1, 3, 1, 1)))]
    write_graph(folder / "normals.onnx", nodes, 3, stored=stored)
    return write_toml(folder / "normals.toml", description("normals.onnx", "normals", **changes))
