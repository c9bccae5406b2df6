"""Laws of addresses: what is one, what it is made of, and that none with a secret is taken or shown."""

from pathlib import Path

import pytest

from labelgrid.basics.errors import UsageError
from labelgrid.storage.addresses import (
    SCHEMES,
    Address,
    check_address,
    common_folder,
    is_address,
    place_of,
    without_query,
)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_is_taken_as_text_and_as_a_path(scheme):
    start = {"file": "file:///"}.get(scheme, f"{scheme}://")
    text = f"{start}store/photos/a.png"
    assert place_of(text) == text
    assert place_of(Path(text)) == text
    assert isinstance(place_of(text), Address)


@pytest.mark.parametrize("text", ["photos", "/photos/a.png", "a:b", "c:/x", "s3:", "photos/s3://b"])
def test_other_texts_are_paths(text):
    assert place_of(text) == Path(text)


@pytest.mark.parametrize(
    "text",
    [
        "ssh://host/a",
        "git://host/a",
        "python://x",
        "zip://a::s3://b/c.zip",
        "s3://a::zip://b",
        "S3://b/a",
    ],
)
def test_other_schemes_and_chains_are_refused(text):
    with pytest.raises(UsageError, match="are not read"):
        check_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "s3://AKIA:hunter2@bucket/photos",
        "https://ann:hunter2@host/a.png",
        "https://hunter2@host/a.png",
        "s3://hunter2@bucket",
        "abfs://container:hunter2@account/photos",
        "https://host/a.png?sig=hunter2",
        "s3://bucket/a.png?X-Amz-Signature=hunter2",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(text):
    with pytest.raises(UsageError) as caught:
        place_of(text)
    assert "hunter2" not in str(caught.value)
    assert "AKIA" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["abfs://container@account.dfs.core.windows.net/a", "s3://b/a@b.png"]
)
def test_an_at_sign_that_names_no_user_is_taken(text):
    assert check_address(text) == text


def test_an_address_is_shown_without_what_may_be_secret():
    assert without_query("https://ann:x@host/a?b=c") == "https://host/a"


def test_the_parts_of_an_address():
    address = Address("s3://bucket/photos/2026/a.b.PNG")
    assert (address.scheme, address.store) == ("s3", "s3://bucket")
    assert address.key == "photos/2026/a.b.PNG"
    assert address.suffix == ".png"
    assert address.folder == "s3://bucket/photos/2026"
    assert address.folder.folder.folder == "s3://bucket"
    assert Address("s3://bucket").folder == "s3://bucket"
    assert Address("s3://bucket/").below("a") == "s3://bucket/a"
    assert Address("file:///tmp/a").folder == "file:///tmp"


@pytest.mark.parametrize("key", ["../a.png", "a/../b.png", "a//b.png", "./a.png", "a/."])
def test_a_key_that_leads_elsewhere_is_not_plain(key):
    assert not Address("s3://bucket").below(key).is_plain


@pytest.mark.parametrize(
    ("keys", "folder"),
    [
        (["b/x/a.png", "b/xy/a.png"], "s3://b"),
        (["b/x/a.png", "b/x/c/a.png"], "s3://b/x"),
        (["b/x/a.png"], "s3://b/x"),
        (["b/a.png", "b/b.png"], "s3://b"),
        (["b/x/y/1.png", "b/x/y/2.png", "b/x/z/1.png"], "s3://b/x"),
    ],
)
def test_the_common_folder_is_the_deepest_above_all(keys, folder):
    assert common_folder([Address(f"s3://{key}") for key in keys]) == folder


def test_an_address_is_recognised_by_its_start():
    assert is_address("s3://b") and not is_address("://b") and not is_address("1x://b")
