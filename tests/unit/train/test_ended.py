"""What is said of a training that has ended."""

from labelgrid.train.ended import diverged, warning


def history(depth, **start):
    return [{"loss": {"depth": 1e9}, **start}, {"loss": {"depth": depth, "edges": 1e9}, "terms": {"crop.mse": 9e9}}]


def test_the_last_epoch_is_compared_with_the_first_batch_where_it_had_the_task():
    assert diverged(history(9.0, start={"depth": 3.0, "crop.mse": 0.0})) == {}  # terms may start at 0
    assert diverged(history(9.1, start={"depth": 3.0})) == {"depth": (3.0, 9.1)}
    assert diverged(history(1e9)) == {}  # a network that was trained before, or a log of an earlier version


def test_the_values_and_the_rate_are_named():
    said = warning(history(90.0, start={"depth": 3.0}), 0.5)
    assert "'depth' 90, at first 3" in said and "(it is 0.5)" in said
