"""Laws of .npz files: one array or the declared one, bounded, and nothing in them runs."""

import pickle
import zipfile

import numpy as np
import pytest

from labelgrid.basics.errors import LabelError
from labelgrid.formats.codecs import depth, normals
from labelgrid.images import opening
from tests.unit.formats.label_files import refused

COVERS = ["labelgrid.formats.containers", "labelgrid.formats.npz"]

METRES = np.random.default_rng(0).uniform(0.5, 9, (6, 7)).astype(np.float32)
NONE = depth.Options()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_only_array_of_a_file_is_the_label(tmp_path, save):
    save(tmp_path / "a.npz", METRES)
    assert (depth.read(tmp_path / "a.npz", NONE).value[..., 0] == METRES).all()
    assert depth.recognise(tmp_path / "a.npz") is not None


def test_several_arrays_are_named_with_the_option_that_says_which(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, depth=METRES, mask=METRES > 1)
    refused(depth.read, path, NONE, "2 arrays: depth, mask", 'key = "depth"')
    assert depth.read(path, depth.Options(key="depth")).size == (6, 7)
    refused(depth.read, path, depth.Options(key="z"), "no array 'z'", "depth, mask")


def test_an_empty_archive_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz")
    refused(depth.read, tmp_path / "a.npz", NONE, "0 arrays")


def test_normals_come_from_an_archive_in_either_order_of_axes(tmp_path):
    facing = np.zeros((3, 6, 7))
    facing[2] = 1
    np.savez(tmp_path / "a.npz", facing)
    np.savez(tmp_path / "b.npz", np.moveaxis(facing, 0, -1)[None])
    for name in ("a.npz", "b.npz"):
        label = normals.read(tmp_path / name, normals.Options())
        assert label.size == (6, 7)
        assert (label.value == [0, 0, 1]).all()


def test_objects_are_refused_and_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    np.savez(tmp_path / "a.npz", np.array([Trap()], object))
    with pytest.raises(LabelError):
        depth.read(tmp_path / "a.npz", NONE)
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("arr_0.npy", pickle.dumps(Trap()))
    with pytest.raises(LabelError):
        depth.read(tmp_path / "b.npz", NONE)
    assert not (tmp_path / "ran").exists()


def test_what_unpacks_to_more_than_a_label_has_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(opening.LIMIT, "10")
    np.savez_compressed(tmp_path / "a.npz", np.zeros(10**7))
    refused(depth.read, tmp_path / "a.npz", NONE, "more than a label of its image")
    np.savez_compressed(tmp_path / "b.npz", METRES)
    refused(depth.read, tmp_path / "b.npz", NONE, "6x7 pixels")


def test_an_archive_of_thousands_of_files_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for number in range(1001):
            archive.writestr(f"{number}.npy", b"")
    refused(depth.read, tmp_path / "a.npz", NONE, "more than 1000 arrays")


def test_damage_anywhere_is_refused_or_harmless(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", METRES)
    data = (tmp_path / "a.npz").read_bytes()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 255
        (tmp_path / "b.npz").write_bytes(damaged)
        try:
            label = depth.read(tmp_path / "b.npz", NONE)
        except LabelError:
            continue
        assert (label.value[..., 0] == METRES).all()
    for size in range(0, len(data), 7):
        (tmp_path / "b.npz").write_bytes(data[:size])
        with pytest.raises(LabelError, match=r"b\.npz"):
            depth.read(tmp_path / "b.npz", NONE)
