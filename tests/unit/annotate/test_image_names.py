"""Images are found by the names that tools give them."""

import unicodedata

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


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("other", ["NFC", "NFD"])
def test_accents_of_one_code_and_of_two_are_the_same(form: str, other: str) -> None:
    image = unicodedata.normalize(form, "küche/é 1.jpg")
    assert ImageNames([image]).find(unicodedata.normalize(other, "küche/é 1.png")) == [image]


def test_of_two_images_whose_accents_alone_differ_the_one_as_written_is_found() -> None:
    images = [unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD")]
    names = ImageNames(images)
    assert [names.find(image) for image in images] == [[image] for image in images]


@pytest.mark.parametrize(
    ("uploaded", "image"),
    [
        ("a_b1_ä.jpg", "x/a b#1 ä.jpg"),  # each as Django's get_valid_filename makes it
        ("100.jpg", "100%.jpg"),
        ("e_1.jpg", unicodedata.normalize("NFD", "é 1.jpg")),
        ("plusa1.jpg", "plus+a(1).jpg"),
        ("a__b.jpg", "a  b.jpg"),
        ("a_b.jpg", "a b.heic"),
    ],
)
def test_an_upload_is_found_by_the_name_that_a_server_gave_it(uploaded: str, image: str) -> None:
    names = ImageNames([image, "other.jpg"])
    assert names.find_uploaded(uploaded) == [image]


def test_an_upload_may_be_of_any_folder_and_its_extension_says_which() -> None:
    names = ImageNames(["0001.webp", "bath/0001.png", "bath/0002.jpg", "hall/0002.jpg"])
    assert names.find_uploaded("0001.png") == ["bath/0001.png"]
    assert names.find_uploaded("0002.jpg") == ["bath/0002.jpg", "hall/0002.jpg"]
    assert names.find_uploaded("0003.jpg") == []
