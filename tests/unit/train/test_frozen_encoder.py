"""Frozen encoders beside checkpoints: left out bit for bit, and nothing that was trained goes with them."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from labelgrid.basics.errors import ModelError
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.encoder_files import encoder_file
from labelgrid.nets.encoder_options import BackboneOptions
from labelgrid.nets.hashes import weights_hash
from labelgrid.nets.network import Network
from labelgrid.train.checkpoint import Checkpoint, load, read_identity, save
from labelgrid.train.frozen_encoder import keep_encoder

OPTIONS = BackboneOptions(
    name="test_efficientnet", pretrained=False, fused=8, pyramid=8, train="frozen"
)


class Small(Network):
    """An encoder and a head."""

    def __init__(self, options: BackboneOptions = OPTIONS) -> None:
        super().__init__()
        self.encoder = Encoder(options)
        self.head = nn.Conv2d(8, 2, 1)


def checkpoint_of(network: Network, folder: Path | None, **changes: object) -> Checkpoint:
    state = network.state_dict()
    made = Checkpoint(
        epoch=1,
        step=2,
        network=state,
        optimiser={},
        scaler={},
        parts={"teacher": {f"net.{name}": value.clone() for name, value in state.items()}},
        history=[],
        identity='{"seed": 1}',
        evaluated={name: value.clone() for name, value in state.items()},
        encoder=keep_encoder(network, folder),
    )
    return replace(made, **changes)


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit"])
def test_a_checkpoint_leaves_the_encoder_out_and_comes_back_whole(
    tmp_path: Path, name: str
) -> None:
    network = Small(replace(OPTIONS, name=name)).to(memory_format=torch.channels_last)
    whole = checkpoint_of(network, None)
    save(whole, tmp_path / "whole.ckpt")
    made = checkpoint_of(network, tmp_path / "encoders")
    save(made, tmp_path / "last.ckpt")
    kept = load(tmp_path / "last.ckpt", tmp_path / "encoders")
    for name, value in whole.network.items():
        copies = kept.network[name], kept.evaluated[name], kept.parts["teacher"][f"net.{name}"]
        assert all(torch.equal(copy, value) and copy.dtype == value.dtype for copy in copies)
    assert kept.digest == made.digest == whole.digest == load(tmp_path / "whole.ckpt").digest
    (file,) = (tmp_path / "encoders").iterdir()
    assert file.stem == kept.encoder["hash"] == weights_hash(network.encoder.given.state_dict())
    saved = (tmp_path / "whole.ckpt").stat().st_size - (tmp_path / "last.ckpt").stat().st_size
    assert saved > 2.5 * file.stat().st_size


def test_of_two_networks_with_one_encoder_its_file_is_written_once(tmp_path: Path) -> None:
    one, other = Small(), Small()
    other.encoder.given.load_state_dict(one.encoder.given.state_dict())
    first = keep_encoder(one, tmp_path)
    (path,) = tmp_path.iterdir()
    written = path.stat().st_ino
    os.utime(path, (0, 0))
    assert keep_encoder(other, tmp_path) == first and path.stat().st_ino == written
    assert path.stat().st_mtime > 0  # it is in use
    path.write_bytes(b"")
    keep_encoder(other, tmp_path)
    assert path.stat().st_size and [*tmp_path.iterdir()] == [path]


def test_a_trained_encoder_stays_in_the_checkpoint(tmp_path: Path) -> None:
    assert keep_encoder(Small(replace(OPTIONS, train="full")), tmp_path / "encoders") == {}
    assert keep_encoder(Small(), None) == {}
    assert not (tmp_path / "encoders").exists()


def test_a_copy_that_was_changed_keeps_what_differs(tmp_path: Path) -> None:
    network = Small()
    made = checkpoint_of(network, tmp_path)
    name = next(name for name in made.evaluated if name.endswith("bn1.running_mean"))
    made.evaluated[name] += 1
    nans = next(name for name in made.network if name.endswith("bn1.running_var"))
    made.evaluated[nans][0] = torch.nan
    save(made, tmp_path / "last.ckpt")
    kept = load(tmp_path / "last.ckpt", tmp_path)
    assert torch.equal(kept.evaluated[name], made.evaluated[name])
    assert kept.evaluated[nans].isnan().sum() == 1
    assert kept.digest == made.digest != checkpoint_of(network, tmp_path).digest


def test_of_a_lost_encoder_the_identity_is_read_and_the_rest_is_refused(tmp_path: Path) -> None:
    made = checkpoint_of(Small(), tmp_path)
    path = tmp_path / "last.ckpt"
    save(made, path)
    encoder_file(tmp_path, made.encoder["hash"]).unlink()
    with pytest.raises(ModelError, match="missing: test_efficientnet with random weights, hash"):
        load(path, tmp_path)
    assert read_identity(path) == '{"seed": 1}'


@pytest.mark.parametrize(
    "changes",
    [
        {"hash": "../../secret"},
        {"hash": 3},
        {"prefix": ""},
        {"prefix": None},
        {"prefix": "encoder.backbone.c"},
        {"source": 3, "hash": None},
    ],
)
def test_a_checkpoint_with_a_made_up_encoder_is_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    made = checkpoint_of(Small(), tmp_path)
    path = tmp_path / "last.ckpt"
    save(made, path)
    values = torch.load(path, weights_only=True)
    torch.save({**values, "encoder": {**values["encoder"], **changes}}, path)
    with pytest.raises(ModelError):
        load(path, tmp_path)
    torch.save({**values, "encoder": ["a"]}, path)
    with pytest.raises(ModelError, match="does not hold what labelgrid writes"):
        load(path, tmp_path)
    torch.save({**values, "identity": 3}, path)
    with pytest.raises(ModelError, match="identity is not of type str"):
        read_identity(path)
