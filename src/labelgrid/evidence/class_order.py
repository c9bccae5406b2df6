"""Finds orders of classes that fit labels better than the declared order.

Also finds whether the first class took the place of the pixels without a label.

Loads no torch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Array, Bools, Floats, Ints
from labelgrid.basics.words import count_text, join_names

#: The classes of a thinned label [h, w]; -1 where it is not labelled.
ClassMap = NDArray[np.int16]
#: An order: which class each class looks like.
Order = Ints

#: What is measured of a class in a label: the logarithm of its share of the pixels, its middle
#: from the top and from the left, and how far it spreads down and across. Standard deviations
#: between labels are at least these.
LEAST_DEVIATION = np.array([0.3, 0.05, 0.05, 0.03, 0.03])
FEATURES = len(LEAST_DEVIATION)
#: More classes are not compared: memory grows with their square.
MOST_CLASSES = 500
#: Fewer labels say nothing about a usual order, and about any order.
LEAST = 3
FEW = 8
#: How much better, in nats, a usual order must fit earlier labels: right batches of NYUv2's frames,
#: from another run of frames than the earlier ones, reach 7. Any other order must, in addition,
#: explain this share of what does not fit: right batches reach 0.63.
BETTER = 20.0
MUCH_BETTER = 60.0
EXPLAINED = 0.68
#: At least so many classes must fit better in a usual order: one that is everywhere says little.
CLASSES = 3
#: A usual order is named if it fits this much of what the best order fits.
NAMED = 0.5
#: The shares of pixels that agree with predictions as declared, at most, and in another order.
FEW_AGREE = 0.2
MOST_AGREE = 0.5
#: Of predictions that say one class almost everywhere, no order agrees with labels beyond chance.
LEAST_BEYOND_CHANCE = 0.3
#: Where labels that leave no pixel unlabelled have the first class instead, their borders between
#: classes lie at it as often as those of earlier labels would: of the way there, at least this
#: share, and the way is at least so long. Of NYUv2's batches this finds 93 to 100 %, and stops none
#: whose pixels without a label were given to the nearest class.
ON_THE_WAY = 0.8
WAY = 0.3
#: A text names so many classes.
SHOWN = 4


@dataclass(frozen=True, kw_only=True)
class ClassUse:
    """How labels use their classes.

    Args:
        labels: the number of labels.
        present: int [classes], the labels with each class.
        mean, squares: float [classes, FEATURES], of the labels with the class: the means, and the
            sums of squared distances from these.
        share: float [classes], the shares of all labelled pixels.
    """

    labels: int
    present: Ints
    mean: Floats
    squares: Floats
    share: Floats


def class_use(maps: Sequence[ClassMap], classes: int) -> ClassUse:
    """Measure how labels use a number of classes.

    Example:
        >>> use = class_use([np.array([[0, 0], [2, -1]], np.int16)], 3)
        >>> use.present.tolist(), use.share.round(2).tolist()
        ([1, 0, 1], [0.67, 0.0, 0.33])
    """
    present = np.zeros(classes, np.int64)
    sums = np.zeros((classes, FEATURES))
    squares = np.zeros((classes, FEATURES))
    pixels = np.zeros(classes)
    for index in maps:
        counts, measured = _measure(index, classes)
        has = counts > 0
        present += has
        sums += measured * has[:, None]
        squares += measured**2 * has[:, None]
        pixels += counts
    share = pixels / max(pixels.sum(), 1)
    return _use(len(maps), present, sums, squares=squares, share=share)


def _use(labels: int, present: Ints, sums: Floats, *, squares: Floats, share: Floats) -> ClassUse:
    mean = sums / np.maximum(present, 1)[:, None]
    deviations = np.maximum(squares - present[:, None] * mean**2, 0)
    return ClassUse(labels=labels, present=present, mean=mean, squares=deviations, share=share)


@dataclass(frozen=True, kw_only=True)
class LabelUse:
    """The use of the classes of one label, as plain values.

    Args:
        classes: the classes that the label shows.
        features: the features of each of these.
        share: the share of each of these: the share of the labelled pixels.
    """

    classes: Sequence[int]
    features: Sequence[Sequence[float]]
    share: Sequence[float]


def label_use(index: ClassMap, classes: int) -> LabelUse:
    """Measure how a label uses a number of classes.

    Example:
        >>> label = np.array([[0, 0], [2, -1]], np.int16)
        >>> used = label_use(label, 3)
        >>> used.classes
        [0, 2]
        >>> use_of_label(used, 3).share.tolist() == class_use([label], 3).share.tolist()
        True
    """
    use = class_use([index], classes)
    (shown,) = np.nonzero(use.present)
    return LabelUse(
        classes=shown.tolist(),
        features=use.mean[shown].tolist(),
        share=use.share[shown].tolist(),
    )


def use_of_label(label: LabelUse, classes: int) -> ClassUse:
    """How a label uses so many classes, exactly as `class_use` measures it."""
    present = np.zeros(classes, np.int64)
    mean = np.zeros((classes, FEATURES))
    share = np.zeros(classes)
    if label.classes:
        shown = list(label.classes)
        present[shown] = 1
        mean[shown] = label.features
        share[shown] = label.share
    return ClassUse(
        labels=1, present=present, mean=mean, squares=np.zeros((classes, FEATURES)), share=share
    )


def merged_use(uses: Sequence[ClassUse]) -> ClassUse:
    """The use of classes of all labels, from the uses of each.

    Example:
        >>> maps = [np.array([[0, 0], [2, -1]], np.int16), np.array([[2, 2], [1, 2]], np.int16)]
        >>> both = merged_use([class_use([index], 3) for index in maps])
        >>> both.present.tolist() == class_use(maps, 3).present.tolist() == [1, 1, 2]
        True
    """
    present = np.sum([use.present for use in uses], 0)
    sums = np.sum([use.present[:, None] * use.mean for use in uses], 0)
    squares = np.sum([use.squares + use.present[:, None] * use.mean**2 for use in uses], 0)
    labels = sum(use.labels for use in uses)
    share = np.sum([use.labels * use.share for use in uses], 0) / labels
    return _use(labels, present, sums, squares=squares, share=share)


def _measure(index: ClassMap, classes: int) -> tuple[Ints, Floats]:
    """The pixels [classes] of each class in a label, and its features [classes, FEATURES]."""
    is_labelled = index >= 0
    numbers = index[is_labelled].astype(np.int64)
    rows, columns = np.nonzero(is_labelled)
    counts = np.bincount(numbers, minlength=classes)
    whole = np.maximum(counts, 1)
    measured = np.zeros((classes, FEATURES))
    measured[:, 0] = np.log(whole / max(numbers.size, 1))
    for axis, places in enumerate((rows / index.shape[0], columns / index.shape[1])):
        mean = np.bincount(numbers, places, classes) / whole
        square = np.bincount(numbers, places**2, classes) / whole
        measured[:, 1 + axis] = mean
        measured[:, 3 + axis] = np.sqrt(np.maximum(square - mean**2, 0))
    return counts, measured


def misfits(now: ClassUse, before: ClassUse) -> Floats:
    """The misfit of each class with each class of earlier labels, in nats [classes, classes].

    A misfit is the logarithm of how much more likely two separate classes are than a single one: by
    the share of labels that have them (binomial), and by their features where they occur (normal).
    """
    have = now.present[:, None]
    had = before.present[None]
    cost = _presence(have, now.labels) + _presence(had, before.labels)
    cost = cost - _presence(have + had, now.labels + before.labels)
    freedom = np.maximum(have + had - 2, 1)[..., None]
    between = (now.mean[:, None] - before.mean[None]) ** 2
    within = (now.squares[:, None] + before.squares[None]) / freedom + LEAST_DEVIATION**2
    both = (have * had / np.maximum(have + had, 1))[..., None]
    features = freedom * np.log1p(both * between / within / freedom)
    return cost + 0.5 * features.sum(-1)


def _presence(count: Ints, labels: int) -> Floats:
    """The largest log-likelihood that so many of the labels have a class."""
    return _times_log(count, labels) + _times_log(labels - count, labels)


def _times_log(count: Ints, labels: int) -> Floats:
    return np.asarray(count * np.log(np.maximum(count, 1) / labels), np.float64)


@dataclass(frozen=True, kw_only=True)
class OtherOrder:
    """An order of classes with a much better fit than the declared one.

    Args:
        order: the class that each class looks like.
        share: the classes' shares of the labelled pixels; 0 of a class that is not compared.
        pattern: the name of the order; empty if the order is not a usual one.
        one_more: whether each class looks like its predecessor, so that the first class is empty.
        agreement: the shares of the moved classes' pixels that agree with predictions as declared,
            and in this order.
    """

    order: Order
    share: Floats
    pattern: str = ""
    one_more: bool = False
    agreement: tuple[float, float] = (0.0, 0.0)


def order_beside(
    maps: Sequence[ClassMap], earlier: Sequence[ClassMap], names: Sequence[str]
) -> OtherOrder | None:
    """The order of classes that fits earlier labels much better than as declared; None without one.

    A usual order only has to fit better. Any other order must explain most of the misfit, because
    batches from other places do not fit well either.
    """
    if len(maps) < LEAST or len(earlier) < FEW:
        return None
    now = class_use(maps, len(names))
    cost = misfits(now, class_use(earlier, len(names)))
    order = _assignment(-cost)
    gains = _gains(cost, order, now)
    usual_gain, usual = best_usual_order(cost, now, names)
    misfit = np.diag(cost)[now.present > 0].sum()
    explained = gains.sum() > max(MUCH_BETTER, EXPLAINED * misfit)
    if usual_gain <= BETTER and not (explained and len(maps) >= FEW):
        return None
    if usual and usual_gain > NAMED * gains.sum():
        return usual
    return OtherOrder(order=order, share=now.share)


def best_usual_order(
    cost: Floats, now: ClassUse, names: Sequence[str]
) -> tuple[float, OtherOrder | None]:
    """The gain in nats of the usual order with the best fit, by `misfits`, and the order.

    The gain is 0, and the order None, if the declared order fits best.
    """
    best: OtherOrder | None = None
    best_gain = 0.0
    for other in _usual_orders(names, now.share):
        fits = _gains(cost, other.order, now)
        # The number before the first class's is that of pixels without a label.
        gain = float(fits[1:].sum() if other.one_more else fits.sum())
        if gain > best_gain and np.count_nonzero(fits > 0) >= min(CLASSES, len(names)):
            best_gain = gain
            best = other
    return best_gain, best


def _gains(cost: Floats, order: Order, now: ClassUse) -> Floats:
    places = np.arange(len(cost))
    return np.where(now.present > 0, np.diag(cost) - cost[places, order], 0)


def _usual_orders(names: Sequence[str], share: Floats) -> Iterator[OtherOrder]:
    places = np.arange(len(names))
    alphabetical = np.array(sorted(range(len(names)), key=lambda place: names[place].casefold()))
    before = "each looks like the class before it, as if the files counted from 1"
    yield OtherOrder(order=np.roll(places, 1), share=share, pattern=before, one_more=True)
    after = "each looks like the class after it"
    yield OtherOrder(order=np.roll(places, -1), share=share, pattern=after)
    yield OtherOrder(order=places[::-1], share=share, pattern="their order looks reversed")
    sorting = "their order looks alphabetical"
    yield OtherOrder(order=alphabetical, share=share, pattern=sorting)


def order_in_predictions(
    pairs: Sequence[tuple[ClassMap, ClassMap]], classes: int
) -> OtherOrder | None:
    """The order in which labels agree with predictions, unless the declared order fits.

    Either most pixels agree in it, and few as declared; or some classes are exchanged among each
    other: each is predicted as another class of the list at most of its pixels. So a model that
    confuses classes raises no doubt.
    """
    if len(pairs) < LEAST:
        return None
    counts = np.zeros((classes, classes), np.int64)
    present = np.zeros(classes, np.int64)
    for label, guess in pairs:
        in_both = (label >= 0) & (guess >= 0)
        codes = label[in_both].astype(np.int64) * classes + guess[in_both]
        confused = np.bincount(codes, minlength=classes**2).reshape(classes, classes)
        present += confused.any(1)
        counts += confused
    order = _assignment(counts)
    places = np.arange(classes)
    pixels = counts.sum(1)
    declared = np.diag(counts)
    agreed = counts[places, order]
    moved = (order != places) & (pixels > 0)
    few_agree = declared.sum() < FEW_AGREE * pixels.sum()
    most_agree = agreed.sum() > MOST_AGREE * pixels.sum()
    if not (few_agree and most_agree and _beyond_chance(counts, order) > LEAST_BEYOND_CHANCE):
        clear = (agreed > MOST_AGREE * pixels) & (declared < FEW_AGREE / 2 * pixels)
        moved &= _whole_cycles(order, clear & (present >= LEAST))
    total = pixels[moved].sum()
    if not total:
        return None
    return OtherOrder(
        order=np.where(moved, order, places),
        share=np.where(moved, pixels, 0) / pixels.sum(),
        agreement=(declared[moved].sum() / total, agreed[moved].sum() / total),
    )


def _beyond_chance(counts: Ints, order: Order) -> float:
    """How far labels agree with predictions in an order, from 0 by chance to 1 (Cohen's kappa).

    Chance is the agreement of predictions that ignore the image: a single class everywhere agrees
    with all labels of the class put in its place.

    Example:
        >>> swapped = np.array([0, 1])[::-1]
        >>> _beyond_chance(np.array([[0, 75], [0, 25]]), swapped)
        0.0
        >>> _beyond_chance(np.array([[0, 75], [25, 0]]), swapped)
        1.0
    """
    total = counts.sum()
    agreed = counts[np.arange(len(order)), order].sum() / total
    chance = (counts.sum(1) / total) @ (counts.sum(0)[order] / total)
    return float((agreed - chance) / max(1 - chance, 1e-12))


def _whole_cycles(order: Order, within: Bools) -> Bools:
    """The classes whose whole cycle of an order lies within some classes.

    Example:
        >>> _whole_cycles(np.array([1, 0, 3, 2]), np.array([True, True, True, False])).tolist()
        [True, True, False, False]
    """
    kept = within
    for _ in order:
        kept = kept & kept[order]
    return kept


def _assignment(gain: Array) -> Order:
    from scipy.optimize import linear_sum_assignment  # slow to load

    return np.asarray(linear_sum_assignment(gain, maximize=True)[1], np.int64)


def first_for_unlabelled(
    maps: Sequence[ClassMap], earlier: Sequence[ClassMap], names: Sequence[str]
) -> str:
    """A sentence if the first class seems to be where earlier labels have none; or "".

    Example:
        >>> before = [np.array([[1, 2, -1, 2]], np.int16)] * 8
        >>> now = [np.array([[1, 2, 0, 2]], np.int16)] * 8
        >>> first_for_unlabelled(now, before, ["wall", "bed", "box"])[:59]
        'no pixel of 8 labels is without a class, but 25% of 8 label'
        >>> first_for_unlabelled(before, before, ["wall", "bed", "box"])
        ''
    """
    if min(len(maps), len(earlier)) < FEW or any((index < 0).any() for index in maps):
        return ""
    if not all((index < 0).any() for index in earlier):
        return ""
    now = np.mean([_borders_at_first(index) for index in maps])
    right = np.mean([_borders_at_first(_nearest_classes(index)) for index in earlier])
    wrong = np.mean([_borders_at_first(np.maximum(index, 0)) for index in earlier])
    if wrong - right < WAY or now - right < ON_THE_WAY * (wrong - right):
        return ""
    left = np.mean([(index < 0).mean() for index in earlier])
    return (
        f"no pixel of {count_text(len(maps), 'label')} is without a class, but {left:.0%} of "
        f"{count_text(len(earlier), 'label')} imported before are, and {now:.0%} of the borders "
        f"between classes lie at '{names[0]}': expected {right:.0%}. Likely cause: 0, which is "
        f"'{names[0]}', also means 'not labelled' in these files. Export such pixels as 255; or, "
        "if the files count the classes from 1, declare `first = 1`."
    )


def _borders_at_first(index: ClassMap) -> float:
    """The share of the borders between two classes at which the first class lies."""
    borders = 0
    at = 0
    for axis in (0, 1):
        borders += int(np.count_nonzero(np.diff(index, axis=axis)))
        at += int(np.count_nonzero(np.diff(index == 0, axis=axis)))
    return at / max(borders, 1)


def _nearest_classes(index: ClassMap) -> ClassMap:
    from scipy.ndimage import distance_transform_edt  # slow to load

    rows, columns = distance_transform_edt(index < 0, return_distances=False, return_indices=True)
    return np.asarray(index[rows, columns])


def order_text(other: OtherOrder, names: Sequence[str], earlier: int) -> str:
    """A sentence on an order that fits earlier labels better, and the advice."""
    text = f"the classes look as if they had another order than in {earlier} labels imported before"
    if other.pattern:
        text += f": {other.pattern}"
    text += f" ({order_examples(other, names)})."
    if other.one_more:
        text += " Subtract 1 from the numbers in these files, and make 0 a 255, 'not labelled'."
    return text


def prediction_text(other: OtherOrder, names: Sequence[str]) -> str:
    """A sentence on an order that agrees with predictions."""
    declared, agreed = other.agreement
    return (
        f"the classes look as if they had another order than in the model's predictions: "
        f"{declared:.0%} of their pixels agree, and {agreed:.0%} if {order_examples(other, names)}."
    )


def order_examples(other: OtherOrder, names: Sequence[str]) -> str:
    """The classes of the most pixels, and the classes they look like.

    Example:
        >>> other = OtherOrder(order=np.array([1, 0, 2]), share=np.array([0.1, 0.5, 0.4]))
        >>> order_examples(other, ["skin", "bag", "hair"])
        "'bag' looks like 'skin', 'skin' like 'bag'"
    """
    texts: list[str] = []
    for place in np.argsort(-other.share, kind="stable"):
        if other.order[place] == place or not other.share[place]:
            continue
        looks = "like" if texts else "looks like"
        texts.append(f"'{names[place]}' {looks} '{names[other.order[place]]}'")
    return join_names(texts, SHOWN)
