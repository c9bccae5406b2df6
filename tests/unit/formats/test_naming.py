"""Laws of the names of label files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelgrid.basics.errors import ImageError
from labelgrid.formats.naming import label_name, stem, whole_names

NAMES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "d/a", "a.jpg"]),
        st.sampled_from([".jpg", ".png", ".JPG", ".png.png"]),
    ).map("".join),
    unique=True,
    max_size=12,
)


@given(NAMES)
def test_no_two_images_share_the_name_of_a_label(images: list[str]) -> None:
    whole = whole_names(images, images)
    named = [label_name(image, ".png", image in whole) for image in images]
    assert len(set(named)) == len(named)


@given(NAMES)
def test_an_extension_is_replaced_wherever_the_stem_means_one_image_alone(
    images: list[str],
) -> None:
    for image in images:
        alone = (
            sum(stem(other) == stem(image) for other in images) == 1 and stem(image) not in images
        )
        assert (image not in whole_names(images, images)) == alone


@given(NAMES.filter(bool), st.data())
def test_names_do_not_depend_on_which_images_are_asked_for(
    images: list[str], data: st.DataObject
) -> None:
    wanted = data.draw(st.lists(st.sampled_from(images), unique=True))
    assert whole_names(wanted, images) == whole_names(images, images) & set(wanted)


@pytest.mark.parametrize(
    ("name", "without"), [("a/b.c/d.jpg", "a/b.c/d"), ("a.b/c", "a.b/c"), ("x.jpg.png", "x.jpg")]
)
def test_a_stem_is_the_path_without_its_last_extension(name: str, without: str) -> None:
    assert stem(name) == without


def test_an_image_of_the_pool_that_was_not_asked_for_counts_too() -> None:
    assert whole_names(["a.jpg"], ["a.jpg", "a.png"]) == {"a.jpg"}
    assert whole_names(["a.jpg"], iter(["a.jpg", "b.png"])) == frozenset()


def test_a_name_that_is_too_long_for_the_disk_is_cut_and_stays_unique() -> None:
    names = {
        label_name(f"a/{'ü' * 120}{end}.jpg", ".12345678.png", whole=False)
        for end in ("one", "two", "ü")
    }
    assert len(names) == 3 and all(len(Path(name).name.encode()) <= 255 for name in names)
    assert all(name.startswith("a/üü") and name.endswith(".png") for name in names)
    assert label_name("x" * 251 + ".jpg", ".png", whole=False) == "x" * 251 + ".png"
    assert len(label_name("x" * 251 + ".jpg", ".png", whole=True)) == 255


@pytest.mark.parametrize("image_id", ["../a.png", "a/../../b.png", "/etc/a.png", "a\0.png"])
def test_a_name_that_leads_out_of_its_folder_is_refused(image_id):
    for whole in (True, False):
        with pytest.raises(ImageError, match="leads out of its folder"):
            label_name(image_id, ".png", whole)
