"""Compares `labelgrid supply` with a bare loop that reads, runs and writes the same files.

The loop is OpenCV, ONNX Runtime and NumPy, in this process, without any check: once with ONNX
Runtime's own settings, and once with threads that sleep while they wait, as those of `supply` do; the
faster one of a repetition counts. All have loaded the model before. Then the whole command, which
imports the labels, too. Without a folder of models, a made network of some convolutions labels made
images.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import onnxruntime
from _measure import check_limit, machine, processor_of
from onnx import TensorProto, helper, numpy_helper

from labelgrid.basics.progress import Silent
from labelgrid.executors.workplace import IN_THIS_PROCESS
from labelgrid.ledger.grid import TaskRow
from labelgrid.operations import create
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Settings
from labelgrid.suppliers import supply
from labelgrid.suppliers.model_file import ModelFile, read_model_file

BAR = 0.9
#: By a model's task, the kind of the project's task, its options, and what the model's TOML leaves out.
TASKS: Mapping[str, tuple[str, Any, Any]] = {
    "depth": ("depth", {}, {"up_to": "scale-shift", "larger_is_nearer": True}),
    "edges": ("edges", {}, {}),
    "saliency": ("saliency", {}, {}),
    "classes": ("semseg", {"classes": ["background", "chair", "sofa", "person"]}, {}),
}
TOML = """
file = "made.onnx"
task = "depth"
[input]
name = "image"
shape = [1, 3, "height", "width"]
divisor = 255.0
[output]
name = "out"
"""


@dataclass(frozen=True)
class Loop:
    """A bare loop over images."""

    model: ModelFile
    images: list[Path]
    out: Path
    session: Any = field(repr=False)

    def run(self) -> None:
        """Label all images."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        name = self.model.input.name
        mean = np.array(self.model.input.mean, np.float32)
        std = np.array(self.model.input.std, np.float32)
        for path in self.images:
            pixels = cv2.imread(str(path))[..., ::-1]
            height, width = pixels.shape[:2]
            size = self.model.resize.size((height, width))
            if size != (height, width):
                pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR)
            scaled = (pixels.astype(np.float32) / self.model.input.divisor - mean) / std
            tensor = np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])
            (maps,) = self.session.run(None, {name: tensor})
            self.write(path.stem, [cv2.resize(one, (width, height)) for one in maps[0]])

    def write(self, name: str, maps: list[Any]) -> None:
        """Write the files of an image."""
        if len(maps) > 1:
            stacked = np.stack(maps)
            best = np.rint(stacked.max(axis=0) * 255).astype(np.uint8)
            cv2.imwrite(str(self.out / f"{name}.png"), stacked.argmax(axis=0).astype(np.uint8))
            cv2.imwrite(str(self.out / f"{name}.confidence.png"), best)
        elif self.model.task == "depth":
            np.save(self.out / f"{name}.npy", maps[0])
        else:
            cv2.imwrite(str(self.out / f"{name}.png"), np.rint(maps[0] * 255).astype(np.uint8))


def made_model(folder: Path, width: int, layers: int) -> Path:
    """A network of convolutions, with random weights and positive outputs."""
    draws = np.random.default_rng(0)
    nodes = []
    stored = []
    before = "image"
    channels = 3
    for number in range(layers):
        last = number == layers - 1
        count = 1 if last else width
        kernel = draws.normal(0, 1 / (3 * channels**0.5), (count, channels, 3, 3))
        stored.append(numpy_helper.from_array(kernel.astype(np.float32), f"k{number}"))
        nodes.append(
            helper.make_node("Conv", [before, f"k{number}"], [f"c{number}"], pads=[1, 1, 1, 1])
        )
        before = "out" if last else f"r{number}"
        nodes.append(helper.make_node("Softplus" if last else "Relu", [f"c{number}"], [before]))
        channels = count
    ends = []
    for name, count in (("image", 3), ("out", 1)):
        ends.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, count, "h", "w"]))
    graph = helper.make_graph(nodes, "made", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder.mkdir(parents=True)
    (folder / "made.onnx").write_bytes(model.SerializeToString())
    (folder / "made.toml").write_text(TOML)
    return folder / "made.toml"


def made_images(folder: Path, count: int) -> None:
    draws = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        coarse = draws.integers(0, 256, (15, 20, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number:04d}.jpg"), cv2.resize(coarse, (320, 240)))


def project_of(folder: Path, images: Path, task: str) -> ProjectFolder:
    kind, options, _ = TASKS[task]
    return create.create(
        folder,
        [images],
        tasks=[TaskRow(kind, kind, 1.0, options)],
        settings=Settings(),
        progress=Silent(),
        check="full",
    )


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Wall seconds, and processor seconds of this process and those that it started."""
    wall = time.perf_counter()
    processor = processor_of(os.getpid())
    run()
    return time.perf_counter() - wall, processor_of(os.getpid()) - processor


def bare_loops(
    path: Path, model: ModelFile, files: list[Path], out: Path
) -> dict[str, Callable[[], object]]:
    """The loops by name."""
    loops: dict[str, Callable[[], object]] = {}
    for name, spins in (("bare loop", "1"), ("bare loop, threads that sleep", "0")):
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", spins)
        session = onnxruntime.InferenceSession(str(path.with_name(model.file)), options)
        loops[name] = Loop(model, files, out, session).run
    return loops


def show(times: Mapping[str, list[tuple[float, float]]], count: int) -> None:
    """Print the medians."""
    for name, seconds in times.items():
        wall, processor = (median(one) * 1e3 / count for one in zip(*seconds, strict=True))
        print(f"  {name:32} {wall:8.1f} ms an image (processor {processor:8.1f} ms)")


def compare(path: Path, images: Path, folder: Path, repeats: int) -> bool:
    """Print the figures of a model; return whether the bar is met."""
    model = read_model_file(path)
    _, _, settings = TASKS[model.task]
    files = sorted(images.iterdir())
    loops = bare_loops(path, model, files, folder / "bare")
    with project_of(folder / "project", images, model.task) as project:
        maker = supply.build_maker(project, "onnx", path, chosen={}, options=settings)
        order = supply.SupplyOrder(name="made", maker=maker)

        def make() -> None:
            shutil.rmtree(project.folder / supply.FOLDER, ignore_errors=True)
            supply.make_labels(project, order, Silent(), IN_THIS_PROCESS)

        def whole() -> None:
            shutil.rmtree(project.folder / "supplied", ignore_errors=True)
            made = supply.make_labels(project, order, Silent(), IN_THIS_PROCESS)
            assert made is not None
            supply.take_labels(project, order, made, Silent())

        sides: dict[str, Callable[[], object]] = {**loops, "made labels": make}
        for side in sides.values():
            side()
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for _ in range(repeats):
            for name, side in sides.items():
                times[name].append(timed(side))
        shutil.rmtree(project.folder / supply.FOLDER, ignore_errors=True)
        times["made and imported"] = [timed(whole)]
    print(f"{model.file}, {len(files)} images:")
    show(times, len(files))
    ratios = []
    for *bare, made in zip(*(times[name] for name in sides), strict=True):
        fastest = [min(one) for one in zip(*bare, strict=True)]
        ratios.append([its / mine for its, mine in zip(fastest, made, strict=True)])
    by_wall, by_processor = (median(one) for one in zip(*ratios, strict=True))
    print(
        f"  speed in parts of the loop's, pair by pair: {by_wall:.2f}, by processor {by_processor:.2f}"
    )
    return check_limit(
        f"speed of supply, {model.file}", by_wall, BAR, "of the bare loop", least=True
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, help="a folder of ONNX files with TOML files")
    parser.add_argument("--data", type=Path, help="a folder of images")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--width", type=int, default=32, help="of the made network")
    parser.add_argument("--layers", type=int, default=6, help="of the made network")
    given = parser.parse_args()
    print(machine())
    holds = True
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        if given.data:
            (place / "images").mkdir()
            for path in sorted(given.data.iterdir())[: given.images]:
                shutil.copy(path, place / "images" / path.name)
        else:
            made_images(place / "images", given.images)
        models = [made_model(place / "models", given.width, given.layers)]
        if given.models:
            models = sorted(given.models.glob("*.toml"))
        for number, path in enumerate(models):
            holds &= compare(path, place / "images", place / str(number), given.repeats)
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
