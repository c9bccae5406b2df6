"""Batches that are read ahead over the ends of epochs are those that each epoch reads alone."""

import multiprocessing
from dataclasses import replace

import pytest
import torch

from labelgrid.train import batch_stream
from labelgrid.train.batch_stream import BatchStream, read_epochs
from labelgrid.train.group import ALONE
from labelgrid.train.train_options import TrainOptions
from tests.support import make_dataset
from tests.toys import toy_plan

EPOCHS = 5


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    data = make_dataset(
        tmp_path_factory.mktemp("data"), n=6, size=(32, 64), tasks=("semseg", "depth")
    )
    return toy_plan(data, TrainOptions(epochs=EPOCHS, batch=2))


def taken(stream, plan, steps=3, first=0):
    """The ids and images of all epochs."""
    found = []
    for number in range(first, EPOCHS):
        for batch, ids in stream.epoch(plan, number, steps):
            assert batch.ids == ids
            found.append((ids, batch.images))
    return found


def equal(one, other):
    assert [ids for ids, _ in one] == [ids for ids, _ in other]
    return all(torch.equal(a, b) for (_, a), (_, b) in zip(one, other, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("steps", [1, 4, 64])
def test_batches_do_not_depend_on_how_far_is_read_ahead(plan, monkeypatch, workers, steps):
    alone = [
        (tuple(batch.ids), batch.images)
        for number in range(EPOCHS)
        for batch in read_epochs(plan, number, soft={})
    ]
    monkeypatch.setattr(batch_stream, "STEPS", steps)
    plan = replace(plan, options=replace(plan.options, workers=workers))
    assert equal(taken(BatchStream(ALONE, {}), plan), alone)
    assert equal(taken(BatchStream(ALONE, {}), plan, first=2), alone[6:])


def test_short_epochs_share_their_workers_which_end_with_the_last_one(plan):
    plan = replace(plan, options=replace(plan.options, workers=1))
    stream = BatchStream(ALONE, {})
    seen = set()
    for number in range(EPOCHS):
        for _ in stream.epoch(plan, number, 3):
            seen |= {child.pid for child in multiprocessing.active_children()}
    assert len(seen) == 1
    assert not {child.pid for child in multiprocessing.active_children()} & seen


def test_long_epochs_are_read_one_by_one(plan, monkeypatch):
    monkeypatch.setattr(batch_stream, "STEPS", 3)
    plan = replace(plan, options=replace(plan.options, workers=1))
    stream = BatchStream(ALONE, {})
    seen = set()
    for number in range(EPOCHS):
        for _ in stream.epoch(plan, number, 3):
            seen |= {child.pid for child in multiprocessing.active_children()}
    assert len(seen) == EPOCHS
