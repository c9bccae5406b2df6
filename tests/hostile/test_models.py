"""Models of strangers: each is refused with a sentence, in bounded time and memory, and nothing is left.

The file is never parsed by the process of the command; its own process ends with it.
"""

import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from labelgrid.api.project import Project
from labelgrid.basics.errors import LabelgridError
from labelgrid.suppliers import supply
from tests.models import (
    FREE,
    class_model,
    depth_model,
    description,
    grade_model,
    normals_model,
    weights,
    write_graph,
    write_toml,
)
from tests.projects import Said, make_project

#: What builds a hostile folder and returns the path that a person would name.
Hostile = Callable[[Path], Path]
CASES: dict[str, tuple[Hostile, str]] = {}


def case(name: str, words: str) -> Callable[[Hostile], Hostile]:
    """Note a hostile model, and what its refusal says."""

    def noted(build: Hostile) -> Hostile:
        CASES[name] = (build, words)
        return build

    return noted


def toml(folder: Path, **changes: Any) -> Path:
    """A sound model whose description is changed."""
    path = depth_model(folder)
    file = changes.pop("file", "depth.onnx")
    task = changes.pop("task", "depth")
    return write_toml(path, description(file, task, **changes))


def graph(folder: Path, *nodes: Any, task: str = "depth", **words: Any) -> Path:
    """A model of these nodes."""
    changes = words.pop("changes", {})
    write_graph(folder / "bad.onnx", nodes, **words)
    return write_toml(folder / "bad.toml", description("bad.onnx", task, **changes))


def content(data: bytes) -> Hostile:
    def build(folder: Path) -> Path:
        path = depth_model(folder)
        (folder / "depth.onnx").write_bytes(data)
        return path

    return build


def cut(part: float) -> Hostile:
    def build(folder: Path) -> Path:
        path = depth_model(folder)
        file = folder / "depth.onnx"
        data = file.read_bytes()
        file.write_bytes(data[: int(len(data) * part)])
        return path

    return build


def text(words: str) -> Hostile:
    def build(folder: Path) -> Path:
        path = depth_model(folder)
        path.write_text(words)
        return path

    return build


def changed(**changes: Any) -> Hostile:
    return lambda folder: toml(folder, **changes)


# Files that are no models

CASES |= {
    "an empty file": (content(b""), "no ONNX file|inputs are|refused"),
    "random bytes": (content(os.urandom(4096)), "no ONNX file|cut short"),
    "text": (content(b"model = good\n" * 99), "no ONNX file|cut short"),
    "zeros": (content(bytes(4096)), "no ONNX file|cut short"),
    "a pickle": (content(b"\x80\x04cos\nsystem\n(S'id'\ntR."), "no ONNX file|cut short"),
    "a zip": (content(b"PK\x03\x04" + bytes(99)), "no ONNX file|cut short"),
    "cut after the start": (cut(0.1), "no ONNX file|cut short"),
    "cut in the middle": (cut(0.5), "no ONNX file|cut short"),
    "cut before the end": (cut(0.98), "no ONNX file|cut short"),
}


@case("a folder instead of the file", "cannot be read: Is a directory")
def a_folder(folder: Path) -> Path:
    path = depth_model(folder)
    (folder / "depth.onnx").unlink()
    (folder / "depth.onnx").mkdir()
    return path


@case("no file", "cannot be read: No such file")
def no_file(folder: Path) -> Path:
    path = depth_model(folder)
    (folder / "depth.onnx").unlink()
    return path


@case("a pipe", "pipe or a device")
def a_pipe(folder: Path) -> Path:
    path = depth_model(folder)
    (folder / "depth.onnx").unlink()
    os.mkfifo(folder / "depth.onnx")
    return path


@case("a link", "is a link")
def a_link(folder: Path) -> Path:
    depth_model(folder.parent / "elsewhere")
    path = depth_model(folder)
    (folder / "depth.onnx").unlink()
    (folder / "depth.onnx").symlink_to(folder.parent / "elsewhere/depth.onnx")
    return path


@case("a link to a device", "is a link")
def a_device(folder: Path) -> Path:
    path = depth_model(folder)
    (folder / "depth.onnx").unlink()
    (folder / "depth.onnx").symlink_to("/dev/zero")
    return path


@case("a giant of no bytes", "more than the 2147 MB")
def a_giant(folder: Path) -> Path:
    path = depth_model(folder)
    os.truncate(folder / "depth.onnx", 2**31 + 1)
    return path


# Descriptions

CASES |= {
    "an empty description": (text(""), "file: field required|file: "),
    "no TOML": (text("= ] {"), "not TOML"),
    "binary in the description": (text("\x00\x01"), "not TOML"),
    "a deep description": (text("a = " + "[" * 9999), "nested too deeply|not TOML"),
    "a description of two megabytes": (text("# " + "a" * 2**21), "MB that such a file can need"),
    "a number of many digits": (text("bytes = " + "9" * 5000), "not TOML|finite number"),
    "an unknown key": (changed(fil="x"), "unknown key"),
    "an unknown key of the input": (changed(input={"men": [0, 0, 0]}), "did you mean 'mean'"),
    "a file above": (changed(file="../depth.onnx"), "leads out of the folder"),
    "an absolute file": (changed(file="/etc/passwd"), "leads out of the folder"),
    "an empty name of the file": (changed(file=""), "leads out of the folder"),
    "a NUL in the name": (changed(file="a\x00b"), "leads out of the folder"),
    "a file of another type": (changed(file=3), "text is expected"),
    "inputs in a list": (changed(input=[1]), "a table is expected"),
    "text for the mean": (changed(input={"mean": "0"}), "a list"),
    "two means": (changed(input={"mean": [0.0, 0.0]}), "mean"),
    "a standard deviation of 0": (changed(input={"std": [0.0, 1.0, 1.0]}), "above 0"),
    "a divisor of 0": (changed(input={"divisor": 0.0}), "above 0"),
    "an infinite mean": (changed(input={"mean": [float("inf"), 0.0, 0.0]}), "finite number"),
    "four channels": (changed(input={"shape": [1, 4, 8, 8]}), "1, 3, height, width"),
    "three sides": (changed(input={"shape": [1, 3, 8]}), "1, 3, height, width"),
    "a batch of two": (changed(input={"shape": [2, 3, 8, 8]}), "1, 3, height, width"),
    "sides of 0": (changed(input={"shape": [1, 3, 0, 8]}), "1 or more"),
    "negative sides": (changed(input={"shape": [1, 3, -4, 8]}), "1 or more"),
    "a described shape of 10^12": (changed(input={"shape": [1, 3, 10**6, 10**6]}), "numbers"),
    "an unknown rule": (changed(resize={"rule": "make it nice"}), "must begin as one of"),
    "a rule of a million": (
        changed(resize={"rule": "stretch to height 99999, width 99999"}),
        "number of pixels",
    ),
    "a rule of zero": (
        changed(resize={"rule": "stretch to height 0, width 0"}),
        "number of pixels",
    ),
    "an unknown interpolation": (changed(resize={"interpolation": "magic"}), "interpolation"),
    "an unknown activation": (changed(output={"activation": "eval"}), "activation"),
    "no output": (changed(output=[]), "one table or several"),
    "an output twice": (changed(output=[{"name": "out"}, {"name": "out"}]), "another name"),
    "another SHA-256": (changed(sha256="0" * 64), "another than the described one"),
    "another number of bytes": (changed(bytes=5), "and its description says 5"),
    "an unsaid depth": (
        changed(output={"up_to": "", "larger_is_nearer": False}),
        "'nothing', 'scale' or 'scale-shift'",
    ),
    "a task that nobody has": (changed(task="flow"), "is what the model gives: flow"),
}


@case("a folder of descriptions", "Is a directory")
def a_folder_of_descriptions(folder: Path) -> Path:
    return depth_model(folder).parent


# Names and shapes

CASES |= {
    "another input": (changed(input={"name": "x"}), "its inputs are"),
    "another output": (changed(output={"name": "y"}), "its outputs are"),
    "a fixed size that it has not": (
        changed(input={"shape": [1, 3, 8, 8]}, output={"shape": [1, 1, 9, 9]}),
        "has the shape",
    ),
    "an output of another rank": (changed(output={"shape": [1, 1, 1, "height", "width"]}), "shape"),
    "an output of two channels": (changed(output={"shape": [1, 2, "height", "width"]}), "shape"),
}


@case("fewer channels than classes", "has the shape")
def fewer_channels(folder: Path) -> Path:
    path = class_model(folder, ["wall", "floor", "sky"])
    values = description("classes.onnx", "classes", output={"classes": ["wall", "floor"]})
    return write_toml(path, values)


@case("normals of one channel", r"not \[1, 3, 'height', 'width'\]")
def flat_normals(folder: Path) -> Path:
    depth_model(folder)
    return write_toml(folder / "n.toml", description("depth.onnx", "normals"))


@case("grades of any numbers", "probabilities from 0 to 1")
def wild_grades(folder: Path) -> Path:
    depth_model(folder)
    return write_toml(folder / "g.toml", description("depth.onnx", "edges"))


@case("classes without names", "have no names")
def nameless(folder: Path) -> Path:
    return grade_model(folder, "classes")


@case("another fixed input", "its input has the shape")
def fixed_input(folder: Path) -> Path:
    return graph(
        folder,
        helper.make_node("ReduceMean", ["image"], ["out"], axes=[1]),
        shape=(1, 3, 5, 5),
        changes={"input": {"shape": [1, 3, 7, 7]}},
    )


@case("a declared shape of 10^12", "is declared as")
def declared(folder: Path) -> Path:
    node = helper.make_node("ReduceMean", ["image"], ["out"], axes=[1])
    return graph(folder, node, shown=(1, 1, 10**6, 10**6))


@case("weights of a declared 10^12", "is declared as")
def declared_weights(folder: Path) -> Path:
    node = helper.make_node("Mul", ["image", "w"], ["out"])
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[10**6, 10**6])
    return graph(folder, node, stored=[tensor])


@case("weights of a negative side", "is declared as")
def negative_weights(folder: Path) -> Path:
    node = helper.make_node("Mul", ["image", "w"], ["out"])
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-4])
    return graph(folder, node, stored=[tensor])


@case("whole numbers", "floating-point numbers are wanted")
def whole_numbers(folder: Path) -> Path:
    path = graph(
        folder,
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1]),
        helper.make_node("Cast", ["mean"], ["out"], to=TensorProto.INT64),
    )
    model = onnx.load(folder / "bad.onnx")
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    onnx.save(model, folder / "bad.onnx")
    return path


@case("a sequence", "floating-point numbers are wanted|cannot load")
def a_sequence(folder: Path) -> Path:
    path = graph(folder, helper.make_node("SequenceConstruct", ["image"], ["out"]))
    model = onnx.load(folder / "bad.onnx")
    del model.graph.output[:]
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, FREE)
    model.graph.output.append(helper.make_value_info("out", helper.make_sequence_type_proto(kind)))
    onnx.save(model, folder / "bad.onnx")
    return path


@case("a cast that nobody declared", "cannot load|cannot run")
def undeclared_cast(folder: Path) -> Path:
    return graph(folder, helper.make_node("Cast", ["image"], ["out"], to=TensorProto.INT64))


# Operators and data


@case("an operator of a stranger", "of the domain 'evil'")
def custom(folder: Path) -> Path:
    node = helper.make_node("Shell", ["image"], ["out"], domain="evil")
    return graph(folder, node, domains=["evil"])


@case("an operator of a stranger in a branch", "of the domain 'evil'")
def custom_inside(folder: Path) -> Path:
    inner = helper.make_node("Shell", ["image"], ["inner"], domain="evil")
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, FREE)
    branch = helper.make_graph([inner], "branch", [], [value])
    node = helper.make_node("If", ["yes"], ["out"], then_branch=branch, else_branch=branch)
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    return graph(folder, node, stored=[yes], domains=["evil"])


@case("an operator of Microsoft's domain", "of the domain 'com.microsoft'")
def microsoft(folder: Path) -> Path:
    node = helper.make_node("Gelu", ["image"], ["out"], domain="com.microsoft")
    return graph(folder, node, domains=["com.microsoft"])


@case("a function of its own", "defines functions")
def own_function(folder: Path) -> Path:
    path = graph(folder, helper.make_node("Twice", ["image"], ["out"], domain="own"))
    model = onnx.load(folder / "bad.onnx")
    body = helper.make_node("Add", ["x", "x"], ["y"])
    sets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("own", "Twice", ["x"], ["y"], [body], sets))
    onnx.save(model, folder / "bad.onnx")
    return path


@case("an operator that is none", "cannot load")
def no_operator(folder: Path) -> Path:
    return graph(folder, helper.make_node("Florp", ["image"], ["out"]))


@case("a circle", "cannot load")
def a_circle(folder: Path) -> Path:
    return graph(
        folder,
        helper.make_node("Add", ["image", "b"], ["a"]),
        helper.make_node("Add", ["a", "image"], ["b"]),
        helper.make_node("Identity", ["b"], ["out"]),
    )


@case("no graph", "its inputs are|cannot load")
def no_graph(folder: Path) -> Path:
    path = depth_model(folder)
    model = onnx.load(folder / "depth.onnx")
    model.ClearField("graph")
    (folder / "depth.onnx").write_bytes(model.SerializeToString())
    return path


@case("an opset of the future", "cannot load")
def future(folder: Path) -> Path:
    node = helper.make_node("ReduceMean", ["image"], ["out"], axes=[1])
    return graph(folder, node, opset=999)


@case("a second input", "its inputs are")
def second_input(folder: Path) -> Path:
    path = graph(folder, helper.make_node("Add", ["image", "other"], ["out"]))
    model = onnx.load(folder / "bad.onnx")
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, FREE))
    onnx.save(model, folder / "bad.onnx")
    return path


def external(location: str, folder: Path) -> Path:
    tensor = weights("w", np.ones((1, 3, 1, 1)))
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return graph(folder, helper.make_node("Mul", ["image", "w"], ["out"]), stored=[tensor])


for where in ("../secret", "/etc/passwd", "sub/../../secret", "", "link", "missing", "dir/link/x"):

    @case(f"data in {where!r}", "its data are in")
    def outside(folder: Path, where: str = where) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder.parent / "secret").write_bytes(np.ones(3, np.float32).tobytes())
        (folder / "link").symlink_to(folder.parent / "secret")
        (folder / "dir").mkdir()
        (folder / "dir/link").symlink_to(folder.parent)
        (folder.parent / "x").write_bytes(bytes(12))
        return external(where, folder)


@case("data that are too short", "cannot load")
def short_data(folder: Path) -> Path:
    path = external("short", folder)
    (folder / "short").write_bytes(b"1")
    return path


@case("data of a constant's attribute", "its data are in")
def attribute_data(folder: Path) -> Path:
    tensor = weights("w", np.ones((1, 3, 1, 1)))
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    return graph(
        folder,
        helper.make_node("Constant", [], ["w"], value=tensor),
        helper.make_node("Mul", ["image", "w"], ["out"]),
    )


# Time, memory and numbers


def bomb(sides: int) -> Hostile:
    def build(folder: Path) -> Path:
        shape = helper.make_tensor("shape", TensorProto.INT64, [2], [sides, sides])
        return graph(
            folder,
            helper.make_node("ConstantOfShape", ["shape"], ["big"]),
            helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1]),
            helper.make_node("Add", ["mean", "sum"], ["out"]),
            stored=[shape],
        )

    return build


CASES |= {
    "a bomb of 40 GB": (bomb(10**5), "memory|ended its process|cannot load|cannot run"),
    "a bomb of 10^18": (bomb(10**9), "memory|ended its process|cannot load|cannot run"),
}


@case("a bomb by repetition", "memory|ended its process|cannot load|cannot run")
def repetition(folder: Path) -> Path:
    repeats = helper.make_tensor("repeats", TensorProto.INT64, [4], [1, 1, 10**4, 10**4])
    return graph(folder, helper.make_node("Tile", ["image", "repeats"], ["out"]), stored=[repeats])


@case("a loop without an end", "takes more than 2 s for an image")
def endless(folder: Path) -> Path:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Cos", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, FREE),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, FREE),
        ],
    )
    count = helper.make_tensor("count", TensorProto.INT64, [], [2**62])
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    return graph(
        folder,
        helper.make_node("Loop", ["count", "yes", "image"], ["looped"], body=body),
        helper.make_node("ReduceMean", ["looped"], ["out"], axes=[1]),
        stored=[count, yes],
    )


def constant(value: float) -> Hostile:
    def build(folder: Path) -> Path:
        return graph(
            folder,
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1]),
            helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "value"], ["out"]),
            stored=[weights("value", value), weights("zero", 0.0)],
        )

    return build


CASES |= {
    "NaN alone": (constant(float("nan")), "no number of its output is finite"),
    "infinite numbers alone": (constant(float("inf")), "no number of its output is finite"),
    "negative distances alone": (constant(-1.0), "no number of its output is above 0"),
}


@case("normals that point away", "point away from the camera")
def away(folder: Path) -> Path:
    return normals_model(folder, output={"axes": "x right, y up, z away from the camera"})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    made, _ = make_project(folder, n=4, tasks=("semseg", "depth", "normals", "edges"))
    made.close()
    return folder / "flat"


def processes() -> set[int]:
    """The processes that this one started, and that run."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return set(map(int, children.read_text().split())) if children.exists() else set()


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("name", CASES)
def test_a_hostile_model_is_refused_in_a_sentence_and_leaves_nothing(
    name: str, project: Path, tmp_path: Path
) -> None:
    build, words = CASES[name]
    path = build(tmp_path / "models")
    before = sorted(one for one in project.rglob("*") if one.name != "labelgrid.db-wal")
    settings = {"seconds": 2, "memory": 2.0}
    start = time.monotonic()
    with Project.open(project, progress=Said()) as opened:
        try:
            done = opened.supply("made", path, settings=settings, dry_run=True)
        except LabelgridError as error:
            assert re.search(words, str(error)), str(error)
            assert error.next_step and error.unchanged
        else:
            (why,) = done.faults.values()
            assert re.search(words, why), why
    assert time.monotonic() - start < 120
    assert sorted(one for one in project.rglob("*") if one.name != "labelgrid.db-wal") == before


def test_there_are_many_hostile_models() -> None:
    assert len(CASES) >= 60


def test_the_process_of_a_refused_model_has_ended(project: Path, tmp_path: Path) -> None:
    before = processes()
    for name in ("a loop without an end", "an operator of a stranger"):
        path = CASES[name][0](tmp_path / name.replace(" ", "-"))
        with Project.open(project, progress=Said()) as opened, pytest.raises(LabelgridError):
            opened.supply("made", path, settings={"seconds": 1})
    assert processes() <= before
    assert not (project / "supplied").exists()
    assert (project / supply.FOLDER).exists()  # a run that is resumed when the model is mended


def test_unfinite_numbers_are_not_labelled_and_the_others_are(
    project: Path, tmp_path: Path
) -> None:
    """Below the mean of the image the logarithm is NaN."""
    path = graph(
        tmp_path / "models",
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1]),
        helper.make_node("ReduceMean", ["image"], ["middle"], axes=[1, 2, 3]),
        helper.make_node("Sub", ["mean", "middle"], ["around"]),
        helper.make_node("Sqrt", ["around"], ["root"]),
        helper.make_node("Add", ["root", "one"], ["out"]),
        stored=[weights("one", 1.0)],
    )
    with Project.open(project, progress=Said()) as opened:
        done = opened.supply("roots", path)
        assert done.made == 2 and not done.faults
    for file in (project / "supplied/roots/depth").iterdir():
        values = np.load(file)
        assert 0 < np.isnan(values).sum() < values.size
