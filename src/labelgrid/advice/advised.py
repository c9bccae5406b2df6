"""A piece of advice: a sentence for people, and its numbers for programs."""

from dataclasses import dataclass
from typing import Literal

#: What a piece of advice is about: what comes first, which labels to buy, the classes of a task,
#: what the next round may measure, a task that has flattened, labels that need not be bought,
#: held-out images, picks, the training.
Topic = Literal[
    "first",
    "buy",
    "classes",
    "next round",
    "flat",
    "follows",
    "held out",
    "picks",
    "training",
]


@dataclass(frozen=True, kw_only=True)
class Advice:
    """A sentence of advice with its numbers; unknown numbers are None.

    Args:
        topic: what it is about.
        text: the sentence.
        answered: whether it is an answer; False: it is too early to say, and what would tell.
        task: the task of the advice; "" for all.
        class_name: the class of the task that it is about; "" for all.
        metric: the metric of the task.
        unit: the unit of the metric, and of the values.
        count: the labels to buy, or the images to hold out.
        now: the metric now: what `value` starts from. For curves, as measured in the newest round.
        measured: as `now`, for curves.
        value: what it may become; None where nothing can be foreseen.
        low, high: the 80 % interval of `value`.
        gain: the relative gain of a purchase in percent: of the metric, and of the metrics of tasks
            whose labels it brings along. Purchases are compared by gain for their price.
        rounds: the newest rounds of a task that show no gain: nothing is foreseen from its curve.
        price: the price of the labels, in the unit of costs.
        seconds: the expected time of the labels, from labels with times.
        left: what trusted suppliers leave to gain by a label of a purchase, as a share of a label.
        command: the command that follows the advice; "" for none.
    """

    topic: Topic
    text: str
    answered: bool = True
    task: str = ""
    class_name: str = ""
    metric: str = ""
    unit: str = ""
    count: int | None = None
    now: float | None = None
    measured: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    gain: float | None = None
    rounds: int | None = None
    price: float | None = None
    seconds: float | None = None
    left: float | None = None
    command: str = ""
