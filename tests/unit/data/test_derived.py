"""Labels that follow from others of the same image."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import digest
from labelgrid.data.derived import (
    DerivedSource,
    Filler,
    SuppliedRelation,
    add_supplied,
    add_supplied_relations,
    derivable,
)
from labelgrid.data.supplied_source import SuppliedFile, SuppliedLabels
from labelgrid.formats.codec import LabelArray, UpTo
from labelgrid.ledger.grid import TaskRow
from labelgrid.relations.bound import bind
from labelgrid.relations.choice import RelationChoice
from labelgrid.tasks.task import TaskDef, definitions

SIZE = (12, 16)
TASKS = definitions([TaskRow("depth", "depth", 1.0), TaskRow("normals", "normals", 1.0)])
RELATION = bind("depth_normals", RelationChoice(trust=0.7), TASKS)
WALL = LabelArray(np.full((*SIZE, 1), 2.0, np.float32), np.ones(SIZE, np.bool_))
HIDDEN = LabelArray(WALL.value, np.zeros(SIZE, np.bool_))


@dataclass(frozen=True)
class Labels:
    """Labels in memory, which say which of them were read."""

    labels: dict[tuple[str, str], LabelArray]
    view: float | None = 66.0
    read: list[tuple[str, str]] = field(default_factory=list)

    def images(self) -> list[str]:
        return sorted({image_id for image_id, _ in self.labels})

    def image(self, image_id: str) -> NDArray[np.uint8]:
        return np.zeros((*SIZE, 3), np.uint8)

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        self.read.append((image_id, task.name))
        return self.labels.get((image_id, task.name))

    def weight(self, image_id: str, task: str) -> float:
        return 2.0

    def camera(self, image_id: str, size: tuple[int, int]) -> Camera | None:
        return None if self.view is None else Camera.of_view(self.view, size)


def source_of(labels: Labels) -> DerivedSource:
    labelled = {image_id: {"depth"} for image_id in labels.images()}
    return DerivedSource(labels, TASKS, derivable([RELATION], labelled))


def test_a_missing_label_follows_with_the_trust_in_its_relation() -> None:
    source = source_of(Labels({("a", "depth"): WALL}))
    found = source.label("a", TASKS["normals"])
    assert found is not None
    np.testing.assert_allclose(found.value[6, 8], [0, 0, 1], atol=1e-6)
    assert source.weight("a", "normals") == 0.7
    assert source.label("a", TASKS["depth"]) is WALL and source.weight("a", "depth") == 2.0


def test_a_true_label_overrules() -> None:
    assert derivable([RELATION], {"a": {"depth", "normals"}}) == {}


def test_nothing_follows_through_an_unknown_camera() -> None:
    labelled = {"a": {"depth"}, "b": {"depth"}}
    found = derivable([RELATION], labelled, lambda image_id: image_id == "b")
    assert found == {"b": {"normals": RELATION}}


def test_what_is_nowhere_sure_is_no_label() -> None:
    assert source_of(Labels({("a", "depth"): HIDDEN})).label("a", TASKS["normals"]) is None


def test_only_images_that_were_given_get_derived_labels() -> None:
    labels = Labels({("a", "depth"): WALL, ("heldout", "depth"): WALL})
    source = DerivedSource(labels, TASKS, derivable([RELATION], {"a": {"depth"}}))
    assert source.label("heldout", TASKS["normals"]) is None
    assert labels.read == [("heldout", "normals")]


def test_an_unknown_camera_is_an_error() -> None:
    with pytest.raises(LabelError, match="camera"):
        source_of(Labels({("a", "depth"): WALL}, view=None)).label("a", TASKS["normals"])


def test_the_first_relation_that_fits_is_taken() -> None:
    less = bind("depth_normals", RelationChoice(trust=0.1), TASKS)
    assert derivable([RELATION, less], {"a": {"depth"}}) == {"a": {"normals": RELATION}}


def supplied(*image_ids: str, trust: float = 0.5) -> SuppliedLabels:
    files = dict.fromkeys(image_ids, SuppliedFile(Path("unread.png"), ""))
    return SuppliedLabels(supplier="s", trust=trust, files=files)


def test_a_supplied_label_fills_what_no_label_is_of_and_nothing_better_fills() -> None:
    labelled = {"a": {"depth"}, "b": {"depth", "normals"}, "c": set[str]()}
    for trust, filler in ((0.7, RELATION), (0.8, None)):
        labels = supplied("a", "b", "c", "heldout", trust=trust)
        fillers: dict[str, dict[str, Filler]] = {"a": {"normals": RELATION}}
        add_supplied(fillers, {"normals": [labels], "depth": [labels]}, labelled)
        assert fillers == {
            "a": {"normals": filler or labels},
            "c": {"normals": labels, "depth": labels},
        }


def test_of_several_suppliers_the_most_trusted_fills() -> None:
    less = supplied("a", "b", trust=0.1)
    more = supplied("a", trust=0.2)
    fillers: dict[str, dict[str, Filler]] = {}
    add_supplied(fillers, {"depth": [less, more]}, {"a": (), "b": ()})
    assert fillers == {"a": {"depth": more}, "b": {"depth": less}}


def test_a_supplied_label_weighs_as_much_as_it_is_trusted(tmp_path: Path) -> None:
    TASKS["depth"].write(tmp_path / "a.npy", WALL)
    file = SuppliedFile(tmp_path / "a.npy", digest(tmp_path / "a.npy"))
    labels = SuppliedLabels(supplier="s", trust=0.3, files={"a": file})
    true = Labels({("b", "depth"): WALL})
    source = DerivedSource(true, TASKS, {"a": {"depth": labels}})
    found = source.label("a", TASKS["depth"])
    assert found is not None and (found.value == WALL.value).all()
    assert source.weight("a", "depth") == 0.3 and source.weight("b", "depth") == 2.0


def test_a_relation_that_is_to_read_true_labels_reads_no_supplied_one() -> None:
    fillers: dict[str, dict[str, Filler]] = {"a": {"depth": supplied("a"), "normals": RELATION}}
    assert DerivedSource(Labels({}), TASKS, fillers).label("a", TASKS["normals"]) is None


ROOM = (48, 64)


def room() -> LabelArray:
    """The depth of a floor, a wall that is seen aslant, and a ball."""
    row, column = np.mgrid[: ROOM[0], : ROOM[1]]
    floor = 60 / np.maximum(row - 20, 0.1)
    wall = 6 / (1.4 - column / ROOM[1])
    depth = np.minimum(floor, wall)
    ball = 0.8 - ((row - 20) ** 2 + (column - 20) ** 2) / 200
    depth = np.where(ball > 0, 3 - np.sqrt(np.maximum(ball, 0)), depth)
    return LabelArray(depth[..., None].astype(np.float32), np.ones(ROOM, np.bool_))


def given(folder: Path, value: Any, up_to: UpTo | None) -> SuppliedLabels:
    TASKS["depth"].write(folder / "a.npy", LabelArray(value, np.ones(ROOM, np.bool_)))
    file = SuppliedFile(folder / "a.npy", digest(folder / "a.npy"))
    return SuppliedLabels(supplier="s", trust=0.4, files={"a": file}, up_to=up_to)


def normals_on(
    labels: SuppliedLabels, true: dict[tuple[str, str], LabelArray]
) -> LabelArray | None:
    filler = SuppliedRelation(relation=RELATION, supplied={"depth": labels})
    source = DerivedSource(Labels(true), TASKS, {"a": {"normals": filler}})
    assert source.weight("a", "normals") == pytest.approx(0.7 * 0.4)
    return source.label("a", TASKS["normals"])


def degrees_apart(one: LabelArray, other: LabelArray) -> float:
    both = one.valid & other.valid
    assert both.sum() > 0.9 * other.valid.sum() > 0
    cosine = (one.value * other.value).sum(-1)[both].clip(-1, 1)
    return float(np.degrees(np.arccos(cosine)).max())


@pytest.mark.parametrize(
    ("numbers", "up_to"),
    [
        (lambda depth: depth, None),
        (lambda depth: depth * 7, UpTo(False, False, 1.0, 0.1)),
        (lambda depth: 5 / depth, UpTo(False, True, 1.0, 0.1)),
    ],
    ids=["metric", "scale", "inverse up to a scale"],
)
def test_normals_of_supplied_depth_up_to_a_scale_are_those_of_true_depth(
    tmp_path: Path, numbers: Callable[[Any], Any], up_to: UpTo | None
) -> None:
    true = RELATION.label({"depth": room()}, Camera.of_view(66.0, ROOM))
    found = normals_on(given(tmp_path, numbers(room().value), up_to), {})
    assert found is not None and degrees_apart(found, true) < 1


@pytest.mark.parametrize("inverse", [False, True])
def test_depth_up_to_a_shift_gives_normals_only_after_a_fit_to_true_depth(
    tmp_path: Path, inverse: bool
) -> None:
    depth = room().value
    map_ = (1 / depth if inverse else depth) * 3 + 2
    labels = given(tmp_path, map_, UpTo(True, inverse, 1.0, 0.01))
    assert normals_on(labels, {}) is None
    sparse = np.zeros(ROOM, np.bool_)
    sparse[::4, ::4] = True
    found = normals_on(labels, {("a", "depth"): LabelArray(depth, sparse)})
    true = RELATION.label({"depth": room()}, Camera.of_view(66.0, ROOM))
    assert found is not None and degrees_apart(found, true) < 1
    few = np.zeros(ROOM, np.bool_)
    few[:9, :9] = True
    assert normals_on(labels, {("a", "depth"): LabelArray(depth, few)}) is None


def test_pixels_without_confidence_are_not_read_and_the_others_keep_theirs(tmp_path: Path) -> None:
    labels = given(tmp_path, room().value, None)
    confidence = np.full(ROOM, 51, np.uint8)
    confidence[:, :32] = 0
    cv2.imwrite(str(tmp_path / "sure.png"), confidence)
    sure = (tmp_path / "sure.png", digest(tmp_path / "sure.png"))
    file = replace(labels, files={"a": labels.files["a"]._replace(confidence=sure)})
    found = normals_on(file, {})
    assert found is not None and not found.valid[:, :32].any() and found.valid[:, 40:].any()
    assert found.confidence is not None
    np.testing.assert_allclose(found.confidence[found.valid], 0.2)


def planned(
    supplied: dict[str, list[SuppliedLabels]],
    labelled: dict[str, set[str]],
    *,
    camera: bool = True,
    sparse: bool = False,
) -> tuple[dict[str, dict[str, Filler]], Counter[tuple[str, str, str]]]:
    fillers: dict[str, dict[str, Filler]] = {}
    for image_id, relations in derivable([RELATION], labelled).items():
        fillers[image_id] = dict(relations)
    refused = add_supplied_relations(
        fillers,
        [RELATION],
        supplied,
        labelled,
        has_camera=lambda _: camera,
        is_sparse=lambda *_: sparse,
    )
    add_supplied(fillers, supplied, labelled)
    return fillers, refused


def test_true_labels_go_before_supplied_ones_as_the_source_of_a_relation() -> None:
    labelled = {"true": {"depth"}, "none": set[str](), "both": {"depth", "normals"}}
    depth = supplied("true", "none", "both", "heldout")
    fillers, refused = planned({"depth": [depth]}, labelled)
    on_supplied = SuppliedRelation(relation=RELATION, supplied={"depth": depth})
    assert fillers == {
        "true": {"normals": RELATION},
        "none": {"depth": depth, "normals": on_supplied},
    }
    assert not refused
    assert planned({"depth": [depth]}, labelled, camera=False)[0]["none"] == {"depth": depth}
    fillers, _ = planned({"depth": [depth]}, labelled, sparse=True)
    assert fillers["true"] == {"normals": on_supplied}


def test_of_a_supplied_label_and_one_that_follows_from_another_the_more_trusted_fills() -> None:
    depth = supplied("a", trust=0.5)
    for trust, wins in ((0.34, False), (0.36, True)):
        normals = supplied("a", trust=trust)
        fillers, _ = planned({"depth": [depth], "normals": [normals]}, {"a": set()})
        assert (fillers["a"]["normals"] is normals) == wins


def test_a_map_up_to_a_shift_is_refused_without_true_depth_and_another_supplier_read() -> None:
    shifted = replace(supplied("a", "b", trust=0.9), up_to=UpTo(True, True, 1.0, 0.1))
    other = supplied("b", trust=0.2)
    fillers, refused = planned({"depth": [shifted, other]}, {"a": set(), "b": set()})
    assert "normals" not in fillers["a"] and refused == {("s", "depth", "normals"): 1}
    assert fillers["b"]["normals"] == SuppliedRelation(relation=RELATION, supplied={"depth": other})
    fillers, refused = planned({"depth": [shifted]}, {"a": {"depth"}}, sparse=True)
    assert fillers["a"]["normals"].trust == pytest.approx(0.7 * 0.9) and not refused
