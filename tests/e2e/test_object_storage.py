"""A campaign whose images are in a bucket of a real S3 server, beside the same one on this disk.

Only paths may differ. Then the server fails, objects change, and the cache is too small.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from labelgrid import Project
from labelgrid.api.places import path_or_address
from labelgrid.basics.errors import ImageError, StorageError
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import State
from labelgrid.operations import create
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.image_files import size_of
from labelgrid.project.settings import Settings
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.rounds import query
from labelgrid.select.strategy import Budget
from labelgrid.storage.addresses import Address
from labelgrid.storage.known_contents import known_contents
from labelgrid.storage.object_cache import _LEASES
from labelgrid.storage.stamps import stamps_of
from labelgrid.train.checkpoint import load
from tests.object_store import BUCKET, KEY, SECRET, Store, need_object_store, object_store
from tests.projects import RECIPE, Said, answer
from tests.started import Started
from tests.support import Made, make_dataset
from tests.videos import video

COVERS = ["labelgrid.project.images.object_contents", "labelgrid.project.images.object_faults"]
CHANGES: dict[str, Any] = {
    "network": {"name": "shared_heads", "options": {}},
    "train": {"epochs": 1, "workers": 2},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A server for all tests of this module."""
    need_object_store()
    with object_store(tmp_path_factory.mktemp("object-store")) as running:
        yield running


@pytest.fixture
def store(server: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The running server, an empty cache, and the environment of its user."""
    if server.process is None:
        server.start()
    for name, text in server.environment.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("LABELGRID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LABELGRID_STORAGE_PATIENCE", "2")
    _LEASES.last.clear()
    return server


def images_of(folder: Path, n: int = 8) -> Made:
    return make_dataset(
        folder / "made", n=n, size=[(32, 64), (48, 40)], seed=0, tasks=("semseg", "depth")
    )


def make(folder: Path, made: Made, images: str | Path, **options: Any) -> ProjectFolder:
    folder.mkdir(exist_ok=True)
    (folder / "tiny.toml").write_text(RECIPE)
    settings = Settings(
        recipe=str(folder / "tiny.toml"), seed=0, strategy=PluginChoice("partal"), changes=CHANGES
    )
    places = [path_or_address(images)]
    words = {"holdout": 2, "progress": Silent(), **options}
    return create.create(folder / "flat", places, list(made.rows), settings, **words)


def campaign(project: ProjectFolder, made: Made, images: str | Path) -> dict[str, Any]:
    """All that a campaign of one round decides and learns."""
    with Project(project) as flat:
        flat.query(8, "labels")
        answer(project, made)
        trained = flat.fit()
        flat.query(3, "images")
        flat.predict(images, project.folder.parent / "predicted", soft=True)
        flat.export(project.folder.parent / "request")
        picks = json.loads((project.round_folder(2) / "picks.json").read_text())
        return {
            "images": [replace(row, root="") for row in project.store.images()],
            "cells": list(project.store.cells()),
            "picks": picks,
            "weights": _tensors(project.folder / trained.checkpoint),
            "predicted": _files(project.folder.parent / "predicted"),
            "request": {
                name: data
                for name, data in _files(project.folder.parent / "request").items()
                if name.startswith(("images/", "labels/", "manifest"))
            },
        }


def _tensors(checkpoint: Path) -> list[tuple[str, bytes]]:
    """All weights of a checkpoint."""
    state = vars(load(checkpoint))
    found = []

    def walk(name: str, value: object) -> None:
        if isinstance(value, torch.Tensor):
            found.append((name, value.numpy().tobytes()))
        elif isinstance(value, dict):
            for key, part in value.items():
                walk(f"{name}/{key}", part)

    walk("", state)
    return found


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_campaign_in_a_bucket_equals_the_same_one_on_this_disk(store, tmp_path, monkeypatch):
    made = images_of(tmp_path)
    address = store.put_folder(made.images, "same/photos")
    here = campaign(make(tmp_path / "here", made, made.images), made, made.images)
    # a twentieth of the images: nearly each is fetched anew whenever it is read
    monkeypatch.setenv("LABELGRID_CACHE_GB", "0.000003")
    there = campaign(make(tmp_path / "there", made, f"{address}/"), made, address)
    assert here["weights"] and here["predicted"] and here["request"]
    for what, value in here.items():
        assert there[what] == value, what
    cached = [path for path in (tmp_path / "cache").glob("??/*") if path.is_file()]
    assert sum(path.stat().st_size for path in cached) < 20_000
    for path in (tmp_path / "there" / "flat").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert KEY.encode() not in content and SECRET.encode() not in content, path


def gets(store: Store, part: str) -> list[str]:
    """The objects that were read since the server's first start, by its log."""
    lines = (store.folder / "log.txt").read_text().splitlines()
    return [line.split('"GET ')[1].split()[0] for line in lines if f'"GET /{BUCKET}/{part}' in line]


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labelgrid", *map(str, words)], capture_output=True, text=True
    )


class Stopping(Silent):
    """Does something at an image of the check."""

    def __init__(self, at: int, action: Any) -> None:
        self.left = at
        self.action = action

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.left -= amount
        if self.left == 0:
            self.action()


def test_a_server_that_dies_while_images_are_read_costs_nothing_that_was_read(store, tmp_path):
    made = images_of(tmp_path, n=60)
    address = store.put_folder(made.images, "dying")
    with pytest.raises(StorageError) as caught:
        make(tmp_path / "a", made, address, progress=Stopping(20, store.stop))
    text = str(caught.value)
    assert "did not answer for 2 s" in text and "Nothing was made." in text and SECRET not in text
    assert len(text.splitlines()) == 2
    assert not (tmp_path / "a" / "flat").exists()
    store.start()
    store.put_folder(made.images, "dying")
    assert 20 <= len(gets(store, "dying/")) < 60
    # The server may have been asked for objects whose answers it did not give any more.
    objects = {Address(f"{address}/{name}") for name in made.names}
    known = known_contents(stamps_of(objects)).keys()
    assert len(known) >= 20
    before = len(gets(store, "dying/"))
    project = make(tmp_path / "a", made, address)
    assert project.store.count_images() == 60
    asked = [f"s3:/{path}" for path in gets(store, "dying/")[before:]]
    assert sorted(asked) == sorted(objects - known)


def test_without_thumbnails_images_that_left_the_cache_are_not_read_again(
    store, tmp_path, monkeypatch
):
    monkeypatch.setenv("LABELGRID_CACHE_GB", "0.000003")
    made = images_of(tmp_path, n=20)
    address = store.put_folder(made.images, "known")
    first = make(tmp_path / "a", made, address, holdout=0)
    read = len(gets(store, "known/"))
    second = make(tmp_path / "b", made, address, holdout=0)
    assert read == len(gets(store, "known/")) == 20
    assert list(first.store.images()) == list(second.store.images())


def test_a_changed_object_is_noticed_by_its_tag_and_refused(store, tmp_path):
    made = images_of(tmp_path, n=8)
    address = store.put_folder(made.images, "changed")
    project = make(tmp_path / "a", made, address)
    flat = Project(project)
    flat.query(8, "labels")
    answer(project, made)
    assert not flat.verify().faults
    read = len(gets(store, "changed/"))
    assert not flat.verify().faults
    assert len(gets(store, "changed/")) == read, "the tags were enough"
    labelled = sorted({row.cell.image_id for row in project.store.cells(state=State.LABELLED)})
    first = labelled[0]
    other = (made.images / labelled[1]).read_bytes()
    store.put(f"changed/{first}", other)
    store.delete(f"changed/{labelled[2]}")
    faults = {fault.where: fault.what for fault in flat.verify().faults}
    assert "has changed" in faults[first] and "no such object" in faults[labelled[2]].lower()
    assert len(faults) == 2
    with pytest.raises(ImageError, match="with labels or requests changed"):
        flat.add(address)
    assert project.store.image(first).digest != ""
    # the content that was labelled is still here, and is what is read
    assert flat.image(first).shape[:2] == size_of(flat._project.store.image(first))


def test_a_changed_object_is_not_scored_though_the_cache_holds_what_it_was(store, tmp_path):
    made = images_of(tmp_path, n=8)
    address = store.put_folder(made.images, "scored")
    project = make(tmp_path / "a", made, address, holdout=0)
    flat = Project(project)
    flat.query(6, "labels")
    answer(project, made)
    flat.fit()
    labelled = {row.cell.image_id for row in project.store.cells(state=State.LABELLED)}
    changed, gone, *_ = sorted(set(made.names) - labelled)
    others = set(made.names) - {changed, gone}
    store.put(f"scored/{changed}", (made.images / min(others)).read_bytes())
    store.delete(f"scored/{gone}")
    read = len(gets(store, "scored/"))
    assert set(flat.score("core_set").images) == others
    assert len(gets(store, "scored/")) == read + 1, "the new tag alone led to a read"
    faults = flat.status()["set_aside"]
    assert "has changed" in faults[changed] and "no such object" in faults[gone].lower()


def test_a_query_notices_that_most_objects_are_gone_after_two_choices(store, tmp_path):
    made = images_of(tmp_path, n=20)
    address = store.put_folder(made.images, "vanished")
    project = make(tmp_path / "a", made, address, holdout=0)
    left = {made.names[0]}
    for name in set(made.names) - left:
        store.delete(f"vanished/{name}")
    said = Said()
    asked = query.query(project, Budget(2), said, prelabels=False)
    assert {pick.cell.image_id for pick in asked.picks} <= left
    passes = [line for line in said.lines if "set aside" in line]
    assert len(passes) == 2
    assert set(project.store.get("set_aside")) == set(made.names) - left


def test_near_duplicates_are_found_in_a_bucket_by_workers(store, tmp_path):
    video(tmp_path / "photos", "frame_{:02d}.jpg", 12)
    address = store.put_folder(tmp_path / "photos", "video")
    made = images_of(tmp_path, n=1)
    here = make(tmp_path / "a", made, tmp_path / "photos", holdout=4, check="none")
    there = make(tmp_path / "b", made, address, holdout=4, check="none")
    gone = next(row.image_id for row in here.store.images(("train",)))
    store.delete(f"video/{gone}")
    (tmp_path / "photos" / gone).unlink()
    expected = Project(here).duplicates(workers=2)
    found = Project(there).duplicates(workers=2)
    assert found.pairs == expected.pairs and found.measured == expected.measured == 4
    assert found.unread.keys() == expected.unread.keys() == {gone}
    assert "no such object" in found.unread[gone].lower()


def test_prefixes_lists_and_labels_in_a_bucket_are_taken(store, tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    made = images_of(tmp_path, n=6)
    address = store.put_folder(made.images, "listed/photos")
    urls = [f"{address}/{name}" for name in made.names]
    parquet.write_table(pa.table({"url": urls}), tmp_path / "list.parquet")
    store.put("listed/list.parquet", (tmp_path / "list.parquet").read_bytes())
    (tmp_path / "list.csv").write_text("\n".join(["id,url", *(f"1,{url}" for url in urls)]))
    rows = []
    places = [f"{address}/", f"s3://{BUCKET}/listed/list.parquet", tmp_path / "list.csv"]
    for name, place in zip("abc", places, strict=True):
        rows.append(list(make(tmp_path / name, made, place).store.images()))
    assert rows[0] == rows[1] == rows[2]
    assert {row.root for row in rows[0]} == {address}
    store.put_folder(made.labels, "listed/labels")
    with Project.open(tmp_path / "a" / "flat") as flat:
        imported = flat.import_labels(f"s3://{BUCKET}/listed/labels")
    assert {name: tally.new for name, tally in imported.tasks.items()} == {"semseg": 6, "depth": 6}


def test_who_is_not_known_is_told_where_to_say_it(store, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    done = command("init", tmp_path / "a", "--images", f"s3://{BUCKET}/x/", "--task", "depth")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "credentials in the environment" in " ".join(done.stderr.split())


def test_an_address_with_a_password_is_refused_and_not_shown(tmp_path):
    address = "s3://ann:hunter2@bucket/photos"
    done = command("init", tmp_path / "a", "--images", address, "--task", "depth")
    assert done.returncode == 2
    assert "hunter2" not in done.stdout + done.stderr


def test_a_killed_init_goes_on_where_it_was(store, tmp_path):
    made = images_of(tmp_path, n=60)
    address = store.put_folder(made.images, "killed")
    words = [sys.executable, "-m", "labelgrid", "init", tmp_path / "a", "--images", address]
    words.append("--no-time")
    with Started(*words, "--task", "depth") as process:
        while len(list((tmp_path / "cache").glob("??/*"))) < 30:
            assert not process.has_ended(), process.last_words()
            time.sleep(0.002)
    assert not (tmp_path / "a" / "labelgrid.toml").exists()
    done = command(*words[3:], "--task", "depth", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 60
    assert KEY not in done.stdout + done.stderr and SECRET not in done.stdout + done.stderr
