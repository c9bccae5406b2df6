"""What a training by several processes refuses, and what it says that it changes."""

from dataclasses import replace

import pytest
import torch.distributed as dist

from labelgrid.basics.errors import TrainingError
from labelgrid.executors.together import ProcessRank
from labelgrid.train.division import division_remarks, refuse_undivided
from labelgrid.train.group import ALONE, SeveralProcesses
from labelgrid.train.term import Term
from labelgrid.train.train_options import TrainOptions
from labelgrid.train.trainer import make_fabric
from tests.support import make_dataset
from tests.toys import toy_plan

OPTIONS = TrainOptions(batch=4, device="cpu")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return toy_plan(make_dataset(tmp_path_factory.mktemp("data"), n=4, tasks=("depth",)), OPTIONS)


def group_of(size, rank=0):
    """A process of several that have not met."""
    return SeveralProcesses(
        ProcessRank(rank=rank, size=size, local=rank, address=""), dist.HashStore()
    )


class Comparing(Term):
    undivided = "it compares the images of a batch with each other"


def test_a_part_that_needs_the_whole_batch_is_refused_by_its_name_and_reason(plan):
    comparing = replace(plan, terms={"it": Comparing()})
    refuse_undivided(comparing, ALONE)
    refuse_undivided(plan, group_of(2))
    with pytest.raises(TrainingError) as caught:
        refuse_undivided(comparing, group_of(2))
    assert caught.value.what == (
        "The term 'it' cannot be trained by several processes: "
        "it compares the images of a batch with each other."
    )
    assert caught.value.unchanged == "Nothing was trained."


def test_what_several_processes_change_is_said_and_nothing_else(plan):
    def remarks(size, **changes):
        changed = replace(plan, options=replace(OPTIONS, **changes))
        return " ".join(division_remarks(changed, group_of(size)))

    assert not list(division_remarks(plan, ALONE))
    plain = remarks(2, cache=0.0)
    assert "Batch norm" in plain and "dropout masks" in plain
    assert "Batch norm" in remarks(2, norm="frozen")  # of the heads
    assert "mix" not in plain and "cache" not in plain and "fewer" not in plain
    assert "`mix`" in remarks(2, mix="cut") and "of 512 MiB" in remarks(2)
    assert "A batch has 4 images, fewer than the 5 processes" in remarks(5)


def test_the_images_of_a_batch_are_divided_without_one_twice_or_lost():
    ids = list("abcdefg")
    shares = [group_of(3, rank).share(ids) for rank in range(3)]
    assert shares == [["a", "d", "g"], ["b", "e"], ["c", "f"]]
    for rank, share in enumerate(shares):
        assert [ids[row] for row in group_of(3, rank).own_rows(7).tolist()] == share
    # A process without an image computes the first one, which counts for nothing.
    assert group_of(3, 2).share(["a", "b"]) == ["a"]
    assert group_of(3, 2).own_rows(2).tolist() == [0]


def test_only_the_first_process_draws_what_one_alone_would():
    assert group_of(2, 0).seed(7) == ALONE.seed(7) == 7
    assert group_of(2, 1).seed(7) != 7


def test_several_processes_on_a_device_that_they_cannot_share_are_refused():
    with pytest.raises(TrainingError, match='cannot train on "mps"'):
        make_fabric("mps", "32-true", group_of(2))
