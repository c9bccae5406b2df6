"""Laws of the places of images: a path here, a checked copy of an object elsewhere."""

from pathlib import Path

import pytest

from labelgrid.basics.errors import ImageError, UsageError
from labelgrid.basics.files import digest, digest_of
from labelgrid.images.places import (
    ImagePaths,
    chosen_paths,
    existing_images,
    file_versions,
    held_image_file,
    image_file,
    is_remote,
    read_placed_image,
)
from tests.support import make_dataset


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LABELGRID_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path):
    (tmp_path / "store" / "x").mkdir(parents=True)
    (tmp_path / "store" / "x" / "a.png").write_bytes(b"abc")
    return f"file://{tmp_path}/store"


def test_an_image_of_this_machine_has_its_own_path(tmp_path):
    assert image_file(str(tmp_path), "x/a.png") == tmp_path / "x" / "a.png"
    assert not is_remote(str(tmp_path)) and not existing_images([(str(tmp_path), "x/a.png")])
    assert not (tmp_path / "cache").exists()


def test_an_object_has_the_path_of_its_copy(root):
    path = image_file(root, "x/a.png", digest_of(b"abc"))
    assert path.read_bytes() == b"abc" and path.suffix == ".png"
    assert image_file(root, "x/a.png") == path
    assert is_remote(root)


def test_a_missing_and_a_changed_object_are_errors_of_the_image(root):
    with pytest.raises(ImageError, match=r"no such object .*/store/z\.png"):
        image_file(root, "z.png")
    with pytest.raises(ImageError, match="content of its object has changed"):
        image_file(root, "x/a.png", digest_of(b"old"))


def test_places_that_exist_are_found_here_and_in_a_store(root, tmp_path):
    here = str(tmp_path / "store")
    places = [(root, "x/a.png"), (root, "z.png"), (here, "x/a.png"), (here, "z.png")]
    assert existing_images(places) == {(root, "x/a.png"), (here, "x/a.png")}


def test_an_object_of_too_many_bytes_is_an_error_of_the_image(root, tmp_path, monkeypatch):
    monkeypatch.setenv("LABELGRID_MAX_PIXELS", "1")
    with (tmp_path / "store" / "b.png").open("wb") as file:
        file.truncate(2**26 + 100)
    with pytest.raises(ImageError, match="MB are more than"):
        image_file(root, "b.png")


def test_a_ledger_that_names_a_secret_or_another_scheme_is_refused():
    with pytest.raises(UsageError):
        image_file("ssh://host/photos", "a.png")
    with pytest.raises(UsageError):
        image_file("s3://ann:secret@bucket", "a.png")


def test_a_held_copy_has_the_name_of_its_image(root, tmp_path):
    with held_image_file(str(tmp_path / "store"), "x/a.png") as own:
        assert own == tmp_path / "store" / "x" / "a.png"
    with held_image_file(root, "x/a.png") as held:
        assert held.name == "a.png" and held.read_bytes() == b"abc"
    assert not held.exists()


def test_a_damaged_copy_is_never_read_and_is_fetched_again(tmp_path):
    made = make_dataset(tmp_path / "made", n=1, tasks=())
    (name,) = made.names
    root = f"file://{made.images}"
    wanted = digest(made.images / name)
    pixels = read_placed_image(root, name, wanted)
    copy = image_file(root, name, wanted)
    data = bytearray(copy.read_bytes())
    data[len(data) // 2] ^= 255
    copy.write_bytes(data)
    assert (read_placed_image(root, name, wanted) == pixels).all()
    assert copy.read_bytes() == (made.images / name).read_bytes()
    assert (read_placed_image(str(made.images), name, wanted) == pixels).all()


def test_paths_are_fetched_when_they_are_asked_for(root, tmp_path):
    paths = ImagePaths({"x/a.png": (root, ""), "z.png": (root, "")})
    assert list(paths) == ["x/a.png", "z.png"] and len(paths) == 2
    assert not (tmp_path / "cache").exists()
    assert paths["x/a.png"].read_bytes() == b"abc"
    assert list(chosen_paths(paths, ["z.png"])) == ["z.png"]
    assert chosen_paths({"a": Path("a"), "b": Path("b")}, ["b"]) == {"b": Path("b").absolute()}


def test_versions_change_with_the_files_and_nothing_is_fetched(root, tmp_path):
    local = {"a": tmp_path / "store/x/a.png", "gone": tmp_path / "gone.png"}
    remote = ImagePaths({"x/a.png": (root, ""), "gone.png": (root, ""), "b": (str(tmp_path), "")})
    before = file_versions(local), file_versions(remote)
    assert before[0]["a"][0] == before[1]["x/a.png"][0] == 3
    assert before[0]["gone"] == before[1]["gone.png"] == before[1]["b"] == (-1, "")
    assert (file_versions(local), file_versions(remote)) == before
    (tmp_path / "store/x/a.png").write_bytes(b"abcd")
    assert file_versions(local)["a"][0] == file_versions(remote)["x/a.png"][0] == 4
    assert not list((tmp_path / "cache").glob("??/*"))
