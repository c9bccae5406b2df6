"""Derived labels beside slow versions, pixel by pixel, and where geometry or real frames say them."""

from pathlib import Path

import numpy as np
import pytest

from labelgrid.basics.camera import Camera
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.relations.derivations import disparity_depth, parts_semseg, semseg_parts
from labelgrid.relations.derivations.semseg_edges import Options, derive_edges
from labelgrid.tasks.task import TaskDef, definitions

RNG = np.random.default_rng(7)


def blocks(height: int, width: int, count: int) -> LabelArray:
    """Random rectangles of classes, with random gaps between and in them."""
    value = np.zeros((height, width), np.int64)
    valid = RNG.random((height, width)) < 0.9
    for number in range(1, 12):
        row = int(RNG.integers(height))
        column = int(RNG.integers(width))
        value[row : row + 7, column : column + 9] = number % count
        valid[row : row + 7, column - 1 : column + 1] = False
    row, column = RNG.integers(height - 8), RNG.integers(width - 8)
    valid[row : row + 12, column : column + 12] = False
    return LabelArray(np.where(valid, value, 99)[..., None], valid)


def slow_fill(label: LabelArray, reach: int) -> np.ndarray:
    """The class of the nearest labelled pixel, the smallest of several; None if it is too far."""
    filled = np.full(label.size, None)
    labelled = np.argwhere(label.valid)
    for row, column in np.ndindex(label.size):
        away = np.abs(labelled - (row, column)).max(1, initial=0)
        if not len(away) or away.min() > reach:
            continue
        nearest = labelled[away == away.min()]
        filled[row, column] = min(label.value[r, c, 0] for r, c in nearest)
    return filled


def slow_edges(label: LabelArray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """The edges and their mask, by the words of the module, each pixel alone."""
    filled = slow_fill(label, reach)
    deep = [place for place in np.ndindex(label.size) if filled[place] is None]
    wide = set(deep)
    for place in map(tuple, np.argwhere(~label.valid)):
        if any(np.abs(np.subtract(place, other)).max() <= reach for other in deep):
            wide.add(place)
    edge = np.zeros(label.size, bool)
    valid = np.ones(label.size, bool)
    for row, column in np.ndindex(label.size):
        if any(max(abs(row - r), abs(column - c)) <= 1 for r, c in wide):
            valid[row, column] = False
            continue
        around = [(row, column - 1), (row, column + 1), (row - 1, column), (row + 1, column)]
        height, width = label.size
        inside = [(r, c) for r, c in around if 0 <= r < height and 0 <= c < width]
        others = [filled[place] for place in inside]
        edge[row, column] = any(other > filled[row, column] for other in others)
        smaller = any(other < filled[row, column] for other in others)
        valid[row, column] = edge[row, column] or not smaller
    return edge, valid


@pytest.mark.parametrize("reach", [0, 1, 2, 4])
def test_edges_are_those_of_a_slow_search(reach: int) -> None:
    for _ in range(3):
        label = blocks(23, 30, count=5)
        found = derive_edges(Options(reach=reach), [label], None)
        edge, valid = slow_edges(label, reach)
        assert np.array_equal(found.valid, valid) and 0 < valid.mean() < 1
        assert np.array_equal(found.value[valid][:, 0] > 0.5, edge[valid])


def test_parts_and_classes_follow_pixel_by_pixel() -> None:
    tasks = definitions(
        [
            TaskRow("parts", "semseg", 1.0, {"classes": ["arm", "background", "leg", "tail"]}),
            TaskRow("objects", "semseg", 1.0, {"classes": ["person", "dog", "wall", "floor"]}),
        ]
    )
    parts, objects = tasks["parts"], tasks["objects"]
    owners = {"tail": "dog"}
    to_objects = parts_semseg.build(parts_semseg.Options(owners=owners)).between([parts], objects)
    to_parts = semseg_parts.build(semseg_parts.Options(("person", "dog"))).between([objects], parts)
    label = blocks(23, 30, count=4)
    owner = to_objects([label], None)
    part = to_parts([label], None)
    for place in zip(*np.nonzero(label.valid), strict=True):
        number = label.value[place][0]
        name = parts.class_names[number]
        assert owner.valid[place] == (name != "background")
        if owner.valid[place]:
            assert objects.class_names[owner.value[place][0]] == owners.get(name, "person")
        name = objects.class_names[number]
        assert part.valid[place] == (name in ("wall", "floor"))
        if part.valid[place]:
            assert parts.class_names[part.value[place][0]] == "background"
    assert not owner.valid[~label.valid].any() and not part.valid[~label.valid].any()


def test_depth_is_that_of_the_points_that_two_cameras_see() -> None:
    camera = Camera(fx=310.0, fy=290.0, cx=20.3, cy=14.1)
    baseline = 0.37
    columns = np.arange(40)
    z = RNG.uniform(0.5, 60, (30, 40))
    x = (columns - camera.cx) / camera.fx * z
    in_other = camera.fx * (x - baseline) / z + camera.cx
    disparity = (columns - in_other).astype(np.float32)[..., None]
    tasks = definitions(
        [TaskRow("pair", "depth", 1.0, {"disparity": True}), TaskRow("depth", "depth", 1.0)]
    )
    relation = disparity_depth.build(disparity_depth.Options(baseline))
    derive = relation.between([tasks["pair"]], tasks["depth"])
    label = derive([LabelArray(disparity, np.ones(z.shape, np.bool_))], camera)
    assert label.valid.all()
    np.testing.assert_allclose(label.value[..., 0], z, rtol=1e-5)


def near(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask, and all beside them."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    shifted = [padded[r : r + height, c : c + width] for r, c in np.ndindex(3, 3)]
    return np.any(shifted, axis=0)


def shares(frames: list[tuple[LabelArray, np.ndarray]]) -> tuple[float, float, float]:
    """Precision and recall within a pixel, where it is valid, and how much is."""
    counts = np.zeros(6)
    for derived, true in frames:
        edge = derived.value[..., 0] > 0.5
        wanted = true & derived.valid
        counts += [
            (edge & near(true)).sum(),
            edge.sum(),
            (wanted & near(edge)).sum(),
            wanted.sum(),
            derived.valid.sum(),
            derived.valid.size,
        ]
    precision, recall, valid = counts[::2] / counts[1::2]
    return float(precision), float(recall), float(valid)


@pytest.mark.nyuv2
def test_on_real_frames_edges_are_where_annotators_drew_borders(nyuv2: Path) -> None:
    classes = (nyuv2 / "classes40.txt").read_text().split("\n")[:40]
    semseg = TaskDef.of(TaskRow("semseg", "semseg", 1.0, {"classes": classes, "first": 1}))
    edges = TaskDef.of(TaskRow("edges", "edges", 1.0))
    frames = []
    for path in sorted((nyuv2 / "segmentation").glob("*.png"))[::40]:
        label = semseg.read(path)
        true = edges.read(nyuv2 / "edge" / path.name).value[..., 0] > 0.5
        frames.append((derive_edges(Options(side="both"), [label], None), true))
    precision, recall, valid = shares(frames)
    assert precision > 0.93 and recall > 0.9 and valid > 0.8
