"""The kept pictures never take more than their share of the memory."""

from labelgrid.web.pictures import KeptPictures, picture_key


def test_the_pictures_that_were_not_asked_for_the_longest_are_dropped():
    pictures = KeptPictures(most=10)
    for name in "abc":
        pictures.keep(name, b"1234")
        assert pictures.get("a") == (b"1234" if name != "d" else None)
    assert pictures.get("b") is None and pictures.get("c") == b"1234"
    pictures.keep("c", b"12345678")
    assert pictures.get("a") is None and pictures.get("c") == b"12345678"
    pictures.keep("huge", b"x" * 11)
    assert pictures.get("huge") is None and pictures.get("c") is None
    pictures.keep("d", b"1234567890")
    assert pictures.get("d") == b"1234567890"


def test_a_key_changes_with_each_part():
    keys = {picture_key("a", "b"), picture_key("ab"), picture_key("a", "c"), picture_key("a", 1)}
    assert len(keys) == 4
