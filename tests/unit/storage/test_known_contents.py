"""Laws of remembered contents: of a version, by all processes, and a lost memory is no error."""

from labelgrid.storage.addresses import Address
from labelgrid.storage.known_contents import Content, known_contents, remember
from labelgrid.storage.stamps import Stamp

A = Address("s3://b/a.png")
B = Address("s3://b/b.png")
CONTENT = Content("0" * 32, 48, 64)


def test_a_version_is_remembered_and_another_one_is_not_known():
    remember([(A, Stamp(3, "x"), CONTENT)])
    assert known_contents({A: Stamp(3, "x"), B: Stamp(3, "x")}) == {A: CONTENT}
    assert known_contents({A: Stamp(3, "y")}) == {}
    assert known_contents({A: Stamp(4, "x")}) == {}


def test_the_last_content_counts_and_without_a_tag_there_is_none():
    remember([(A, Stamp(3, "x"), CONTENT)])
    remember([(A, Stamp(3, "x"), Content("1" * 32)), (B, Stamp(3, ""), CONTENT)])
    assert known_contents({A: Stamp(3, "x"), B: Stamp(3, "")}) == {A: Content("1" * 32)}


def test_very_many_are_looked_up():
    many = {Address(f"s3://b/{number}.png"): Stamp(number, "x") for number in range(2000)}
    remember((address, stamp, CONTENT) for address, stamp in many.items())
    assert len(known_contents(many)) == 2000


def test_a_damaged_memory_is_made_anew(cache):
    cache.mkdir()
    (cache / "contents.db").write_bytes(b"no database at all" * 1000)
    assert known_contents({A: Stamp(3, "x")}) == {}
    remember([(A, Stamp(3, "x"), CONTENT)])
    assert known_contents({A: Stamp(3, "x")}) == {A: CONTENT}


def test_without_a_writable_folder_nothing_is_remembered(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LABELGRID_CACHE", str(tmp_path / "file" / "cache"))
    remember([(A, Stamp(3, "x"), CONTENT)])
    assert known_contents({A: Stamp(3, "x")}) == {}
