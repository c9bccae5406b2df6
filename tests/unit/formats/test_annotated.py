"""Laws of class maps in which only some classes were annotated: what their file says, and what is learnt from them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from labelgrid.basics.errors import LabelError
from labelgrid.data.frame import target_of
from labelgrid.formats.codec import LabelArray
from labelgrid.formats.codecs import classes
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.task import build_all, definitions

COVERS = ["labelgrid.formats.codecs.classes", "labelgrid.images.png"]

NAMES = classes.Options(("a", "b", "c", "d"))
MERGED = classes.Options(("a", "b", "c", "d"), merge={"d": "c"})
STORED = np.array([[0, 1, 2], [3, 255, 0]], np.uint8)


def write(
    path: Path,
    text: str,
    stored: NDArray[np.uint8] = STORED,
    *,
    utf8: bool = False,
    zip: bool = False,
) -> Path:
    info = PngInfo()
    if utf8:
        info.add_itxt("annotated", text, zip=zip)
    else:
        info.add_text("annotated", text, zip=zip)
    Image.fromarray(stored).save(path, pnginfo=info)
    return path


@pytest.mark.parametrize("utf8", [True, False])
def test_the_file_names_the_annotated_classes_and_pixels_of_others_are_not_labelled(
    tmp_path: Path, utf8: bool
) -> None:
    label = classes.read(write(tmp_path / "a.png", "a\n d \n", utf8=utf8), NAMES)
    assert label.annotated is not None and label.annotated.tolist() == [True, False, False, True]
    assert label.valid.tolist() == [[True, False, False], [True, False, True]]
    Image.fromarray(STORED).save(tmp_path / "b.png")
    assert classes.read(tmp_path / "b.png", NAMES).annotated is None


@pytest.mark.parametrize("annotated", [[True, False, True], [True, True, False]])
def test_annotated_classes_come_back(tmp_path: Path, annotated: list[bool]) -> None:
    label = LabelArray(np.array([[[0], [0]]]), np.array([[True, False]]), np.array(annotated))
    classes.write(tmp_path / "a.png", label, MERGED)
    back = classes.read(tmp_path / "a.png", MERGED)
    assert back.annotated is not None and back.annotated.tolist() == annotated
    assert back.valid.tolist() == [[True, False]]


def test_of_merged_classes_all_must_have_been_annotated(tmp_path: Path) -> None:
    label = classes.read(write(tmp_path / "a.png", "a\nb\nc", np.array([[0, 2]], np.uint8)), MERGED)
    assert label.annotated is not None and label.annotated.tolist() == [True, True, False]
    assert label.valid.tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\nzebra", "names 'zebra', which is no class"),
        ("a", "names 1 class, and nothing can be learnt from fewer than two"),
        ("", "names 0 classes"),
        ("b\nc", "All-invalid label"),
    ],
)
def test_names_that_are_unknown_too_few_or_without_a_pixel_are_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    path = write(tmp_path / "a.png", text, np.array([[0, 3]], np.uint8))
    with pytest.raises(LabelError, match=said) as caught:
        classes.read(path, NAMES)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("utf8", [True, False])
def test_compressed_names_are_refused(tmp_path: Path, utf8: bool) -> None:
    path = write(tmp_path / "a.png", "a\nd", utf8=utf8, zip=True)
    with pytest.raises(LabelError, match="text 'annotated' is compressed"):
        classes.read(path, NAMES)


def test_nothing_is_learnt_or_measured_about_classes_that_were_not_annotated(
    tmp_path: Path,
) -> None:
    task = build_all(
        definitions([TaskRow("semseg", "semseg", 1.0, {"classes": list(NAMES.classes)})])
    )["semseg"]
    label = classes.read(write(tmp_path / "a.png", "a\nd"), NAMES)
    target = target_of(label, slice(None))
    raw = torch.zeros(1, 4, 2, 3)
    raw[:, 1] = 9.0  # class b, which was not annotated, is the likeliest everywhere
    raw[:, 0] = 1.0
    raw.requires_grad_(True)
    loss = task.pixel_loss(raw, target).sum()
    loss.backward()
    assert raw.grad is not None and not raw.grad[:, [1, 2]].any() and raw.grad[:, [0, 3]].any()
    metric = task.metric()
    metric.update(task.activate(raw.detach()), target)
    metric.end_image()
    assert metric.compute()["mIoU"].value == pytest.approx(
        100 * (2 / 3 + 0) / 2
    )  # a: 2 of 3; d: 0 of 1
