"""Another order of classes is found beside earlier labels and predictions, and named."""

import numpy as np
import pytest

from labelgrid.evidence.class_order import (
    FEW,
    ClassMap,
    class_use,
    first_for_unlabelled,
    misfits,
    order_beside,
    order_in_predictions,
    order_text,
    prediction_text,
)
from tests.claims import CLASSES, renumber, room

ORDER = [7, 5, 9, 0, 11, 2, 10, 4, 1, 8, 3, 6]
COUNT = len(CLASSES)


def maps(*numbers: int, order: list[int] | None = None) -> list[ClassMap]:
    change = renumber(order or [*range(COUNT)])
    return [change(room(number, (48, 64))).astype(np.int16) for number in numbers]


EARLIER = maps(*range(100, 120))


def test_right_labels_raise_no_doubt() -> None:
    for start in range(0, 60, 10):
        assert order_beside(maps(*range(start, start + 10)), EARLIER, CLASSES) is None


@pytest.mark.parametrize("labels", [3, 12])
def test_the_usual_orders_are_named(labels: int) -> None:
    orders = {
        "before it, as if the files counted from 1": [*range(1, COUNT), 0],
        "after it": [COUNT - 1, *range(COUNT - 1)],
        "reversed": [*range(COUNT - 1, -1, -1)],
        "alphabetical": [sorted(CLASSES).index(name) for name in CLASSES],
    }
    for words, order in orders.items():
        other = order_beside(maps(*range(labels), order=order), EARLIER, CLASSES)
        assert other and words in other.pattern and other.one_more == ("from 1" in words)


def test_any_other_order_is_found_for_the_classes_that_say_enough() -> None:
    other = order_beside(maps(*range(24), order=ORDER), EARLIER, CLASSES)
    assert other and not other.pattern
    right = [ORDER[looks] == place for place, looks in enumerate(other.order)]
    assert other.share[right].sum() > 0.8


def test_two_classes_that_are_exchanged_are_found_if_all_else_fits() -> None:
    swapped = [*range(COUNT)]
    swapped[0], swapped[5] = 5, 0
    other = order_beside(maps(*range(24), order=swapped), EARLIER, CLASSES)
    assert other and "'table' looks like 'wall', 'wall' like 'table'" in order_text(
        other, CLASSES, 20
    )


def test_few_labels_and_labels_of_one_class_say_nothing() -> None:
    wrong = maps(*range(12), order=ORDER)
    assert order_beside(wrong[:2], EARLIER, CLASSES) is None
    assert order_beside(wrong, EARLIER[: FEW - 1], CLASSES) is None
    everywhere = [np.full((48, 64), 3, np.int16)] * 12
    assert order_beside(everywhere, EARLIER, CLASSES) is None


def test_misfits_are_log_likelihood_ratios_of_two_classes_against_one() -> None:
    """Against a slow version, class by class."""
    now, before = class_use(maps(*range(10)), COUNT), class_use(EARLIER, COUNT)

    def binomial(count: int, labels: int) -> float:
        share = count / labels
        return sum(k * np.log(p) for k, p in ((count, share), (labels - count, 1 - share)) if k)

    cost = misfits(now, before)
    for i in range(COUNT):
        for j in range(COUNT):
            n, m = int(now.present[i]), int(before.present[j])
            slow = binomial(n, 10) + binomial(m, 20) - binomial(n + m, 30)
            freedom = max(n + m - 2, 1)
            for k, least in enumerate((0.3, 0.05, 0.05, 0.03, 0.03)):
                variance = (now.squares[i, k] + before.squares[j, k]) / freedom + least**2
                gap = (now.mean[i, k] - before.mean[j, k]) ** 2
                t = gap / variance * n * m / max(n + m, 1)
                slow += 0.5 * freedom * np.log1p(t / freedom)
            assert cost[i, j] == pytest.approx(slow)


def test_what_is_not_labelled_is_not_measured() -> None:
    index = np.array([[0, -1], [-1, 2]], np.int16)
    use = class_use([index], 3)
    assert use.present.tolist() == [1, 0, 1] and use.share.tolist() == [0.5, 0.0, 0.5]
    assert use.mean[0].tolist() == [np.log(0.5), 0.0, 0.0, 0.0, 0.0]
    assert use.mean[2, 1:3].tolist() == [0.5, 0.5]


def with_rims(labels: list[ClassMap], number: int) -> list[ClassMap]:
    """Labels with another number where a class lies on the left of another."""
    changed = []
    for index in labels:
        rim = np.diff(index, axis=1, append=index[:, -1:]) != 0
        changed.append(np.where(rim, np.int16(number), index).astype(np.int16))
    return changed


def test_a_first_class_where_earlier_labels_have_none_is_found_and_nothing_else() -> None:
    known = maps(*range(100, 120), order=ORDER)  # a wall as first class is beside all others
    before = with_rims(known, -1)
    now = maps(*range(12), order=ORDER)
    text = first_for_unlabelled(with_rims(now, 0), before, CLASSES)
    assert text.startswith("no pixel of 12 labels is without a class, but ")
    assert "0, which is 'wall', also means 'not labelled' in these files" in text
    fewer = with_rims(now[: FEW - 1], 0)
    for right in (now, with_rims(now, -1), with_rims(now, 3), fewer):
        assert not first_for_unlabelled(right, before, CLASSES)
    assert not first_for_unlabelled(with_rims(now, 0), known, CLASSES)


def guesses(labels: list[ClassMap], right: float) -> list[tuple[ClassMap, ClassMap]]:
    """Labels, and predictions that are right at a share of the pixels, else 'wall'."""
    rng = np.random.default_rng(0)
    pairs = []
    for label, truth in zip(labels, maps(*range(len(labels))), strict=True):
        guess = np.where(rng.random(truth.shape) < right, truth, 0).astype(np.int16)
        pairs.append((label, guess))
    return pairs


def test_an_order_in_which_labels_agree_with_predictions_is_found() -> None:
    other = order_in_predictions(guesses(maps(*range(6), order=ORDER), 0.8), COUNT)
    assert other
    occurring = np.flatnonzero(other.share)
    assert all(ORDER[other.order[place]] == place for place in occurring)
    assert other.agreement[0] < 0.2 < 0.8 < other.agreement[1]
    text = prediction_text(other, CLASSES)
    assert "than in the model's predictions" in text and "'rug' looks like 'wall'" in text


def test_two_classes_that_predictions_exchange_are_found() -> None:
    swapped = [*range(COUNT)]
    swapped[2], swapped[5] = 5, 2
    other = order_in_predictions(guesses(maps(*range(6), order=swapped), 0.8), COUNT)
    assert other and np.flatnonzero(other.share).tolist() == [2, 5]


def test_a_model_that_says_one_class_everywhere_raises_no_doubt_where_another_is_most_common() -> (
    None
):
    pairs = []
    for number in range(6):
        label = np.zeros((40, 60), np.int16)
        label[:10] = 1 + number % 3
        pairs.append((label, np.full(label.shape, 5, np.int16)))
    assert order_in_predictions(pairs, COUNT) is None


@pytest.mark.parametrize("right", [0.0, 0.2, 0.8])
def test_a_poor_model_and_one_that_takes_a_class_for_another_raise_no_doubt(right: float) -> None:
    pairs = guesses(maps(*range(6)), right)
    assert order_in_predictions(pairs, COUNT) is None
    confused = [(label, np.where(guess == 9, 5, guess).astype(np.int16)) for label, guess in pairs]
    assert order_in_predictions(confused, COUNT) is None
    assert order_in_predictions(pairs[:2], COUNT) is None
    assert order_in_predictions([], COUNT) is None
