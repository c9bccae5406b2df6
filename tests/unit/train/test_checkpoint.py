"""Checkpoints: whole or not there, and never more than tensors and plain values."""

import errno
import io
import json
import os
import pickle
import resource
from dataclasses import replace

import pytest
import torch

from labelgrid.basics.errors import ModelError
from labelgrid.nets.hashes import weights_hash
from labelgrid.train.checkpoint import Checkpoint, load, same_training, save, save_as

STATE = Checkpoint(
    epoch=3,
    step=12,
    network={"w": torch.ones(2)},
    optimiser={"state": {}},
    scaler={},
    parts={"term": {"a": torch.zeros(1)}},
    history=[{"epoch": 1}],
    identity="{}",
)


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    save(STATE, tmp_path / "a" / "last.ckpt")
    kept = load(tmp_path / "a" / "last.ckpt")
    assert (
        kept.epoch == 3
        and torch.equal(kept.network["w"], torch.ones(2))
        and kept.history == [{"epoch": 1}]
    )
    assert not list((tmp_path / "a").glob("*.partial"))


@pytest.mark.parametrize("size", [2, 100_000], ids=["in Python's buffer", "in torch's writer"])
def test_a_save_that_fails_leaves_the_old_checkpoint(tmp_path, size):
    save(STATE, tmp_path / "last.ckpt")
    before = (tmp_path / "last.ckpt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(
            ModelError, match=r"The checkpoint cannot be written: File too large(.|\n)*is kept\."
        ):
            save(replace(STATE, network={"w": torch.ones(size)}), tmp_path / "last.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert (tmp_path / "last.ckpt").read_bytes() == before


@pytest.mark.parametrize("links", [True, False])
def test_a_second_name_replaces_an_earlier_file_whole_or_not_at_all(tmp_path, monkeypatch, links):
    save(STATE, tmp_path / "last.ckpt")
    save(replace(STATE, epoch=4), tmp_path / "best.ckpt")
    before = (tmp_path / "last.ckpt").read_bytes()
    if not links:
        monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    with monkeypatch.context() as patch, pytest.raises(ModelError, match="No such device"):
        patch.setattr("os.fsync", refuse)
        save_as(tmp_path / "best.ckpt", tmp_path / "last.ckpt")
    assert (tmp_path / "last.ckpt").read_bytes() == before
    save_as(tmp_path / "best.ckpt", tmp_path / "last.ckpt")
    assert (tmp_path / "last.ckpt").samefile(tmp_path / "best.ckpt") is links
    assert load(tmp_path / "last.ckpt").epoch == 4
    save(replace(STATE, epoch=5), tmp_path / "last.ckpt")
    assert load(tmp_path / "best.ckpt").epoch == 4
    assert load(tmp_path / "last.ckpt").epoch == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_what_a_kill_has_left_beside_a_checkpoint_is_no_part_of_another(tmp_path):
    save(STATE, tmp_path / "best.ckpt")
    (tmp_path / "last.ckpt.partial").hardlink_to(tmp_path / "best.ckpt")
    save(replace(STATE, epoch=4), tmp_path / "last.ckpt")
    assert load(tmp_path / "best.ckpt").epoch == 3


def refuse(*_):
    raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))


class Stopped(io.FileIO):
    """A file in whose third write the user presses Ctrl-C."""

    writes = 0

    def write(self, content):
        self.writes += 1
        if self.writes == 3:
            raise KeyboardInterrupt
        return super().write(content)


def test_a_stop_while_a_checkpoint_is_written_is_a_stop_and_no_fault(tmp_path, monkeypatch):
    save(STATE, tmp_path / "last.ckpt")
    before = (tmp_path / "last.ckpt").read_bytes()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pathlib.Path.open", lambda path, mode: Stopped(path, mode))
        save(replace(STATE, network={"w": torch.ones(100_000)}), tmp_path / "last.ckpt")
    assert (tmp_path / "last.ckpt").read_bytes() == before


def test_the_stamp_of_weights_goes_by_names_shapes_and_every_number(tmp_path):
    weights = {
        "w": torch.arange(6.0).reshape(2, 3),
        "count": torch.tensor(3),
        "flag": torch.tensor([True]),
    }
    stamp = weights_hash(weights)
    save(replace(STATE, network=weights, history=[{"seconds": 1}]), tmp_path / "one.ckpt")
    save(replace(STATE, network=weights, history=[{"seconds": 2}]), tmp_path / "two.ckpt")
    assert {weights_hash(load(path).network) for path in tmp_path.iterdir()} == {stamp}
    others = [
        weights | {"w": weights["w"].flatten()},
        weights | {"w": weights["w"] + torch.tensor([[0, 0, 0], [0, 0, 1e-6]])},
        weights | {"count": torch.tensor(4)},
        {"v" if name == "w" else name: value for name, value in weights.items()},
        {},
    ]
    assert len({weights_hash(other) for other in others} | {stamp}) == len(others) + 1


class Evil:
    def __reduce__(self):
        return (print, ("never run",))


@pytest.mark.parametrize("content", ["objects", "cut", "other", "empty"])
def test_a_checkpoint_that_is_none_is_refused_without_running_it(tmp_path, content, capsys):
    path = tmp_path / "last.ckpt"
    save(STATE, path)
    if content == "objects":
        path.write_bytes(pickle.dumps(Evil()))
    elif content == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif content == "empty":
        path.write_bytes(b"")
    else:
        torch.save({"format": 99}, path)
    with pytest.raises(ModelError, match=r"The checkpoint (cannot be read|is not of format 2)"):
        load(path)
    assert "never run" not in capsys.readouterr().out


def test_a_missing_checkpoint_says_what_to_run(tmp_path):
    with pytest.raises(ModelError, match="Run `labelgrid fit` first"):
        load(tmp_path / "last.ckpt")


def test_a_checkpoint_of_format_two_is_still_read(tmp_path):
    old = {
        name: value
        for name, value in vars(STATE).items()
        if name not in ("evaluated", "balancer", "own")
    }
    parts = {**STATE.parts, "balancer": {"scale": torch.ones(1)}}
    torch.save({**old, "parts": parts, "format": 2}, tmp_path / "last.ckpt")
    kept = load(tmp_path / "last.ckpt")
    assert kept.parts.keys() == {"term"} and torch.equal(kept.balancer["scale"], torch.ones(1))
    assert kept.own == {} and torch.equal(kept.counting["w"], STATE.network["w"])


def test_a_checkpoint_of_format_three_is_still_read(tmp_path):
    torch.save({**vars(STATE), "format": 3}, tmp_path / "last.ckpt")
    kept = load(tmp_path / "last.ckpt")
    assert kept.digest == STATE.digest
    assert kept.epoch == 3


@pytest.mark.parametrize("joined", [{}, torch.zeros(99), torch.zeros(99, dtype=torch.uint8)])
def test_a_checkpoint_whose_joined_tensors_do_not_fit_is_refused(tmp_path, joined):
    path = tmp_path / "last.ckpt"
    save(STATE, path)
    torch.save({**torch.load(path, weights_only=True), "joined": joined}, path)
    with pytest.raises(ModelError, match="The checkpoint does not hold what labelgrid writes"):
        load(path)


def test_the_digest_is_the_weights_hash_and_with_terms_it_is_of_their_states_too():
    plain = replace(STATE, parts={})
    assert plain.digest == weights_hash(plain.network)
    averaged = replace(plain, evaluated={"w": torch.zeros(2)})
    assert averaged.digest == weights_hash({"w": torch.zeros(2)}) != plain.digest
    others = [
        STATE,
        replace(STATE, parts={"term": {"a": torch.ones(1)}}),
        replace(STATE, parts={"other": STATE.parts["term"]}),
        replace(STATE, parts={"term": {"_extra_state": {"calls": 1}}}),
        replace(STATE, parts={"term": {"_extra_state": {"calls": 2}}}),
    ]
    assert len({plain.digest, *(other.digest for other in others)}) == len(others) + 1
    assert (
        replace(STATE, own={"term/d": {"step": 3}}, balancer={"b": torch.ones(1)}).digest
        == STATE.digest
    )


@pytest.mark.parametrize(
    ("now", "same"),
    [
        (
            {
                "seed": 1,
                "options": {"terms": {"mtpsl": {"weight": 1.0, "pairs": ["a"]}}, "networks": {}},
            },
            True,
        ),
        (
            {
                "seed": 1,
                "options": {
                    "terms": {"mtpsl": {"weight": 1.0, "pairs": ["a"], "new": 0}},
                    "networks": {},
                },
            },
            True,
        ),
        (
            {
                "seed": 1,
                "options": {
                    "terms": {"mtpsl": {"weight": 2.0, "pairs": ["a"], "new": 0}},
                    "networks": {},
                },
            },
            False,
        ),
        ({"seed": 1, "options": {"terms": {"mtpsl": {"pairs": ["a"]}}, "networks": {}}}, False),
        (
            {
                "seed": 1,
                "options": {
                    "terms": {"mtpsl": {"weight": 1.0, "pairs": ["a", "b"]}},
                    "networks": {},
                },
            },
            False,
        ),
        ({"seed": 1, "options": {"networks": {}}}, False),
        (
            {
                "seed": 2,
                "options": {"terms": {"mtpsl": {"weight": 1.0, "pairs": ["a"]}}, "networks": {}},
            },
            False,
        ),
    ],
)
def test_options_that_are_new_since_a_checkpoint_do_not_make_it_another_training(now, same):
    kept = {
        "seed": 1,
        "options": {"terms": {"mtpsl": {"weight": 1.0, "pairs": ["a"]}}, "networks": {}},
    }
    assert same_training(json.dumps(kept), json.dumps(now)) is same
