"""Remembered views: batches are the same, and each view is placed once, up to a limit."""

from pathlib import Path
from typing import Any

import pytest
import torch

from labelgrid.data import loader
from labelgrid.data.data_options import DataOptions
from labelgrid.data.layouts import folder
from labelgrid.data.loader import train_batches
from labelgrid.data.view_memory import ViewMemory
from labelgrid.tasks.task import definitions
from tests.support import make_dataset

OPTIONS = DataOptions(size=(24, 32), zoom=(0.8, 1.2), kept_views=3)


@pytest.mark.parametrize(
    ("limit", "fewest", "most"), [(2**28, 1, 15), (0, 60, 60), (60_000, 16, 59)]
)
def test_each_view_is_placed_once_as_long_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, fewest: int, most: int
) -> None:
    made = make_dataset(tmp_path, n=5, size=[(30, 40), (40, 30)])
    source = folder.build(made.root)
    tasks = definitions(made.rows)
    placed = []
    plain_view = loader.kept_view

    def noting(*words: Any, **more: Any) -> Any:
        placed.append(more["image_id"])
        return plain_view(*words, **more)

    monkeypatch.setattr(loader, "kept_view", noting)
    words: dict[str, Any] = {"batch": 5, "seed": 1, "epochs": 6}
    plain = list(train_batches(source, tasks, made.names, OPTIONS, epoch=0, **words))
    plain += list(train_batches(source, tasks, made.names, OPTIONS, epoch=6, **words))
    placed.clear()
    memory = ViewMemory(limit)
    ours = list(train_batches(source, tasks, made.names, OPTIONS, epoch=0, memory=memory, **words))
    ours += list(train_batches(source, tasks, made.names, OPTIONS, epoch=6, memory=memory, **words))
    assert fewest <= len(placed) <= most
    for one, other in zip(plain, ours, strict=True):
        assert one.ids == other.ids and torch.equal(one.images, other.images)
        for name, target in one.targets.items():
            assert torch.equal(target.value, other.targets[name].value)
            assert torch.equal(target.valid, other.targets[name].valid)
