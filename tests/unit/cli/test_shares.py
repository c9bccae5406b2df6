"""Laws of shares: a command that did one says no numbers of the whole, and JSON names the share."""

import json
from pathlib import Path
from typing import Any

import pytest

from labelgrid.basics.progress import Silent
from labelgrid.executors.places import slurm
from labelgrid.rounds import fit
from tests.e2e.commands import done
from tests.rounds import QUICK, labelled

COUNT = 2
SHARED = ("--on", "slurm", "--workers", 1, "--shard", 8)


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a model, whose images are two shards."""
    made = labelled(tmp_path_factory.mktemp("shares"), images=12, n=24, tasks=("semseg", "depth"))
    with made[0] as project:
        fit.fit(project, Silent(), changes=QUICK)
    return made[0].folder


@pytest.fixture(autouse=True)
def first_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(slurm.NUMBER, "0")
    monkeypatch.setenv(slurm.COUNT, str(COUNT))


def as_json(*words: object) -> Any:
    return json.loads(done(*words, "--json").out)


@pytest.mark.parametrize("command", ["score", "audit", "duplicates"])
def test_a_share_says_that_it_is_done_and_nothing_of_what_only_all_find(
    flat: Path, command: str
) -> None:
    ended = done(command, flat, *SHARED)
    assert "Share 1 of 2 is done" in ended.err
    assert ended.out == ""
    assert as_json(command, flat, *SHARED) == {"share": {"index": 0, "count": COUNT}}


def test_a_share_counts_its_own_predictions(flat: Path, tmp_path: Path) -> None:
    images = flat.parent / "made" / "images"
    words = ["predict", flat, images, "--out", tmp_path / "predicted"]
    first = as_json(*words, *SHARED)
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv(slurm.NUMBER, "1")
        second = as_json(*words, *SHARED)
    assert first.pop("share") == {"index": 0, "count": COUNT}
    assert second.pop("share") == {"index": 1, "count": COUNT}
    assert 0 < second["written"] < first["written"]
    whole = as_json(*words, "--workers", 1, "--shard", 8)
    assert whole == {"written": first["written"] + second["written"], "left_out": []}
