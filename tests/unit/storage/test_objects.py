"""Laws of fetching: once for each content, checked, again after a fault, and in one sentence at last."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from labelgrid.basics.errors import ProjectError, StorageError
from labelgrid.basics.files import digest_of
from labelgrid.basics.progress import Silent
from labelgrid.storage import objects
from labelgrid.storage.addresses import Address
from labelgrid.storage.known_contents import Content, known_contents
from labelgrid.storage.object_cache import Cache
from labelgrid.storage.objects import (
    ChangedObjectError,
    download,
    fetch,
    fetch_all,
    fetch_version,
)
from labelgrid.storage.stamps import stamp_of, stamps_of
from tests.projects import Said
from tests.web_store import CUT

DATA = b"0123456789" * 1000


@pytest.fixture
def photo(web):
    web.objects["/p/a.png"] = DATA
    return Address(f"{web.url}/p/a.png")


def test_a_content_is_fetched_once(web, photo):
    first = fetch(photo, digest_of(DATA))
    assert first.read_bytes() == DATA and first.suffix == ".png"
    assert fetch(photo, digest_of(DATA)) == first
    assert web.asked == ["GET /p/a.png"]


def test_without_a_hash_the_version_decides(web, photo):
    assert fetch(photo).read_bytes() == DATA
    assert fetch(photo).read_bytes() == DATA
    assert web.asked.count("GET /p/a.png") == 1
    web.objects["/p/a.png"] = b"new"
    assert fetch(photo).read_bytes() == b"new"


def test_another_content_than_the_wanted_one_is_refused(web, photo):
    wanted = digest_of(DATA)
    web.objects["/p/a.png"] = b"new"
    with pytest.raises(ChangedObjectError):
        fetch(photo, wanted)


def test_what_is_in_the_cache_is_served_though_the_object_changed(web, photo):
    wanted = digest_of(DATA)
    fetch(photo, wanted)
    web.objects["/p/a.png"] = b"new"
    assert fetch(photo, wanted).read_bytes() == DATA


def test_a_damaged_copy_is_fetched_again(photo):
    path = fetch(photo, digest_of(DATA))
    path.write_bytes(DATA[:-1])
    assert fetch(photo, digest_of(DATA)).read_bytes() == DATA


@pytest.mark.parametrize("faults", [[503], [CUT], [429, CUT, 500], [CUT, CUT]])
def test_a_server_that_fails_for_a_while_is_asked_again(web, photo, faults, monkeypatch):
    monkeypatch.setenv("LABELGRID_STORAGE_PATIENCE", "20")
    web.faults += faults
    assert fetch(photo, digest_of(DATA)).read_bytes() == DATA


def test_a_server_that_always_cuts_its_answers_is_given_up(web, photo, cache):
    web.faults += [CUT] * 1000
    with pytest.raises(StorageError, match="did not answer for 1 s"):
        fetch(photo, digest_of(DATA))
    assert not list(cache.glob("??/*")) and not list(cache.glob("*.part"))


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_does_not_allow_it_is_not_asked_again(web, photo, status):
    web.faults += [status]
    with pytest.raises(StorageError, match="does not allow") as caught:
        fetch(photo, digest_of(DATA))
    assert len(web.asked) == 1 and "environment" in str(caught.value)


def test_a_missing_object_is_no_fault_of_the_server(web):
    missing = Address(f"{web.url}/p/z.png")
    with pytest.raises(FileNotFoundError):
        fetch(missing, "0" * 32)
    with pytest.raises(FileNotFoundError):
        fetch(missing)


@pytest.mark.parametrize("digest", ["", digest_of(DATA)])
def test_an_object_that_is_too_large_is_refused(photo, digest):
    with pytest.raises(OSError, match="are more than"):
        fetch(photo, digest, limit=100)


def test_a_version_that_is_known_is_found_without_the_store(web, photo):
    stamp = stamp_of(photo)
    path, digest = fetch_version(photo, stamp)
    del web.objects["/p/a.png"]
    assert fetch_version(photo, stamp, Content(digest)) == (path, digest)


def test_many_are_fetched_ahead_if_they_fit(web, monkeypatch):
    addresses = []
    for number in range(30):
        web.objects[f"/p/{number}.png"] = number.to_bytes(4, "big") * 250
        addresses.append(Address(f"{web.url}/p/{number}.png"))
    wanted = {item: digest_of(web.objects[f"/p/{n}.png"]) for n, item in enumerate(addresses)}
    stamps = stamps_of(addresses)
    monkeypatch.setenv("LABELGRID_CACHE_GB", "0.00002")
    monkeypatch.setenv("LABELGRID_STORAGE_PATIENCE", "20")
    said = Said()
    fetch_all(wanted, stamps, said)
    assert "more than the cache of objects keeps" in said.lines[0]
    assert not [text for text in web.asked if text.startswith("GET")]
    monkeypatch.setenv("LABELGRID_CACHE_GB", "1")
    del web.objects["/p/3.png"]
    web.objects["/p/4.png"] = b"new"
    fetch_all(wanted, stamps, Silent())
    cache = Cache.of_environment()
    held = [cache.holds(digest, ".png") for digest in wanted.values()]
    assert held.count(False) == 2 and not held[3] and not held[4]
    before = len(web.asked)
    fetch_all({item: wanted[item] for item in addresses[5:]}, stamps, Silent())
    assert len(web.asked) == before


def test_a_folder_is_copied_with_all_below_it(tmp_path):
    for name in ("depth/a.png", "depth/x/b.png", "note.txt"):
        (tmp_path / "store" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "store" / name).write_text(name)
    out = tmp_path / "out"
    out.mkdir()
    copied = download(Address(f"file://{tmp_path}/store"), out, Silent())
    assert copied == out / "store"
    names = {path.relative_to(copied).as_posix() for path in copied.rglob("*") if path.is_file()}
    assert names == {"depth/a.png", "depth/x/b.png", "note.txt"}
    single = download(Address(f"file://{tmp_path}/store/note.txt"), out, Silent())
    assert single.read_text() == "note.txt"
    with pytest.raises(StorageError, match="no such object"):
        download(Address(f"file://{tmp_path}/missing"), out, Silent())


def test_no_copy_leaves_its_folder(tmp_path, monkeypatch):
    inside = Address("memory://b/labels")
    listed = [(Address("memory://b/labels/../../evil.png"), None)]
    monkeypatch.setattr(objects, "list_below", lambda _: iter(listed))
    with pytest.raises(ProjectError, match="leads out"):
        download(inside, tmp_path, Silent())


def test_a_full_disk_makes_room_once_and_is_said_then(web, tmp_path, monkeypatch):
    if os.getuid() or shutil.which("mount") is None:
        pytest.skip("this system does not allow a test to mount a disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this system does not allow a test to mount a disk")
    try:
        monkeypatch.setenv("LABELGRID_CACHE", str(disk))
        for number in range(8):
            data = os.urandom(100_000)
            web.objects[f"/p/{number}.png"] = data
            with ThreadPoolExecutor(1) as thread:  # its lease ends with it
                found = thread.submit(fetch, Address(f"{web.url}/p/{number}.png"), digest_of(data))
                assert found.result().read_bytes() == data
        web.objects["/p/huge.png"] = os.urandom(1_000_000)
        with pytest.raises(StorageError, match="No space left on device") as caught:
            fetch(Address(f"{web.url}/p/huge.png"))
        assert "LABELGRID_CACHE" in str(caught.value)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_what_a_version_contained_is_remembered(photo):
    fetch(photo)
    stamp = stamp_of(photo)
    assert known_contents({photo: stamp}) == {photo: Content(digest_of(DATA))}
