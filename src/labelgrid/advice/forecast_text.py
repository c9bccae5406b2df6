"""Foresees the metrics of tasks from their curves, and says so in words."""

from collections.abc import Sequence

from labelgrid.advice.advised import Advice, Topic
from labelgrid.advice.task_curves import TaskCurve
from labelgrid.drawings.wording import number
from labelgrid.select.label_curve import Forecast, LabelCurve

#: What is said of curves through rounds that show no gain.
EXPECT = "the gain that the curve foresees is known from past campaigns alone"


def rising_curves(curves: Sequence[TaskCurve]) -> list[TaskCurve]:
    """The tasks of which a metric can be foreseen.

    Such a task has a curve that does not miss the newest round, and gained in its newest rounds.
    """
    return [one for one in curves if one.curve and not one.flat and not one.curve.misses]


def missed_curves(curves: Sequence[TaskCurve]) -> list[TaskCurve]:
    """The tasks whose newest rounds gained, but whose curve misses the newest one."""
    return [one for one in curves if one.curve and not one.flat and one.curve.misses]


def cannot_tell(curve: TaskCurve) -> Advice:
    """Advice on a task whose curve misses the newest round, so that nothing is foreseen."""
    fitted = fitted_curve(curve).fitted
    now = fitted_curve(curve).now
    text = (
        f"{curve.task}: cannot tell what further labels do. The newest round measured "
        f"{curve.metric} {value_text(now, curve)}, but the curve through all rounds lies at "
        f"{number(fitted.value)} ({interval_text(fitted)}): more than labels changed it. Another "
        "round would tell more."
    )
    return Advice(
        topic="buy",
        answered=False,
        text=text,
        task=curve.task,
        metric=curve.metric,
        unit=curve.unit,
        now=now,
        measured=now,
    )


def fitted_curve(curve: TaskCurve) -> LabelCurve:
    """The curve of a task, which must exist."""
    assert curve.curve is not None  # only such curves are asked for
    return curve.curve


def relative_gain(value: float, curve: LabelCurve) -> float:
    """The gain over the present metric, as a share of the metric; positive is better."""
    now = curve.now
    gain = (value - now) / max(abs(now), 1e-9)
    return gain if curve.scale.better == "higher" else -gain


def foreseen_advice(topic: Topic, text: str, curve: TaskCurve, forecast: Forecast) -> Advice:
    """Advice with the numbers of a forecast."""
    return Advice(
        topic=topic,
        text=text,
        task=curve.task,
        metric=curve.metric,
        unit=curve.unit,
        now=fitted_curve(curve).now,
        measured=curve.points[-1].value,
        value=forecast.value,
        low=forecast.low,
        high=forecast.high,
    )


def value_text(value: float, curve: TaskCurve) -> str:
    """A value of a task's metric with its unit."""
    return f"{number(value)} {curve.unit}".rstrip()


def interval_text(forecast: Forecast) -> str:
    """The interval of a forecast."""
    return f"80 % interval {number(forecast.low)} to {number(forecast.high)}"
