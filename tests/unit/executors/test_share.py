"""Laws of shares: together they are all jobs, and no two have one in common."""

import pytest

from labelgrid.executors.share import Share, shard_size


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_each_job_is_of_exactly_one_share(count: int) -> None:
    shares = [Share(index, count) for index in range(count)]
    for place in range(20):
        assert sum(share.takes(place) for share in shares) == 1


def test_shares_differ_by_one_job_at_most() -> None:
    sizes = [sum(Share(index, 3).takes(place) for place in range(20)) for index in range(3)]
    assert sizes == [7, 7, 6]


def test_without_others_the_share_is_all() -> None:
    assert Share().is_all and not Share(0, 2).is_all
    assert str(Share(0, 2)) == "share 1 of 2"


def test_the_size_of_a_shard_is_a_multiple_of_a_batch() -> None:
    for images in (0, 5, 300, 10_000, 10**6):
        for workers in (0, 1, 7):
            assert shard_size(images, workers) % 8 == 0
    assert [shard_size(9, 0, asked) for asked in (1, 8, 9)] == [8, 8, 16]
