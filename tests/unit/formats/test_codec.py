"""The one form of all label files."""

import numpy as np
import pytest

from labelgrid.basics import plugins
from labelgrid.basics.errors import PluginError, RecipeError
from labelgrid.formats.codec import JUDGED, LabelArray, codec, options_of


@pytest.mark.parametrize("name", plugins.names("formats"))
def test_every_format_offers_what_the_protocol_asks_for(name):
    form = codec(name)
    assert form.EXTENSIONS and callable(form.read) and callable(form.write)


def test_unknown_options_are_refused_with_the_task():
    with pytest.raises(
        RecipeError, match=r"scal: unknown key \(did you mean 'scale'\?\)(.|\n)*|task 'depth'"
    ) as caught:
        options_of("depth", {"scal": 1.0}, "task 'depth'")
    assert "task 'depth'" in str(caught.value)


def test_a_label_is_not_resampled_and_repeated_at_once():
    with pytest.raises(RecipeError, match="has no stride"):
        options_of("depth", {"resample": "nearest", "stride": 2}, "task 'depth'")
    with pytest.raises(RecipeError, match="nearest"):
        options_of("depth", {"resample": "linear"}, "task 'depth'")


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    for name in ("nothing", "depth.more", ""):
        with pytest.raises(PluginError, match=r"(?s)There is no label format .*classes"):
            codec(name)


@pytest.mark.parametrize("name", plugins.names("formats"))
def test_every_format_reads_a_label_s_size_from_the_head_of_its_file(name: str) -> None:
    # Without it, labels of another size are refused for what resizing did to their values.
    assert callable(getattr(codec(name), "stored_size", None))


def test_only_a_large_label_is_judged_by_a_sample_of_its_pixels_and_a_sparse_one_never() -> None:
    small = LabelArray(np.zeros((480, 640, 1)), np.ones((480, 640), np.bool_))
    assert small.sample() is small
    value = np.arange(1000 * 1500).reshape(1000, 1500, 1)
    large = LabelArray(value, np.ones((1000, 1500), np.bool_))
    sample = large.sample()
    assert JUDGED / 2 < sample.valid.size <= JUDGED
    step = sample.value[0, 1, 0] - sample.value[0, 0, 0]
    assert (sample.value[1, 0, 0] - sample.value[0, 0, 0]) == 1500 * step
    lines = np.zeros((1000, 1500), np.bool_)
    lines[1::4] = True
    sparse = LabelArray(value, lines)
    assert sparse.sample() is sparse


@pytest.mark.parametrize("unmeasured", [0, 1, 2, 3])
def test_a_sample_does_not_miss_what_is_valid_in_a_pattern(unmeasured: int) -> None:
    valid = np.ones((2000, 2000), np.bool_)
    valid[unmeasured::4] = False
    assert LabelArray(np.zeros((2000, 2000, 1)), valid).sample().valid.mean() == 0.75
    second = np.zeros((720, 1280), np.bool_)
    second[unmeasured % 2 :: 2] = True
    assert LabelArray(np.zeros((720, 1280, 1)), second).sample().valid.mean() == 0.5


@pytest.mark.parametrize("size", [(1, 400_000), (400_000, 1), (2, 300_000)])
def test_a_sample_of_a_thin_label_has_a_pixel_of_each_side(size: tuple[int, int]) -> None:
    assert min(LabelArray(np.zeros((*size, 1)), np.ones(size, np.bool_)).sample().size) >= 1
