"""Laws of predictions as labels: windows change nothing, and hold the memory down whatever the image's size."""

import numpy as np
import pytest
import torch

from labelgrid.data.data_options import DataOptions
from labelgrid.data.frame import Frame, label_of, resize_to_original
from labelgrid.data.transforms import fit_placement
from labelgrid.formats.soft import read_soft
from labelgrid.ledger.grid import TaskRow
from labelgrid.rounds import channel_blocks as blocks
from labelgrid.rounds import outputs as module
from labelgrid.rounds.outputs import predicted_label, windows, write_label, write_soft_prediction
from labelgrid.tasks.task import build_all, definitions

KINDS = ("semseg", "depth", "normals", "edges", "saliency")
DEFINED = definitions(
    [
        TaskRow(
            kind, kind, 1.0, {"classes": [f"c{i}" for i in range(59)]} if kind == "semseg" else {}
        )
        for kind in KINDS
    ]
)
TASKS = build_all(DEFINED)


def frame_of(size, fit="resize"):
    return Frame.of(size, fit_placement(size, DataOptions(size=(96, 128), fit=fit)))


def output(kind, seed=0):
    """Smooth values with noise, as networks give."""
    generator = torch.Generator().manual_seed(seed)
    coarse = 3 * torch.randn(1, TASKS[kind].channels, 3, 4, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (24, 32), mode="bicubic")[0]
    return fine + 0.3 * torch.randn(fine.shape, generator=generator)


def whole_label(kind, raw, frame):
    """The label from all values of all pixels at once."""
    task, everywhere = TASKS[kind], resize_to_original(raw, frame)[None]
    return label_of(task.to_target(everywhere if task.largest else task.activate(everywhere)))


@pytest.mark.parametrize("fit", ["resize", "pad"])
@pytest.mark.parametrize("size", [(5, 7), (96, 128), (300, 517)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_label_made_in_windows_is_that_of_the_whole_image_exactly(kind, size, fit):
    raw, frame = output(kind), frame_of(size, fit)
    found, expected = (
        predicted_label(TASKS[kind], DEFINED[kind], raw, frame),
        whole_label(kind, raw, frame),
    )
    assert found.value.dtype == expected.value.dtype and found.value.shape == expected.value.shape
    assert np.array_equal(found.value, expected.value) and np.array_equal(
        found.valid, expected.valid
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_class_is_the_likeliest(seed):
    raw, frame = output("semseg", seed), frame_of((300, 517))
    likeliest = resize_to_original(raw, frame).double().softmax(0).argmax(0).numpy()
    assert (
        predicted_label(TASKS["semseg"], DEFINED["semseg"], raw, frame).value[..., 0] == likeliest
    ).all()


def test_values_that_are_not_finite_stay_without_a_label():
    raw, frame = output("semseg"), frame_of((300, 517))
    raw[7, 3, 3], raw[:, 20, 30] = torch.nan, torch.inf
    found, expected = (
        predicted_label(TASKS["semseg"], DEFINED["semseg"], raw, frame),
        whole_label("semseg", raw, frame),
    )
    assert not expected.valid.all() and np.array_equal(found.valid, expected.valid)
    assert np.array_equal(found.value, expected.value)


def counted_sizes(monkeypatch):
    """The numbers of values that are interpolated at once from now on."""
    sizes = []

    def count(function):
        def counting(*given, **named):
            found = function(*given, **named)
            sizes.append(found.numel())
            return found

        return counting

    monkeypatch.setattr(module, "resize_to_original", count(module.resize_to_original))
    monkeypatch.setattr(blocks, "resize_to_original", count(blocks.resize_to_original))
    monkeypatch.setattr(blocks, "to_patches", count(blocks.to_patches))
    return sizes


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_interpolated_at_once_does_not_grow_with_the_image(kind, monkeypatch):
    sizes = counted_sizes(monkeypatch)
    predicted_label(TASKS[kind], DEFINED[kind], output(kind), frame_of((1100, 1300)))
    assert max(sizes) <= (
        blocks.VALUES if TASKS[kind].largest else TASKS[kind].channels * module.SIDE**2
    )


def test_a_class_map_with_values_that_are_not_finite_is_made_in_windows(monkeypatch):
    sizes, raw = counted_sizes(monkeypatch), output("semseg")
    raw[7, 3, 3] = torch.nan
    predicted_label(TASKS["semseg"], DEFINED["semseg"], raw, frame_of((1100, 1300)))
    assert len(sizes) == 5 * 6 and min(sizes) < 59 / 4 * 76 * 256


def test_windows_cover_every_pixel_once():
    seen = np.zeros((600, 257), int)
    for rows, columns in windows(600, 257):
        seen[rows, columns] += 1
    assert (seen == 1).all()


def test_a_written_prediction_is_read_back(tmp_path):
    raw, frame = output("semseg"), frame_of((60, 90))
    path = tmp_path / "semseg" / "a.png"
    write_label(TASKS["semseg"], DEFINED["semseg"], raw=raw, frame=frame, path=path)
    write_soft_prediction(TASKS["semseg"], raw, frame, path)
    label = DEFINED["semseg"].read(path).value[..., 0]
    assert np.array_equal(
        label, predicted_label(TASKS["semseg"], DEFINED["semseg"], raw, frame).value[..., 0]
    )
    soft = read_soft(path.with_suffix(".npz"))
    assert soft.shape == (59, 60, 90) and (soft.argmax(0) == label).mean() > 0.99
