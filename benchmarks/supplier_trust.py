"""Measures the trust in suppliers whose labels are known: perfect, noisy, wrong, and of real networks.

Takes NYUv2 frames (`images`, `depth`, `normals`, `edge`, `segmentation`, `gt_sets/val.txt`) and a
folder of ONNX files with a TOML each. Prints for each supplier the error as `relate` measures it,
that of labels that do not know what is where, the trust, and in how many draws of ten images it is 0.
Draws see every second row and column, and none are made of lines. Then it times a fit of 480×640 pixels.
"""

import argparse
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import cv2
import numpy as np
from _measure import machine

from labelgrid.formats.codec import LabelArray, Unsure, UpTo
from labelgrid.ledger.grid import TaskRow
from labelgrid.pixel.map_fit import fit, spread
from labelgrid.relations.true_agreement import LabelPair
from labelgrid.suppliers.supplied_error import FEWEST, measure_supplied
from labelgrid.tasks.task import TaskDef, definitions

#: The names of Pascal's classes that NYUv2 has, too.
SHARED = {
    "chair": "chair",
    "sofa": "sofa",
    "diningtable": "table",
    "tvmonitor": "television",
    "person": "person",
}
#: The smallest trust in perfect labels, and the share of draws in which wrong labels get none.
PERFECT = 0.95
WRONG = 0.9
#: The milliseconds of processor time that a fit may take.
FIT = 6.0
Labels = list[LabelArray]


def pixels(path: Path) -> np.ndarray:
    """The stored numbers of an image; colours are BGR."""
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))


def truths(frames: Path, tasks: dict[str, TaskDef]) -> dict[str, Labels]:
    """The true labels of the val frames, by task."""
    names = (frames / "gt_sets/val.txt").read_text().split()
    classes = [pixels(frames / f"segmentation/{name}.png") for name in names]
    labels = {
        "semseg": [LabelArray(np.maximum(each, 1)[..., None] - 1, each > 0) for each in classes]
    }
    for task, folder in (("depth", "depth"), ("normals", "normals"), ("edges", "edge")):
        labels[task] = [tasks[task].read(frames / f"{folder}/{name}.png") for name in names]
    return labels


def turned(labels: Labels, axis: int) -> Labels:
    """Labels whose pixels, and nothing else, are mirrored or upside down."""
    return [
        replace(one, value=np.flip(one.value, axis).copy(), valid=np.flip(one.valid, axis).copy())
        for one in labels
    ]


def shuffled(labels: Labels, rng: np.random.Generator) -> Labels:
    """Each label at another image, its confidence, too."""
    order = rng.permutation(len(labels))
    places = np.empty(len(labels), np.intp)
    places[order] = np.roll(order, 1)
    return [labels[place] for place in places]


def smooth_noise(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Noise that varies over a fifteenth of the image, with a standard deviation of 1."""
    noise = cv2.GaussianBlur(rng.normal(size=size), (0, 0), size[0] / 15)
    return np.asarray(noise / noise.std())[..., None]


def depth_suppliers(true: Labels, rng: np.random.Generator) -> Iterator[tuple[str, Labels]]:
    """True depth in other numbers, and with faults."""
    scale = UpTo(shift=False, inverse=False, spread=1.0, least=0.1)
    inverse = scale._replace(shift=True, inverse=True)
    scaled = []
    inverted = []
    for label in true:
        numbers = label.value[..., 0][label.valid]
        scaled.append(
            replace(label, value=label.value / np.median(numbers), unsure=Unsure(up_to=scale))
        )
        slope, zero = rng.uniform(0.5, 5), rng.uniform(-1, 3)
        values = slope / np.maximum(label.value, 0.1) + zero
        inverted.append(replace(label, value=values, unsure=Unsure(up_to=inverse)))
    for name, labels in (("metric", true), ("scale", scaled), ("scale-shift, inverse", inverted)):
        noisy = []
        rough = []
        for label in labels:
            noise = 0.1 * smooth_noise(label.size, rng)
            width = spread(label.value[..., 0][label.valid].astype(np.float64))
            noisy.append(replace(label, value=label.value + noise * width))
            rough.append(replace(label, value=label.value * (1 + noise)))
        yield f"depth, {name}: perfect", labels
        yield f"depth, {name}: noise of 10 % of the spread", noisy
        yield f"depth, {name}: noise of 10 % of each number", rough
        yield f"depth, {name}: shuffled", shuffled(labels, rng)
        yield f"depth, {name}: mirrored", turned(labels, 1)
        yield f"depth, {name}: upside down", turned(labels, 0)


def networks(
    models: Path, frames: Path, classes: Sequence[str]
) -> Iterator[tuple[str, str, Labels]]:
    """Labels of the networks of a folder: name, task, labels."""
    names = (frames / "gt_sets/val.txt").read_text().split()
    images = [pixels(frames / f"images/{name}.jpg")[..., ::-1] for name in names]
    makers: dict[str, Callable[[dict[str, Any], np.ndarray, np.ndarray], LabelArray]] = {
        "depth": depth_of,
        "edges": edges_of,
        "classes": lambda told, maps, image: classes_of(told, maps, image, classes),
    }
    for path in sorted(models.glob("*.toml")):
        told = tomllib.loads(path.read_text())
        make = makers.get(told["task"])
        if make:
            run = runner(models / told["file"], told["input"])
            labels = [make(told, run(image), image) for image in images]
            task = {"classes": "semseg"}.get(told["task"], told["task"])
            yield f"{task}: {told['model'].partition(',')[0]}", task, labels


def runner(path: Path, told: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """What runs a network on an image [h, w, 3]; returns the maps [c, h', w']."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(image: np.ndarray) -> np.ndarray:
        height, width = told["shape"][2:]
        if told["mean"][0] > 1:  # the classes: the longer side is 513, both are 16 k + 1
            factor = 512 / max(image.shape[:2])
            height, width = (16 * round(side * factor / 16) + 1 for side in image.shape[:2])
        if isinstance(height, int):
            image = cv2.resize(image, (width, height))
        scaled = (image / told["divisor"] - told["mean"]) / told["std"]
        (maps,) = session.run(
            None, {told["name"]: scaled.astype(np.float32).transpose(2, 0, 1)[None]}
        )
        return np.asarray(maps[0])

    return run


def resized(maps: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Maps [c, h, w] as [h, w, c] of an image's size."""
    sized = cv2.resize(maps.transpose(1, 2, 0), image.shape[1::-1])
    return np.asarray(sized).reshape(*image.shape[:2], -1)


def depth_of(_told: dict[str, Any], maps: np.ndarray, image: np.ndarray) -> LabelArray:
    """Inverse depth up to a scale and a shift."""
    up_to = UpTo(shift=True, inverse=True, spread=1.0, least=0.1)
    return LabelArray(
        resized(maps, image), np.ones(image.shape[:2], np.bool_), unsure=Unsure(up_to=up_to)
    )


def edges_of(_told: dict[str, Any], maps: np.ndarray, image: np.ndarray) -> LabelArray:
    """Grades of edges."""
    grades = resized(maps, image)
    confidence = np.abs(2 * grades[..., 0] - 1)
    everywhere = np.ones(image.shape[:2], np.bool_)
    label = LabelArray((grades >= 0.5).astype(np.float32), everywhere)
    return label.with_confidence(confidence)


def classes_of(
    told: dict[str, Any], maps: np.ndarray, image: np.ndarray, classes: Sequence[str]
) -> LabelArray:
    """Classes by their names; pixels of others are not labelled."""
    numbers = np.full(len(maps), -1)
    for number, name in enumerate(told["output"]["classes"]):
        if name in SHARED:
            numbers[number] = classes.index(SHARED[name])
    value = numbers[resized(maps, image).argmax(-1)]
    annotated = np.isin(np.arange(len(classes)), numbers)
    return LabelArray(np.maximum(value, 0)[..., None].astype(np.uint8), value >= 0, annotated)


def trusts_of_draws(pairs: list[LabelPair], task: TaskDef, draws: int) -> np.ndarray:
    """The trust by draws of ten images, of labels in every second row and column."""
    every = slice(None, None, 2)
    thinned = [
        LabelPair(pair.label.part(every, every), pair.truth.part(every, every)) for pair in pairs
    ]
    trusts = []
    for draw in range(draws):
        chosen = np.random.default_rng(draw).permutation(len(pairs))[:FEWEST]
        measured, _ = measure_supplied([thinned[place] for place in chosen], task)
        trusts.append(measured.trust if measured else 0.0)
    return np.array(trusts)


def suppliers(
    options: argparse.Namespace, true: dict[str, Labels]
) -> Iterator[tuple[str, str, Labels]]:
    """The name, the task and the labels of each supplier."""
    if options.models:
        classes = (options.frames / "classes40.txt").read_text().split("\n")
        yield from networks(
            options.models, options.frames, [name.strip() for name in classes if name]
        )
    rng = np.random.default_rng(options.seed)
    for name, labels in depth_suppliers(true["depth"], rng):
        yield name, "depth", labels
    for task in ("normals", "semseg", "edges"):
        yield f"{task}: perfect", task, true[task]
        yield f"{task}: shuffled", task, shuffled(true[task], rng)
        yield f"{task}: mirrored", task, turned(true[task], 1)
        yield f"{task}: upside down", task, turned(true[task], 0)


def measured_row(
    name: str, pairs: list[LabelPair], task: TaskDef, draws: int
) -> tuple[float, float]:
    """Print a supplier's row; return the trust, and the share of draws without any."""
    measured, count = measure_supplied(pairs, task)
    if measured is None:
        print(f"| {name} | {count} images: too few |")
        return np.nan, np.nan
    (first, _), *_ = measured.figures.items()
    row = (
        f"| {name} | {measured.images} | {first}, {measured.error:.3g} of {measured.chance:.3g} | "
    )
    row += f"{measured.trust:.2f} | "
    if not draws or task.overview().lines:
        print(f"{row}– | – |", flush=True)
        return measured.trust, np.nan
    trusts = trusts_of_draws(pairs, task, draws)
    none = float((trusts == 0).mean())
    print(f"{row}{none:.0%} | {trusts.mean():.2f} |", flush=True)
    return measured.trust, none


def fit_times() -> list[float]:
    """The processor times of fits of 480×640 pixels, in milliseconds."""
    rng = np.random.default_rng(0)
    values = rng.uniform(0.5, 9, 480 * 640)
    aim = 0.3 * values + rng.normal(size=values.size) / 10 + 1
    times = []
    for shift in (True, False) * 20:
        start = process_time()
        fit(values, aim, shift=shift)
        times.append(1000 * (process_time() - start))
    return times


def main() -> int:
    """Print the table and the time of a fit; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--only", default="", help="suppliers whose name has this")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    milliseconds = min(fit_times())
    print(f"{machine()}\nA fit of 480×640 pixels: {milliseconds:.1f} ms of processor time.")
    missed = ["the time of a fit"] if milliseconds > FIT else []
    kinds = ("semseg", "depth", "normals", "edges")
    names = (options.frames / "classes40.txt").read_text().split("\n")
    classes = {"classes": [name.strip() for name in names if name]}
    rows = [TaskRow(kind, kind, 1.0, classes if kind == "semseg" else {}) for kind in kinds]
    tasks = dict(definitions(rows))
    true = truths(options.frames, tasks)
    print("| supplier | images | error of that of chance | trust | draws without | mean of draws |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, task, labels in suppliers(options, true):
        if options.only not in name:
            continue
        pairs = [LabelPair(label, truth) for label, truth in zip(labels, true[task], strict=True)]
        trust, none = measured_row(name, pairs, tasks[task], options.draws)
        if "perfect" in name and trust < PERFECT:
            missed.append(name)
        if name.endswith(("shuffled", "mirrored", "upside down")) and none < WRONG:
            missed.append(name)
    print(f"Missed: {', '.join(missed)}." if missed else "All bars are held.")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
