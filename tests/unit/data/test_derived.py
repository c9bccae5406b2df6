"""Labels that follow from others of the same image."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import digest
from labelgrid.data.derived import DerivedSource, Filler, add_supplied, derivable
from labelgrid.data.supplied_source import SuppliedFile, SuppliedLabels
from labelgrid.formats.codec import LabelArray
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


def test_no_label_is_derived_from_a_supplied_one() -> None:
    fillers: dict[str, dict[str, Filler]] = {"a": {"depth": supplied("a"), "normals": RELATION}}
    assert DerivedSource(Labels({}), TASKS, fillers).label("a", TASKS["normals"]) is None
