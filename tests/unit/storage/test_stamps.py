"""Laws of stamps: each version of an object has another one, the same in a list and alone."""

import os

import fsspec
import pytest

from labelgrid.basics.errors import StorageError
from labelgrid.storage import stamps
from labelgrid.storage.addresses import Address
from labelgrid.storage.stamps import Stamp, list_below, list_folder, stamp_of, stamps_of
from tests.web_store import make_certificate, web_store


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    for name in ("a.png", "x/b.png", "x/y/c.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return Address(f"file://{folder}")


def test_an_object_alone_and_in_lists_has_the_same_stamp(store):
    alone = {name: stamp_of(store.below(name)) for name in ("a.png", "x/b.png", "x/y/c.png")}
    assert {address[len(store) + 1 :]: stamp for address, stamp in list_below(store)} == alone
    assert dict(list_folder(store.below("x"))) == {store.below("x/b.png"): alone["x/b.png"]}
    assert alone["a.png"].size == 5 and alone["a.png"].tag


def test_a_changed_object_has_another_stamp(store, tmp_path):
    before = stamp_of(store.below("a.png"))
    path = tmp_path / "store" / "a.png"
    path.write_bytes(b"other")
    os.utime(path, ns=(10, 10))
    assert stamp_of(store.below("a.png")) != before


def test_what_does_not_exist_and_folders_have_none(store):
    assert stamp_of(store.below("z.png")) is None
    assert stamp_of(store.below("x")) is None
    assert dict(list_folder(store.below("z"))) == {}
    with pytest.raises(FileNotFoundError):
        list(list_below(store.below("z")))


@pytest.mark.parametrize("listed", [1, 1000])
def test_many_are_listed_and_few_are_asked_for_with_the_same_result(store, listed, monkeypatch):
    monkeypatch.setattr(stamps, "LISTED", listed)
    names = ["a.png", "x/b.png", "x/y/c.png", "z.png", "x/z.png"]
    found = stamps_of([store.below(name) for name in names])
    assert found == dict(list_below(store))


def test_memory_has_stamps_too():
    with fsspec.filesystem("memory").open("/stamped/a.png", "wb") as file:
        file.write(b"abc")
    stamp = stamp_of(Address("memory://stamped/a.png"))
    assert stamp and stamp.size == 3 and stamp.tag
    assert dict(list_below(Address("memory://stamped"))) == {"memory://stamped/a.png": stamp}


def test_a_web_server_is_asked_for_each(web):
    web.objects["/p/a.png"] = b"abc"
    address = Address(f"{web.url}/p/a.png")
    stamp = stamp_of(address)
    assert isinstance(stamp, Stamp) and stamp.size == 3 and len(stamp.tag) == 40
    web.objects["/p/a.png"] = b"abd"
    assert stamp_of(address) != stamp
    assert stamps_of([address, Address(f"{web.url}/p/b.png")]) == {address: stamp_of(address)}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_web_server_that_fails_for_a_while_is_asked_again(web, status, monkeypatch):
    monkeypatch.setenv("LABELGRID_STORAGE_PATIENCE", "20")
    web.objects["/p/a.png"] = b"abc"
    web.faults += [status, status]  # an object is asked for in two ways
    assert stamp_of(Address(f"{web.url}/p/a.png"))


@pytest.mark.parametrize("status", [401, 403])
def test_a_web_server_that_refuses_is_not_said_to_lack_the_object(web, status):
    web.faults += [status, status]
    with pytest.raises(StorageError, match="does not allow"):
        stamp_of(Address(f"{web.url}/p/a.png"))


def test_a_web_server_that_is_down_is_not_said_to_lack_the_object(web):
    web.server.server_close()
    with pytest.raises(StorageError, match="did not answer for 1 s"):
        stamp_of(Address(f"{web.url}/p/a.png"))


def test_a_certificate_that_is_not_trusted_is_said_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("LABELGRID_STORAGE_PATIENCE", "1000")
    with web_store(certificate=make_certificate(tmp_path)) as web:
        web.objects["/p/a.png"] = b"abc"
        with pytest.raises(StorageError, match="certificate of the store is not trusted") as caught:
            stamp_of(Address(f"{web.url}/p/a.png"))
    assert "SSL_CERT_FILE" in str(caught.value)
