"""The one form of all label files."""

import pytest

from labelgrid.basics import plugins
from labelgrid.basics.errors import PluginError, RecipeError
from labelgrid.formats.codec import codec, options_of


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
