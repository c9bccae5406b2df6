"""Laws of images in stores of objects: added, checked, set aside, sent and removed as files are."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from labelgrid import Project
from labelgrid.basics.errors import ImageError, UsageError
from labelgrid.basics.progress import Silent
from labelgrid.images.places import held_image_file, image_file
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.unusable_images import find_unusable_images, noted_unusable_images
from labelgrid.storage.object_cache import _LEASES
from tests.projects import RECIPE, Said
from tests.support import Made, make_dataset

COVERS = ["labelgrid.project.images.object_contents"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    _LEASES.last.clear()
    monkeypatch.setenv("LABELGRID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LABELGRID_STORAGE_PATIENCE", "1")
    return tmp_path / "cache"


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_dataset(tmp_path / "made", n=6, size=[(32, 64)], seed=0, tasks=("depth",))


def make(folder: Path, made: Made, **options: Any) -> Project:
    (folder / "tiny.toml").write_text(RECIPE)
    words = {"holdout": 0, "recipe": str(folder / "tiny.toml"), **options}
    return Project.create(folder / "flat", f"file://{made.images}", ["depth"], **words)


def opened(flat: Project) -> ProjectFolder:
    return ProjectFolder.open(flat.folder)


def test_rows_are_those_of_the_files_but_for_the_root(made, tmp_path):
    far = list(opened(make(tmp_path, made)).store.images())
    near = list(opened(Project.create(tmp_path / "near", made.images, ["depth"])).store.images())
    assert {row.root for row in far} == {f"file://{made.images}"}
    assert [(row.image_id, row.digest, row.height, row.width) for row in far] == [
        (row.image_id, row.digest, row.height, row.width) for row in near
    ]


def test_unusable_objects_are_set_aside_and_come_back(made, tmp_path):
    project = opened(make(tmp_path, made))
    first, second, third = made.names[:3]
    content = (made.images / first).read_bytes()
    (made.images / first).write_bytes((made.images / third).read_bytes())
    (made.images / second).rename(tmp_path / "away")
    said = Said()
    assert find_unusable_images(project, made.names, said) == {first, second}
    assert "has changed" in said.lines[0] and "no such object" in said.lines[0]
    noted = noted_unusable_images(project)
    assert set(noted) == {first, second}
    (made.images / first).write_bytes(content)
    (tmp_path / "away").rename(made.images / second)
    assert find_unusable_images(project, made.names, Silent()) == frozenset()
    assert noted_unusable_images(project) == {}


def test_what_the_cache_lacks_is_fetched_ahead(made, tmp_path, cache):
    project = opened(make(tmp_path, made))
    shutil.rmtree(cache)
    find_unusable_images(project, made.names, Silent())
    assert len(list(cache.glob("??/*"))) == 6


def test_an_unchecked_image_is_read_as_it_is(made, tmp_path, cache):
    flat = make(tmp_path, made, check="none")
    assert not cache.exists() or not list(cache.glob("??/*"))
    row = next(iter(opened(flat).store.images()))
    assert row.digest == "" and row.height == 0
    assert flat.image(row.image_id).shape == (32, 64, 3)
    assert find_unusable_images(opened(flat), made.names, Silent()) == frozenset()


def test_a_changed_object_without_labels_can_be_accepted(made, tmp_path):
    flat = make(tmp_path, made)
    (made.images / made.names[0]).write_bytes((made.images / made.names[1]).read_bytes())
    assert [fault.where for fault in flat.verify().faults] == [made.names[0]]
    assert flat.add(f"file://{made.images}").changed == 1
    assert not flat.verify().faults


def test_more_images_of_a_known_root_are_added_by_a_list(made, tmp_path):
    one = made.names[0]
    flat = make(tmp_path, made)
    (made.images / "deep").mkdir()
    (made.images / one).rename(made.images / "deep" / one)
    (tmp_path / "more.txt").write_text(f"file://{made.images}/deep/{one}\n")
    assert flat.add(tmp_path / "more.txt").new == 1
    row = opened(flat).store.image(f"deep/{one}")
    assert row.root == f"file://{made.images}"


def test_images_of_a_folder_may_move_to_a_store(made, tmp_path):
    flat = Project.create(tmp_path / "flat", made.images, ["depth"])
    made.images.rename(tmp_path / "bucket")
    assert flat.add(f"file://{tmp_path}/bucket").moved == 6
    assert {row.root for row in opened(flat).store.images()} == {f"file://{tmp_path}/bucket"}


def test_an_object_that_is_no_image_is_refused_or_left_out(made, tmp_path):
    (made.images / "broken.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match="1 of 7 images cannot be used"):
        make(tmp_path, made)
    flat = make(tmp_path, made, leave_out=True)
    assert [fault.where for fault in flat.left_out] == ["broken.png"]
    assert flat.status()["images"] == 6


def test_a_request_has_copies_that_nothing_removes(made, tmp_path, monkeypatch):
    monkeypatch.setenv("LABELGRID_CACHE_GB", "0.000002")
    flat = make(tmp_path, made)
    flat.query(6, "labels", strategy="random_cells")
    out = tmp_path / "request"
    with pytest.raises(UsageError, match="cannot be linked"):
        flat.export(out, link=True)
    flat.export(out)
    wanted = {item["image"] for item in json.loads((out / "manifest.json").read_text())}
    assert wanted == set(made.names)
    for name in made.names:
        assert (out / "images" / name).read_bytes() == (made.images / name).read_bytes()
    assert not list((tmp_path / "cache").glob("held-*"))


def test_an_image_of_a_store_has_a_file_that_programs_can_open(made, tmp_path):
    flat = make(tmp_path, made)
    row = opened(flat).store.image(made.names[0])
    assert (
        image_file(row.root, row.image_id, row.digest).read_bytes()
        == (made.images / made.names[0]).read_bytes()
    )
    with held_image_file(row.root, row.image_id, row.digest) as held:
        assert held.name == row.image_id and held.is_file()
    with pytest.raises(ImageError, match="one image"):
        flat.add(f"file://{made.images}/{made.names[0]}")
