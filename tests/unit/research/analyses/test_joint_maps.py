"""Pictures of MTPSL's joint maps of a prediction and a label."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from labelgrid.basics.errors import LabelgridError
from labelgrid.lab.simulation.analyse import analyse
from labelgrid.train.mappings import MAPPINGS, Norm
from research.analyses import joint_maps
from tests.unit.drawings.test_charts import texts
from tests.unit.lab.simulation.finished import SIMULATE, Finished, finished_study

ARMS = """
[simulate.arms.mtpsl]
initial = { plan = "one", images = 0 }
rounds = 0
changes = { terms = { mtpsl = { mapping = "light" } } }
[simulate.arms.sl]
initial = { plan = "one", images = 0 }
rounds = 0
"""


NUMBERS = ("distance", "distance to other images", "own label nearest")


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    return finished_study(tmp_path_factory.mktemp("learnt"), SIMULATE + ARMS)


def test_each_pair_of_the_networks_with_the_term_is_shown(learnt, tmp_path: Path) -> None:
    result = analyse(learnt.folder, "research.analyses.joint_maps:build", tmp_path)
    pairs = {(f.keys["source"], f.keys["target"]) for f in result.findings if f.run.name == "mtpsl"}
    assert len(pairs) == 6 and {f.run.name for f in result.findings} == {"mtpsl"}
    found = {name: [f for f in result.findings if f.result.name == name] for name in NUMBERS}
    assert sum(map(len, found.values())) == len(result.findings) == 18 and {
        f.count for f in result.findings
    } == {3}
    assert all(0 <= f.result.value <= 2 for name in NUMBERS[:2] for f in found[name])
    shares = [3 * f.result.value / 100 for f in found["own label nearest"]]
    assert shares == pytest.approx([round(share) for share in shares])
    written = texts((tmp_path / "joint-maps-mtpsl.svg").read_bytes())
    assert {"depth, predicted", "normals, label", "its map"} <= set(written)


@contextmanager
def empty_depth(study: Finished, name: str) -> Iterator[None]:
    """An image whose depth label has no valid pixel."""
    label = study.made.label(name, "depth")
    kept = label.read_bytes()
    cv2.imwrite(str(label), np.zeros_like(cv2.imread(str(label), cv2.IMREAD_UNCHANGED)))
    try:
        yield
    finally:
        label.write_bytes(kept)


def test_an_image_with_an_empty_label_is_left_out(learnt, tmp_path: Path) -> None:
    with empty_depth(learnt, learnt.made.names[11]):
        result = analyse(learnt.folder, "research.analyses.joint_maps:build", tmp_path)
    assert {f.count for f in result.findings} == {2}


def test_what_all_images_share_is_left_out_of_the_picture() -> None:
    common, own = torch.rand(1, 2, 3, 4), torch.rand(3, 2, 3, 4)
    own -= own.mean(0)
    torch.testing.assert_close(joint_maps.subtract_mean(common + own), own[:1])
    assert joint_maps.subtract_mean(common) is common


def test_own_labels_are_told_from_those_of_other_images() -> None:
    maps = torch.eye(3)[:, :, None, None]  # three images, three channels, one place
    found = [result.value for result in joint_maps._numbers(maps, maps)]
    assert found == [0, 1, 100]
    found = [result.value for result in joint_maps._numbers(maps, maps.roll(1, 0))]
    assert found == [1, 0.5, 0]
    assert [result.name for result in joint_maps._numbers(maps[:1], maps[:1])] == ["distance"]


def test_an_image_that_is_not_of_the_test_split_is_refused(learnt, tmp_path: Path) -> None:
    with pytest.raises(
        LabelgridError, match=r"'none.png' is no image of the test split(.|\n)*Nothing was written"
    ):
        analyse(
            learnt.folder,
            "research.analyses.joint_maps:build",
            tmp_path / "out",
            {"id": "none.png"},
        )
    assert not (tmp_path / "out").exists()


def test_an_image_without_all_labels_is_refused(learnt, tmp_path: Path) -> None:
    name = learnt.made.names[11]
    with (
        empty_depth(learnt, name),
        pytest.raises(LabelgridError, match=rf"'{name}' has no label of every task"),
    ):
        analyse(learnt.folder, "research.analyses.joint_maps:build", tmp_path / "out", {"id": name})


def test_a_test_split_without_all_labels_is_refused(learnt, tmp_path: Path) -> None:
    with ExitStack() as stack:
        for name in learnt.made.names:
            stack.enter_context(empty_depth(learnt, name))
        with pytest.raises(LabelgridError, match="No image has a label of every task"):
            analyse(learnt.folder, "research.analyses.joint_maps:build", tmp_path / "out")


def test_what_is_pictured_leads_to_what_is_compared() -> None:
    for build in MAPPINGS.values():
        mapping = build({"a": 1}, 8, 2, Norm())
        shared, condition = mapping.shared("a", torch.rand(2, 1, 64, 64)), torch.tensor([0, 1])
        x = mapping.before_last(shared, condition)
        torch.testing.assert_close(mapping.from_last(x, condition), mapping(shared, condition))
