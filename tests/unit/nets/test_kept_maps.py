"""Kept maps: what was written is read, what is unused makes room, and damage or other writers do no harm."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from labelgrid.basics import kept_files
from labelgrid.nets.kept_maps import EVERY, KeptMaps, RememberedMaps

COVERS = ["labelgrid.basics.kept_files", "labelgrid.nets.hashes"]

MAPS = [torch.rand(1, 4, 3, 2).half(), torch.rand(1, 2, 1, 1).half()]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def assert_read(kept: KeptMaps, key: str) -> None:
    found = kept.read(key)
    assert found is not None
    assert all(torch.equal(a, b) for a, b in zip(found, MAPS, strict=True))


@pytest.mark.parametrize("at", [0, 2, 5, 20, -1])
def test_a_damaged_file_counts_as_missing_and_is_written_again(tmp_path: Path, at: int) -> None:
    kept = KeptMaps(tmp_path, 2**20)
    kept.write("ab12", MAPS)
    (path,) = files(tmp_path)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert kept.read("ab12") is None
    kept.write("ab12", MAPS)
    assert_read(kept, "ab12")
    for size in (0, 3, 4, 50):
        path.write_bytes(path.read_bytes()[:size])
        assert kept.read("ab12") is None


def test_no_more_is_kept_than_the_limit_also_of_an_earlier_process(tmp_path: Path) -> None:
    KeptMaps(tmp_path, 2**20).write("ab12", MAPS)
    (path,) = files(tmp_path)
    kept = KeptMaps(tmp_path, 2 * path.stat().st_size)  # a file is larger than its maps
    kept.write("cd34", MAPS)
    kept.write("ef56", MAPS)
    assert_read(kept, "cd34")
    assert kept.read("ef56") is None and len(files(tmp_path)) == 2
    assert KeptMaps(tmp_path, 0).read("ab12") is not None
    KeptMaps(tmp_path / "none", 0).write("ab12", MAPS)
    assert not (tmp_path / "none").exists()


def test_a_disk_that_refuses_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(path: Path, within: Path) -> None:
        asked.append(path)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_files, "atomic_write", refuse)
    kept = KeptMaps(tmp_path, 2**20)
    kept.write("ab12", MAPS)
    kept.write("cd34", MAPS)
    assert len(asked) == 1 and kept.read("ab12") is None


HOUR = 3600


def filled(folder: Path, **hours: float) -> int:
    """Files that were last used so many hours ago; returns the size of one."""
    for key, ago in hours.items():
        KeptMaps(folder, 2**20).write(key, MAPS)
        path = KeptMaps(folder, 0)._path(key)
        os.utime(path, (time.time() - ago * HOUR,) * 2)
    return path.stat().st_size


def keys(folder: Path) -> set[str]:
    return {path.name for path in files(folder)}


def test_what_was_unused_for_a_day_makes_room_the_longest_unused_first(tmp_path: Path) -> None:
    size = filled(tmp_path, aa=30, bb=50, cc=40, dd=1)
    kept = KeptMaps(tmp_path, 4 * size)
    assert_read(kept, "aa")  # and is used anew
    kept.write("ee", MAPS)
    assert keys(tmp_path) == {"aa", "cc", "dd", "ee"}
    kept = KeptMaps(tmp_path, 2 * size)
    for key in ("ff", "gg"):
        kept.write(key, MAPS)
    assert keys(tmp_path) == {"aa", "dd", "ee"}  # all used today


def test_maps_of_a_training_take_the_place_of_all_that_it_does_not_use(tmp_path: Path) -> None:
    size = filled(tmp_path, aa=2, bb=3, cc=4)
    kept = KeptMaps(tmp_path, 3 * size)
    assert_read(kept, "cc")
    for key in ("dd", "ee", "ff"):
        kept.write(key, MAPS, often=True)
    assert keys(tmp_path) == {"cc", "dd", "ee"}


def test_files_are_looked_through_once_where_none_can_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = filled(tmp_path, aa=0, bb=0)
    kept = KeptMaps(tmp_path, 2 * size)
    looked = []
    plain = kept_files._files

    def noting(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
        looked.append(folder)
        return plain(folder)

    monkeypatch.setattr(kept_files, "_files", noting)
    for often in (False, True, False, True):
        kept.write("cc", MAPS, often=often)
    assert len(looked) == 3 and keys(tmp_path) == {"aa", "bb"}


def test_what_another_process_removes_meanwhile_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = filled(tmp_path, aa=50, bb=40)
    plain = Path.unlink

    def twice(path: Path, missing_ok: bool = False) -> None:
        plain(path)
        plain(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", twice)
    kept = KeptMaps(tmp_path, 2 * size)
    kept.write("cc", MAPS)
    assert keys(tmp_path) == {"bb", "cc"} and kept.read("aa") is None


def test_room_that_was_sought_in_vain_is_sought_again_after_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    KeptMaps(tmp_path, 2**20).write("ab12", MAPS)
    (path,) = files(tmp_path)
    kept = KeptMaps(tmp_path, path.stat().st_size + 1)
    kept.write("cd34", MAPS)
    assert kept.read("cd34") is None
    path.unlink()
    kept.write("cd34", MAPS)
    assert kept.read("cd34") is None
    now = kept_files.time.time() + kept_files.ANEW
    monkeypatch.setattr(kept_files.time, "time", lambda: now)
    kept.write("cd34", MAPS)
    assert_read(kept, "cd34")


def test_maps_of_the_same_image_and_encoder_alone_are_remembered_up_to_the_limit() -> None:
    image = torch.rand(1, 3, 8, 8)
    other = image.clone()
    other.view(-1)[EVERY + 1] += 1  # none of the numbers by which images are looked up
    remembered = RememberedMaps(limit=3 * image.nbytes)
    remembered.remember(image, [image + 1], "one")
    (found,) = remembered.recall(image, "one") or []
    assert torch.equal(found, image + 1)
    assert remembered.recall(image, "two") is None
    assert remembered.recall(other, "one") is None
    further = image + 2
    remembered.remember(further, [image], "one")
    assert remembered.recall(further, "one") is None and remembered.recall(image, "one")
    remembered.remember(further, [image], "two")
    assert remembered.recall(further, "two") and remembered.recall(image, "one") is None
    further += 1  # the caller's
    assert remembered.recall(further, "two") is None
