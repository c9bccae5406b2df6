"""Laws of matching labels with images whose names differ by a common prefix and suffix."""

import pytest

from labelgrid.annotate.common_affixes import match_names


@pytest.mark.parametrize(
    ("labels", "images", "how"),
    [
        (
            ["ulm/ulm_000000_gtFine_labelTrainIds", "ulm/ulm_000019_gtFine_labelTrainIds"],
            ["ulm/ulm_000000_leftImg8bit.png", "ulm/ulm_000019_leftImg8bit.png"],
            "names matched without '_leftImg8bit' and '_gtFine_labelTrainIds'",
        ),
        (
            ["mask_0001", "mask_0002"],
            ["image_0001.jpg", "image_0002.jpg"],
            "names matched without 'image_' and 'mask_'",
        ),
        (
            ["1_depth16", "2_depth16"],
            ["1_rgb8.png", "2_rgb8.png"],
            "names matched without '_rgb8' and '_depth16'",
        ),
        (["0004", "0005"], ["kitchen/0004.jpg", "bath/0005.jpg"], "names matched without folders"),
        (
            ["depth_0004", "depth_0005"],
            ["kitchen/0004.jpg", "bath/0005.jpg"],
            "names matched without folders, without 'depth_'",
        ),
        (
            ["rgb-7 depth.v2", "rgb-8 depth.v2"],
            ["rgb-7.png", "rgb-8.png"],
            "names matched without ' depth.v2'",
        ),
        (
            ["point_1_domain_depth", "point_2_domain_depth"],
            ["point_1_domain_rgb.png", "point_2_domain_rgb.png", "point_3_domain_rgb.png"],
            "names matched without '_rgb' and '_depth'",
        ),
        (
            ["küche_mask", "bad_mask"],
            ["küche.jpg", "bad.jpg", "flur.jpg"],
            "names matched without '_mask'",
        ),
    ],
)
def test_one_prefix_and_suffix_of_all_names_are_found_and_said(
    labels: list[str], images: list[str], how: str
) -> None:
    found = match_names(labels, images)
    assert found
    assert found.images == dict(zip(labels, images, strict=False))
    assert found.how == how


@pytest.mark.parametrize(
    ("labels", "images"),
    [
        (["10001", "10002"], ["0001.jpg", "0002.jpg"]),  # part of a number
        (["cam2_0001", "cam2_0002"], ["cam1_0001.jpg", "cam1_0002.jpg"]),
        (["cam2 mask 0001", "cam2 mask 0002"], ["cam1 rgb 0001.jpg", "cam1 rgb 0002.jpg"]),
        (["0001_2", "0002_2"], ["0001.jpg", "0002.jpg"]),  # a number of its own
        (["day2/0001", "day2/0002"], ["day1/0001.jpg", "day1/0002.jpg"]),
        (["a_0001", "b_0002"], ["0001.jpg", "0002.jpg"]),  # two prefixes
        (["0001_mask", "0002_mask"], ["0001.jpg", "0001.png", "0002.jpg", "0002.png"]),
        (["0004", "0005"], ["a/0004.jpg", "b/0004.jpg", "a/0005.jpg", "b/0005.jpg"]),
        (["mask", "mask2"], ["photo.jpg", "photo2.jpg", "x.jpg"]),
        (["left_"], ["_right.jpg"]),  # nothing but a separator in common
        (["x", "y"], []),
    ],
)
def test_nothing_is_matched_where_names_may_mean_other_photographs(
    labels: list[str], images: list[str]
) -> None:
    assert match_names(labels, images) is None


def test_names_that_can_be_matched_in_two_ways_are_matched_in_none() -> None:
    found = match_names(["m_1_2", "m_1_2_"], ["1.jpg", "2.jpg"])
    assert found is None
    found = match_names(["mask_12_0001"], ["0001.jpg", "12.jpg"])
    assert found is None  # a number is left over either way
    found = match_names(["red_blue"], ["red.jpg", "blue.jpg"])
    assert found
    assert not found.images
    assert "'red_blue' could be of 'red.jpg' or 'blue.jpg'" in found.how


def test_most_names_say_how_the_rest_should_be_named() -> None:
    labels = [*(f"mask_{i:04d}" for i in range(9)), "mask_0100"]
    found = match_names(labels, [f"image_{i:04d}.jpg" for i in range(20)])
    assert found
    assert list(found.images) == labels[:9]
    assert match_names(labels[8:], [f"image_{i:04d}.jpg" for i in range(20)]) is None
