"""Laws of the cache: bounded, the least recently used leaves, whole files only, for many processes."""

import errno
import os
import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from labelgrid.basics.errors import StorageError
from labelgrid.basics.files import digest_of
from labelgrid.storage import object_cache as cache_module
from labelgrid.storage.object_cache import LEASED, Cache
from tests.jobs import wait_until
from tests.started import Started


def put(cache: Cache, content: bytes, suffix: str = ".png") -> Path:
    with cache.new_file() as file:
        file.write_bytes(content)
        return cache.take(file, suffix)[0]


def content(number: int, size: int = 1000) -> bytes:
    return number.to_bytes(4, "big") * (size // 4)


def forget_leases() -> None:
    """As if this thread had asked for other files since."""
    cache_module._LEASES.last.clear()


def files(cache: Cache) -> list[Path]:
    return list(cache.folder.glob("??/*"))


@pytest.fixture
def small(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", 10_000)


def test_a_content_is_found_by_its_hash_and_extension(small):
    path = put(small, b"abc")
    assert path.read_bytes() == b"abc"
    assert small.find(digest_of(b"abc"), ".png") == path
    assert small.holds(digest_of(b"abc"), ".png")
    assert small.find(digest_of(b"abc"), ".jpg") is None
    assert small.find(digest_of(b"abd"), ".png") is None


def test_the_bound_holds_and_the_least_recently_used_leave_first(small):
    for number in range(9):
        put(small, content(number))
    first = small.find(digest_of(content(0)), ".png")
    for number in range(9, 14):
        put(small, content(number))
    forget_leases()
    assert first is not None and first.exists(), "it was used after the others"
    assert not small.holds(digest_of(content(1)), ".png")
    assert small.holds(digest_of(content(13)), ".png")
    assert sum(path.stat().st_size for path in files(small)) <= small.limit


def test_files_that_a_thread_asked_for_last_stay(small):
    paths = [put(small, content(number, 9_000)) for number in range(LEASED)]
    assert all(path.exists() for path in paths)
    put(small, content(99, 9_000))
    put(small, content(98, 9_000))
    assert not paths[0].exists()


def test_leases_end_with_their_thread(small):
    threads = [threading.Thread(target=put, args=(small, content(i, 9_000))) for i in range(6)]
    for thread in threads:
        thread.start()
        thread.join()
    forget_leases()
    put(small, content(99, 9_000))
    assert len(files(small)) == 1


@pytest.mark.parametrize("damage", [b"", b"ab", b"abd", b"abcd"])
def test_a_damaged_file_is_never_served_and_is_removed(small, damage):
    path = put(small, b"abc")
    path.write_bytes(damage)
    assert small.find(digest_of(b"abc"), ".png") is None
    assert not path.exists()
    assert put(small, b"abc").read_bytes() == b"abc"


def test_an_unfinished_file_is_removed_and_never_found(small):
    with pytest.raises(RuntimeError), small.new_file() as file:
        file.write_bytes(b"ab")
        raise RuntimeError
    assert list(small.folder.iterdir()) == []


def test_unfinished_files_of_killed_processes_are_removed_after_a_day(small):
    put(small, content(0))
    old = small.folder / "0123456789abcdef.part"
    old.write_bytes(b"x")
    os.utime(old, (1, 1))
    new = small.folder / "fedcba9876543210.part"
    new.write_bytes(b"x")
    for number in range(20):
        put(small, content(number))
    assert not old.exists() and new.exists()


def test_a_wrong_total_is_put_right_by_the_next_removal(small):
    put(small, content(0))
    (small.folder / "bytes.txt").write_text("900000")
    put(small, content(1))
    assert int((small.folder / "bytes.txt").read_text()) == 2000
    (small.folder / "bytes.txt").write_text("no number")
    put(small, content(2))
    assert int((small.folder / "bytes.txt").read_text()) == 3000


def test_a_held_file_stays_under_a_name_of_its_own(small):
    path = put(small, content(0))
    with small.held(path, "kitchen.png") as held:
        for number in range(1, 30):
            put(small, content(number))
        forget_leases()
        assert not path.exists()
        assert held.name == "kitchen.png" and held.read_bytes() == content(0)
    assert not held.exists() and not list(small.folder.glob("held-*"))


def test_a_cache_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="LABELGRID_CACHE") as caught:
        put(Cache(tmp_path / "file" / "cache", 1000), b"abc")
    assert "cannot be written" in str(caught.value)


def test_a_full_disk_is_said(small):
    with pytest.raises(StorageError, match="No space left") as caught, small.disk_errors():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "Free some space" in str(caught.value) and "LABELGRID_CACHE_GB" in str(caught.value)


def test_room_is_made_by_removing_the_half_used_longest_ago(small):
    for number in range(8):
        put(small, content(number))
    forget_leases()
    assert small.make_room()
    assert len(files(small)) == 4 and small.holds(digest_of(content(7)), ".png")
    for path in files(small):
        path.unlink()
    assert not small.make_room()


WORK = """
import random, sys
from pathlib import Path
from labelgrid.basics.files import digest_of
from labelgrid.storage.object_cache import Cache
cache = Cache(Path(sys.argv[1]), 10_000)
draw = random.Random(int(sys.argv[2]))
found = 0
for _ in range(120):
    number = draw.randrange(30)
    content = number.to_bytes(4, "big") * 250
    path = cache.find(digest_of(content), ".png")
    if path is None:
        with cache.new_file() as file:
            file.write_bytes(content)
            path = cache.take(file, ".png")[0]
    else:
        found += 1
    assert path.read_bytes() == content
print(found)
"""


def test_processes_share_a_cache_that_is_much_too_small(small):
    words = [sys.executable, "-c", WORK, str(small.folder)]
    with ExitStack() as stack:
        workers = [stack.enter_context(Started(*words, seed)) for seed in (1, 2, 3)]
        for worker in workers:
            wait_until(worker.has_ended, by=worker)
            assert worker.returncode == 0, worker.last_words()
        hits = [int(worker.communicate()[0]) for worker in workers]
    assert min(hits) > 0
    put(small, content(99))
    assert sum(path.stat().st_size for path in files(small)) <= small.limit + 3 * LEASED * 1000
    assert not list(small.folder.glob("*.part"))


def test_a_file_that_is_taken_again_stays_the_one_that_others_read(small):
    path = put(small, content(1))
    number = path.stat().st_ino
    assert put(small, content(1)) == path and path.stat().st_ino == number


def test_threads_share_a_cache_that_is_much_too_small(small):
    def work(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(60):
            data = content(draw.randrange(30))
            path = small.find(digest_of(data), ".png") or put(small, data)
            assert path.read_bytes() == data

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
