"""Files that are valid and labels that are wrong: the import is stopped, or says what is odd."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import claims
from tests.claims import CLASSES, labels, renumber
from tests.e2e.commands import cells, done, refused

Copied = Callable[..., Path]
FIRST = range(12)
OLD = range(12, 36)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only read."""
    return claims.images(tmp_path_factory.mktemp("claims") / "images", 36)


@pytest.fixture
def project(photographs: Path, tmp_path: Path) -> Path:
    listed = tmp_path / "classes.txt"
    listed.write_text("\n".join(CLASSES))
    tasks = ["--task", f"semseg:{listed}", "--task", "depth", "--task", "edges"]
    done("init", tmp_path / "p", "--images", photographs, *tasks)
    return tmp_path / "p"


def stopped(project: Path, folder: Path) -> str:
    """Import labels that must be stopped as wrong; returns the message."""
    message = refused(project / "labels", "import", project, folder)
    assert message.startswith("The labels look wrong") and not cells(project, "labelled") & {
        (f"{number:03d}.png", folder.name) for number in FIRST
    }
    return message


def accepted(project: Path, folder: Path) -> str:
    """Import labels that must come in; returns what is printed."""
    return done("import", project, folder).out


def test_right_labels_come_in_first_and_later_without_a_remark(
    project: Path, tmp_path: Path
) -> None:
    for name, numbers in (("old", OLD), ("new", FIRST)):
        for task, make in (
            ("semseg", lambda index: index),
            ("depth", claims.depth),
            ("edges", claims.lines),
        ):
            printed = accepted(project, labels(tmp_path / f"{name}-{task}", task, numbers, make))
            assert f"{task}: {len(numbers)} new" in printed and "all pixels" not in printed
            assert " hold " not in printed and " end at " not in printed


def test_class_maps_resized_with_smoothing_are_stopped_in_a_first_import(
    project: Path, tmp_path: Path
) -> None:
    message = stopped(project, labels(tmp_path / "new", "semseg", FIRST, claims.smoothed))
    assert "resized with smoothing" in message and '`resample = "nearest"`' in message


ORDERS = {
    "counted from 1": ([*range(1, 12), 0], "as if the files counted from 1"),
    "one less": ([11, *range(11)], "each looks like the class after it"),
    "reversed": ([*range(11, -1, -1)], "their order looks reversed"),
    "alphabetical": ([sorted(CLASSES).index(name) for name in CLASSES], "looks alphabetical"),
    "any": ([7, 5, 9, 0, 11, 2, 10, 4, 1, 8, 3, 6], "'rug' looks like 'wall'"),
}


@pytest.mark.parametrize(("order", "named"), ORDERS.values(), ids=ORDERS)
def test_classes_in_another_order_than_before_are_stopped_and_the_order_is_named(
    project: Path, tmp_path: Path, order: list[int], named: str
) -> None:
    accepted(project, labels(tmp_path / "old", "semseg", OLD))
    message = stopped(project, labels(tmp_path / "new", "semseg", FIRST, renumber(order)))
    assert "another order than in 24 labels imported before" in message and named in message


def test_unlabelled_pixels_that_are_0_are_stopped_and_the_hint_cures_them(
    project: Path, tmp_path: Path
) -> None:
    new = labels(tmp_path / "new", "semseg", FIRST, claims.unlabelled_rims)
    message = stopped(project, new)
    assert "'wall'" in message and "declare `first = 1`" in message
    done("task", project, "semseg", "--set", "first=1")
    assert "not labelled" in accepted(project, new)


def test_the_hint_to_ignore_a_number_that_counts_from_1_is_followed_by_the_right_one(
    project: Path, tmp_path: Path
) -> None:
    def all_classes(index: claims.Index) -> claims.Index:
        found = claims.unlabelled_rims(index)
        found[:4, :4] = len(CLASSES)
        return found

    new = labels(tmp_path / "new", "semseg", FIRST, all_classes)
    message = refused(project / "labels", "import", project, new)
    assert "`first = 1`" in message and "`ignore = [12]`" in message
    done("task", project, "semseg", "--set", "ignore=[12]")
    assert "declare `first = 1`" in stopped(project, new)


def constant(index: claims.Index) -> np.ndarray:
    return np.full(index.shape, 1000 + int(index.sum()) % 97, np.uint16)


def one_far_pixel(index: claims.Index) -> np.ndarray:
    metres = (claims.depth(index) / 1000).astype(np.float32)
    metres[5, 5] = 1e9
    return metres


def test_depths_that_are_constant_in_all_labels_are_stopped(project: Path, tmp_path: Path) -> None:
    message = stopped(project, labels(tmp_path / "new", "depth", FIRST, constant))
    assert "12 of 12 new labels hold one value everywhere" in message


def test_a_single_absurd_depth_is_stopped_where_it_is(project: Path, tmp_path: Path) -> None:
    new = labels(tmp_path / "new", "depth", range(11), claims.depth)
    np.save(new / "depth" / "011.npy", one_far_pixel(claims.room(11)))
    message = stopped(project, new)
    assert "1 of 12 new labels hold more than 100,000 m, up to 1e+09 m: 011.png" in message


def test_a_pixel_beyond_all_numbers_for_the_background_is_not_measured(
    project: Path, tmp_path: Path
) -> None:
    def huge(index: claims.Index) -> np.ndarray:
        metres = one_far_pixel(index)
        metres[5, 5] = 1e30
        return metres

    assert "over 99 % of pixels measured" in accepted(
        project, labels(tmp_path / "new", "depth", FIRST, huge)
    )


def test_depths_with_another_scale_are_stopped_beside_earlier_ones(
    project: Path, tmp_path: Path
) -> None:
    accepted(project, labels(tmp_path / "old", "depth", OLD, claims.depth))
    for factor in (5, 0.2, 0.37):
        new = labels(
            tmp_path / f"times {factor}",
            "depth",
            FIRST,
            lambda index, factor=factor: (claims.depth(index) * factor).astype(np.uint16),
        )
        assert "imported before" in stopped(project, new)


def test_depths_that_are_cut_off_are_stopped_and_remarked_on_if_they_are_accepted(
    project: Path, tmp_path: Path
) -> None:
    cut = labels(
        tmp_path / "depth", "depth", FIRST, lambda index: np.minimum(claims.depth(index), 2550)
    )
    message = stopped(project, cut)
    assert "depth: the distances look cut off at 2.55: 12 of 12 labels end there" in message
    printed = done("import", project, cut, "--accept").out
    assert "depth: 12 of 12 new labels end at 2.55 m" in printed and "cut off" in printed


def test_wider_lines_than_before_are_stopped(project: Path, tmp_path: Path) -> None:
    accepted(project, labels(tmp_path / "old", "edges", OLD, claims.lines))
    around = np.ones((3, 3), np.uint8)
    new = labels(
        tmp_path / "new", "edges", FIRST, lambda index: cv2.dilate(claims.lines(index), around)
    )
    message = stopped(project, new)
    assert "the width of the lines is 3" in message and "imported before" in message


def test_first_labels_that_show_nothing_are_stopped_and_few_are_remarked_on(
    project: Path, tmp_path: Path
) -> None:
    for task in ("semseg", "edges"):
        all_of_them = labels(tmp_path / task, task, FIRST, np.zeros_like)
        assert f"{task}: 12 labels show nothing" in stopped(project, all_of_them)
    few = FIRST[:7]
    one = labels(tmp_path / "one", "semseg", few, lambda index: np.full_like(index, 3))
    empty = labels(tmp_path / "empty", "edges", few, np.zeros_like)
    printed = accepted(project, one)
    assert "semseg: all labelled pixels of the new labels are of one class, 'picture'." in printed
    assert "edges: all pixels of the new labels are no." in accepted(project, empty)


def test_labels_that_show_nothing_are_stopped_beside_earlier_ones(
    project: Path, tmp_path: Path
) -> None:
    accepted(project, labels(tmp_path / "old", "semseg", OLD))
    one = labels(tmp_path / "one", "semseg", FIRST, lambda index: np.full_like(index, 3))
    assert "semseg: 12 labels show nothing" in stopped(project, one)
