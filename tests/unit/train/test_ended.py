"""What is said of a training that has ended."""

from labelgrid.train.ended import diverged, warnings

START = {"depth": 3.0, "mtpsl.consistency": 0.5}


def history(depth, term=0.4):
    first = {"loss": {"depth": 1e9}, "terms": {"mtpsl.consistency": 0.5}, "start": START}
    return [first, {"loss": {"depth": depth, "edges": 1e9}, "terms": {"mtpsl.consistency": term}}]


def test_the_last_epoch_is_compared_with_the_first_batch_where_it_had_the_task():
    assert diverged(history(9.0)) == {}
    assert diverged(history(9.1)) == {"depth": (3.0, 9.1)}
    assert diverged([{"loss": {"depth": 1e9}}]) == {}  # written before the first batch was kept


def test_losses_of_terms_may_rise_more():
    assert diverged(history(1.0, 49.0)) == {}
    assert diverged(history(1.0, 51.0)) == {"mtpsl.consistency": (0.5, 51.0)}


def test_the_rate_and_the_terms_without_loss_are_named():
    idle, rate = warnings(history(90.0), ["mtpsl", "crop"], 0.5)
    assert "The term 'crop' had no loss" in idle
    assert "'depth' 90, at first 3" in rate and "(it is 0.5)" in rate
