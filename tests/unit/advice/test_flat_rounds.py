"""The newest rounds that show no gain: by intervals over held-out images, or else by what rounds differ by chance."""

from collections.abc import Sequence
from dataclasses import replace

from labelgrid.advice.flat_rounds import FlatRounds, flat_rounds
from labelgrid.basics.results import Better
from labelgrid.select.curve_priors import PRIORS
from labelgrid.select.label_curve import CurvePoint, LabelCurve, MetricScale, fit_curve, prior_of

#: The metric without each of six blocks of held-out images, relative to the metric: they vary much, or hardly.
WIDE = (-3.0, 2.0, -1.0, 3.0, -2.0, 1.0)
NARROW = (-0.1, 0.1, -0.1, 0.1, 0.0, 0.0)


def rounds(
    values: Sequence[float], labels: Sequence[float] = (10, 20, 40, 60, 80, 100)
) -> list[CurvePoint]:
    return [CurvePoint(own, 2 * own, value) for own, value in zip(labels, values, strict=False)]


def curve(points: Sequence[CurvePoint], better: Better = "higher") -> LabelCurve:
    name, unit = ("mIoU", "%") if better == "higher" else ("RMSE", "m")
    found = fit_curve(points, MetricScale(unit, better), prior_of(name, unit, PRIORS))
    assert found is not None
    return found


def blocks(values: Sequence[float], spread: Sequence[float]) -> list[list[float]]:
    """The metric of each round without each block; in each round another block is the first of the spread."""
    found = []
    for index, value in enumerate(values):
        turned = [*spread[index:], *spread[:index]]
        found.append([value + each for each in turned])
    return found


def found_in(values: Sequence[float], spread: Sequence[float] = ()) -> FlatRounds | None:
    points = rounds(values)
    without = blocks(values, spread)
    return flat_rounds(points, without, curve(points))


def test_rounds_within_their_intervals_are_flat_and_say_how_many_labels_they_had() -> None:
    found = found_in((20.0, 21.0, 20.5), WIDE)
    assert found == FlatRounds(count=3, fewest=10, most=40, worse=False, by_intervals=True)
    assert found.text == (
        "the last 3 rounds (10 to 40 labels) do not differ by more than their intervals"
    )


def test_a_gain_beyond_its_interval_ends_them() -> None:
    assert found_in((20.0, 21.0, 22.0), NARROW) is None
    later = found_in((10.0, 22.0, 22.05, 21.95), NARROW)
    assert later is not None and (later.count, later.fewest, later.most) == (3, 20, 60)
    assert found_in((10.0, 10.0, 22.0), NARROW) is None


def test_as_many_rounds_as_are_flat_are_counted() -> None:
    found = found_in((20.0, 21.0, 20.5, 20.7, 20.4), WIDE)
    assert found is not None and found.count == 5


def test_two_rounds_are_never_flat() -> None:
    assert found_in((20.0, 20.0), WIDE) is None
    assert found_in((20.0,) * 2) is None


def test_rounds_that_became_worse_are_not_said_to_be_equal() -> None:
    found = found_in((24.0, 22.0, 20.0), NARROW)
    assert found is not None and found.worse
    assert found.text == "the last 3 rounds (10 to 40 labels) brought no gain"


def test_without_intervals_the_chance_that_rounds_lie_beside_curves_by_decides() -> None:
    found = found_in((20.0, 20.2, 20.1))
    assert found is not None and not found.by_intervals
    assert found.text == (
        "the last 3 rounds (10 to 40 labels) do not differ by more than rounds do by chance"
    )
    assert found_in((20.0, 25.0, 30.0)) is None


def test_of_an_error_lower_is_a_gain() -> None:
    down = rounds((1.0, 0.7, 0.5))
    up = rounds((0.5, 0.7, 1.0))
    assert flat_rounds(down, [()] * 3, curve(down, "lower")) is None
    worse = flat_rounds(up, [()] * 3, curve(up, "lower"))
    assert worse is not None and worse.worse


def test_rounds_without_more_labels_say_nothing_of_labels() -> None:
    points = rounds((20.0, 20.0, 20.0), (40, 40, 40))
    assert flat_rounds(points, [()] * 3, curve(points)) is None
    more = [*points[:2], replace(points[2], labels=41)]
    assert flat_rounds(more, [()] * 3, curve(more)) is not None
