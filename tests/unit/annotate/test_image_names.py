"""Images are found by the names that tools give them."""

import pytest

from labelgrid.annotate.image_names import ImageNames

IDS = ["bath/0004.jpg", "kitchen/0004.jpg", "kitchen/0005.jpg", "kitchen/0005.png", "room.1.jpg"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("kitchen/0004.jpg", ["kitchen/0004.jpg"]),
        ("kitchen/0004.png", ["kitchen/0004.jpg"]),
        ("kitchen/0004", ["kitchen/0004.jpg"]),
        ("data/kitchen/0004.jpg", ["kitchen/0004.jpg"]),
        ("data\\kitchen\\0004.jpg", ["kitchen/0004.jpg"]),
        ("0004.jpg", ["bath/0004.jpg", "kitchen/0004.jpg"]),
        ("hall/0004.jpg", []),
        ("kitchen/0005.jpg", ["kitchen/0005.jpg"]),
        ("kitchen/0005", ["kitchen/0005.jpg", "kitchen/0005.png"]),
        ("room.1", ["room.1.jpg"]),
        ("room.1.png", ["room.1.jpg"]),
        ("room", []),
        ("", []),
        ("/", []),
        ("kitchen/0005.png.jpg", ["kitchen/0005.png"]),
        ("images/kitchen/0004.jpg.png", ["kitchen/0004.jpg"]),
        ("room.2.jpg", []),
    ],
)
def test_the_best_match_is_found_and_other_folders_never_match(name: str, found: list[str]) -> None:
    assert ImageNames(IDS).find(name) == found
