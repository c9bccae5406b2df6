"""Tells the laws of a model for the maker `onnx`: depth and normals of one graph."""

from pathlib import Path

from onnx import helper

from labelgrid.testing.scenes import Made
from tests.models import FREE, description, weights, write_graph, write_toml


def model(folder: Path, made: Made) -> Path:
    del made
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1]),
        helper.make_node("Add", ["mean", "one"], ["out"]),
    ]
    write_graph(folder / "m.onnx", nodes, stored=[weights("one", 1.0)], shape=FREE)
    return write_toml(folder / "m.toml", description("m.onnx", "depth"))
