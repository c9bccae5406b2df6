"""The one form of all label files."""

import pytest

from labelgrid.errors import RecipeError
from labelgrid.labels.codec import codec, digest, options_of

FORMATS = ("classes", "binary", "depth", "normals")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_offers_what_the_protocol_asks_for(name):
    form = codec(name)
    assert form.EXTENSIONS and callable(form.read) and callable(form.write)


def test_unknown_options_are_refused_with_the_task():
    with pytest.raises(
        RecipeError, match=r"scal: unknown key \(did you mean 'scale'\?\)(.|\n)*|task 'depth'"
    ) as caught:
        options_of("depth", {"scal": 1.0}, "task 'depth'")
    assert "task 'depth'" in str(caught.value)


def test_a_digest_is_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"1")
    (tmp_path / "c").write_bytes(b"2")
    assert (
        digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c") and len(digest(tmp_path / "a")) == 32
    )


def test_checkpoints_keep_the_strides_old_name() -> None:
    options = options_of("depth", {"stride": 2, "scale": 0.5}, "task 'depth'")
    assert options.kept() == {"coarser": 2, "scale": 0.5, "disparity": False, "maximum": None}
