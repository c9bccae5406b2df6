"""Laws of reading the prediction files of a network outside the program."""

import os
import zipfile

import numpy as np
import pytest

from labelgrid.basics.errors import LabelError, ProjectError
from labelgrid.rounds import outside_files
from labelgrid.rounds.outside_files import OutsideFiles, predictions_changed, read_predictions
from tests.outside import write_file


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "room/b.jpg"):
        write_file(tmp_path / "out", name, {"depth.values": np.ones((1, 2, 2))})
    return tmp_path / "out"


def test_the_digest_is_of_names_and_contents_alone(folder):
    files = OutsideFiles.of(folder)
    before = files.digest()
    assert files.names == {"a.npz", "room/b.npz"}
    os.utime(folder / "a.npz", (1, 1))
    (folder / "notes.txt").write_text("of another program")
    assert not predictions_changed(folder, before)
    moved = folder.rename(folder.with_name("moved"))
    assert not predictions_changed(moved, before)
    assert not predictions_changed(folder, before)  # there is nothing
    (moved / "a.npz").rename(moved / "c.npz")
    assert predictions_changed(moved, before)
    (moved / "c.npz").rename(moved / "a.npz")
    write_file(moved, "a.jpg", {"depth.values": np.zeros((1, 2, 2))})
    assert predictions_changed(moved, before)


def test_a_file_that_cannot_be_read_is_named(folder):
    files = OutsideFiles.of(folder)
    (folder / "a.npz").unlink()
    with pytest.raises(ProjectError, match="cannot be read: No such file") as refused:
        files.digest()
    assert refused.value.where.endswith("a.npz")


def test_compressed_files_and_every_byte_order_are_read(tmp_path):
    values = np.arange(4.0).reshape(1, 2, 2)
    for number, dtype in enumerate(("<f2", ">f4", ">f8")):
        path = tmp_path / f"{number}.npz"
        np.savez_compressed(path, **{"depth.values": values.astype(dtype)})
        assert np.array_equal(read_predictions(path)["depth.values"], values)


def test_damage_at_any_byte_is_refused_or_changes_nothing(folder):
    path = folder / "a.npz"
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            arrays = read_predictions(path)
        except LabelError:
            continue
        assert all(np.array_equal(own, np.ones((1, 2, 2))) for own in arrays.values())
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(LabelError):
            read_predictions(path)


def test_a_bomb_is_refused_before_it_is_unpacked(folder, monkeypatch):
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("depth", "normals"):
            with archive.open(f"{name}.values.npy", "w") as file:
                np.save(file, np.zeros(10**6, np.float32))
    monkeypatch.setattr(outside_files, "unpack", None)
    with pytest.raises(LabelError, match="have 8 MB, more than the 1 MB"):
        read_predictions(folder / "a.npz", 10**6)


def test_a_pipe_is_not_waited_for(folder):
    (folder / "a.npz").unlink()
    os.mkfifo(folder / "a.npz")
    with pytest.raises(LabelError, match="a pipe or a device"):
        read_predictions(folder / "a.npz")
