"""The images that an analysis draws are the same for all runs."""

from pathlib import Path

import pytest

from labelgrid.basics.errors import LabelgridError
from research.analyses import shown
from research.analyses.shown import ImageOptions, shown_images


def test_an_image_may_be_named_of_which_an_arm_of_fewer_tasks_has_no_label(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = {"all": ({"a.jpg"}, {"a.jpg", "b.jpg"}), "one": ({"a.jpg"}, {"a.jpg"})}
    monkeypatch.setattr(shown, "_labels_of_images", lambda folder: labels[folder.name])
    folders = [Path(name) for name in labels]
    assert shown_images(folders, ImageOptions(ids=("b.jpg",))) == ["b.jpg"]
    assert shown_images(folders, ImageOptions()) == ["a.jpg"]
    with pytest.raises(LabelgridError, match=r"'c\.jpg' is no image of the test split"):
        shown_images(folders, ImageOptions(ids=("b.jpg", "c.jpg")))
