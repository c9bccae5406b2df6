"""Files of frozen encoders: found by a hash alone, and never read if their content has another one."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from labelgrid.basics.errors import ModelError
from labelgrid.nets.encoder_files import encoder_file, read_encoder, tensor_shapes, tensors_hash
from labelgrid.nets.hashes import weights_hash

TENSORS = {
    "b.weight": torch.arange(6.0).reshape(2, 3),
    "a.ü": torch.tensor(3),
    "none": torch.zeros(0, 4),
    "flag": torch.tensor([True, False]),
    **{
        str(kind): torch.ones(2, 1, dtype=kind)
        for kind in (
            torch.bfloat16,
            torch.complex64,
            torch.float16,
            torch.float64,
            torch.int8,
            torch.int16,
            torch.int32,
            torch.uint8,
        )
    },
}
KEY = weights_hash(TENSORS)


def kept(folder: Path) -> Path:
    path = encoder_file(folder, KEY)
    path.write_bytes(save(TENSORS))
    return path


def test_the_hash_of_a_file_is_that_of_its_tensors(tmp_path: Path) -> None:
    assert tensors_hash(save(TENSORS)) == KEY
    for name in TENSORS:
        others = {**TENSORS, name: TENSORS[name].reshape(1, -1)}
        assert tensors_hash(save(others)) == weights_hash(others) != KEY
    kept(tmp_path)
    assert weights_hash(load(read_encoder(tmp_path, KEY, "it"))) == KEY


@pytest.mark.parametrize(
    "key",
    ["", "../../../etc/pass", KEY.upper() + "G", f"{KEY}0", KEY[1:], f"{KEY[1:]}\n", "/" * 16],
)
def test_what_is_no_hash_becomes_no_path(tmp_path: Path, key: str) -> None:
    with pytest.raises(ModelError, match=r"has 16 hexadecimal digits, and .* is none"):
        read_encoder(tmp_path, key, "it")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def fill(path: Path) -> None:
    path.write_bytes(b"\xff" * 100)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def nest(path: Path) -> None:
    path.write_bytes((10**5).to_bytes(8, "little") + b"[" * 10**5)


def exchange(path: Path) -> None:
    path.write_bytes(save({"a": torch.ones(1)}))


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (Path.unlink, "is missing"),
        (make_folder, r"cannot be read \(Is a directory\)"),
        *((harm, "is damaged") for harm in (cut, flip, fill, empty, nest, exchange)),
    ],
)
def test_a_file_that_is_not_as_it_was_is_told_with_name_hash_source_and_next_step(
    tmp_path: Path, harm: object, fault: str
) -> None:
    path = kept(tmp_path)
    assert callable(harm)
    harm(path)
    with pytest.raises(ModelError, match=rf"{fault}: resnet18 of x\.pth, hash {KEY}") as caught:
        read_encoder(tmp_path, KEY, "resnet18 of x.pth")
    assert caught.value.where == str(path) or caught.value.where == path
    assert "Put it back, or run `labelgrid fit`" in str(caught.value)


def test_shapes_are_read_without_tensors_and_from_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    path.write_bytes(save(TENSORS, {"format": "pt"}))
    assert tensor_shapes(path) == {name: tuple(value.shape) for name, value in TENSORS.items()}
    for content in (b"", b"\xff" * 64, b"\2" + bytes(7) + b"[]", b"\7" + bytes(7) + b'{"a":1}'):
        path.write_bytes(content)
        assert tensor_shapes(path) == {}
    assert tensor_shapes(tmp_path / "none") == tensor_shapes(tmp_path) == {}


@pytest.mark.parametrize("change", [-1, 1], ids=["cut off", "longer"])
def test_a_file_of_another_length_than_its_tensors_has_no_shapes(
    tmp_path: Path, change: int
) -> None:
    path = tmp_path / "some.safetensors"
    content = save(TENSORS)
    path.write_bytes((content + b"x")[: len(content) + change])
    assert tensor_shapes(path) == {}
