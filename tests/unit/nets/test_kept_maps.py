"""Kept maps: what was written is read, and damage, full disks and other writers do no harm."""

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
