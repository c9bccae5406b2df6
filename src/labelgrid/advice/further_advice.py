"""Advice beside purchases: what follows, held-out images, whether picks pay, and the training."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labelgrid.advice.advised import Advice
from labelgrid.advice.control_record import read_comparison
from labelgrid.basics.errors import command
from labelgrid.basics.results import LOSS
from labelgrid.basics.type_names import Values
from labelgrid.basics.words import count_text, join_names
from labelgrid.drawings.wording import number
from labelgrid.ledger.grid import State
from labelgrid.operations.headlines import jackknife_interval
from labelgrid.project.cells.random_labels import ENOUGH
from labelgrid.project.derived_labels import derived_counts, grid_to_buy
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import EpochRecord, Measurement, all_fits, newest_fit, read_log
from labelgrid.project.suppliers import supplier_values
from labelgrid.recipes.recipe import Recipe
from labelgrid.suppliers.ready_models import ready_models

#: The wanted half of the 95 % interval of a percentage, in points.
POINTS = 2.0
#: Of another metric, as a share of it.
OF_VALUE = 0.05
#: A training is too short if its loss on the val images falls by this share in its last quarter.
STILL_FALLING = 0.02
#: Fewer epochs with val metrics show no trend.
EPOCHS = 4


# What follows


def following_advice(project: ProjectFolder, recipe: Recipe) -> list[Advice]:
    """The labels that relations save, and suppliers may save."""
    rows = []
    for task, count in derived_counts(project).items():
        if count.derived:
            labels = count_text(count.derived, "label follows", "labels follow")
            text = f"{task}: {labels} from others and need not be bought ({number(count.saved)})."
            rows.append(
                Advice(
                    topic="follows", text=text, task=task, count=count.derived, price=count.saved
                )
            )
    suppliers = [*_unmeasured_suppliers(project, recipe), *_ready_suppliers(project)]
    return [*rows, *_still_to_follow(project), *suppliers]


def _ready_suppliers(project: ProjectFolder) -> list[Advice]:
    """The models ready to give labels, with the cost of measuring trust."""
    rows = []
    for model in ready_models(project):
        text = model.text(project.folder)
        advice = Advice(topic="follows", text=text, task=", ".join(model.tasks), price=model.cost)
        rows.append(advice)
    return rows


def _still_to_follow(project: ProjectFolder) -> list[Advice]:
    """The labels that mostly will follow once further labels of the image are bought."""
    relations = project.relations()
    if not relations:
        return []
    from labelgrid.select.following import known_labels, mostly_following

    grid = grid_to_buy(project)
    missing = grid.state == State.MISSING
    later = missing & ~grid.eligible & ~known_labels(grid, relations)
    rows = []
    for relation in mostly_following(relations):
        column = grid.tasks.index(relation.gives)
        count = int(later[:, column].sum())
        if count:
            fraction = relation.trust * relation.coverage
            text = (
                f"{relation.gives}: {count_text(count, 'more label')} will follow once their "
                f"images have labels of {join_names(relation.reads)} (trust × coverage "
                f"{fraction:.2f}), and need not be bought: no purchase here counts them."
            )
            price = count * float(grid.cost[column])
            advice = Advice(
                topic="follows", text=text, task=relation.gives, count=count, price=price
            )
            rows.append(advice)
    return rows


def _unmeasured_suppliers(project: ProjectFolder, recipe: Recipe) -> list[Advice]:
    rows = []
    audit = command("query", project.folder, "--audit", ENOUGH)
    costs = {row.name: row.cost for row in project.store.tasks()}
    for name, supplier in supplier_values(project, recipe.suppliers).items():
        for task, count in supplier["labels"].items():
            if task in supplier["earlier_rule"]:
                text = (
                    f"The trust in {count_text(count, 'label')} of {task} by {name} was measured "
                    f"by an earlier rule: `{command('relate', project.folder, '--write')}` "
                    "measures again."
                )
                rows.append(Advice(topic="follows", text=text, task=task, count=count))
                continue
            if supplier["trust"][task] or task in supplier["measured"]:
                continue
            price = ENOUGH * costs.get(task, 0.0)
            text = (
                f"{count_text(count, 'label')} of {task} by {name} may save true ones, but nobody "
                f"measured how true they are: `{audit}`, of which {task} costs {price:g}, and then "
                f"`{command('relate', project.folder)}` do."
            )
            advice = Advice(topic="follows", text=text, task=task, count=count, price=price)
            rows.append(advice)
    return rows


# Held-out images


def count_free_images(project: ProjectFolder) -> int:
    """The number of training images whose groups no training has used."""
    from labelgrid.project.images.holdout import families, free_images, images_trained_on

    rows = list(project.store.images())
    used = images_trained_on(project.store, rows, all_fits(project.folder))
    return len(free_images(rows, families(rows), used))


def heldout_advice(
    measured: Measurement, headlines: Mapping[str, str], *, free: int, folder: Path
) -> list[Advice]:
    """The number of further held-out images that makes the intervals of metrics narrow enough.

    Args:
        measured: the newest measurement.
        headlines: the metric of each task.
        free: the images of the project that can still be held out.
        folder: the folder of the project, for commands.
    """
    rows = []
    for task, metric in headlines.items():
        result = measured.metrics.get(task, {}).get(metric)
        if result is None or not math.isfinite(result.value):
            continue
        without = measured.without.get(task, {}).get(metric, ())
        interval = jackknife_interval(result.value, [0.0] * len(without), without)
        if interval is None:
            continue
        reach = (interval[1] - interval[0]) / 2
        wanted = POINTS if result.unit == "%" else OF_VALUE * abs(result.value)
        images = measured.heldout_labels.get(task, 0)
        more = further_images(images, reach, wanted)
        if more:
            unit = "points" if result.unit == "%" else result.unit
            words = count_text(images, "held-out label")
            reached = reach * math.sqrt(images / (images + free))
            narrower = _narrower(folder, free, more=more, wanted=wanted, reached=reached)
            text = (
                f"{task}: {metric} is known to ±{reach:.2g} {unit} from {words} (95 % interval); "
                f"{narrower}."
            )
            rows.append(
                Advice(
                    topic="held out",
                    text=text,
                    task=task,
                    metric=metric,
                    unit=result.unit,
                    count=more,
                    now=result.value,
                    command=_hold_out(folder, min(more, free)) if free else "",
                )
            )
    return rows


def _narrower(folder: Path, free: int, *, more: int, wanted: float, reached: float) -> str:
    """Say how `more` images narrow an interval to `wanted`, or the `free` ones to `reached`."""
    if more <= free:
        line = _hold_out(folder, more)
        text = f"{more:,} more would make it ±{wanted:.2g}: `{line}`"
        if 2 * more > free:
            text += f" (none of these {more:,} can be picked then; {free - more:,} can)"
        return text
    takes = f"±{wanted:.2g} takes {more:,} more, and so new photographs"
    if not free:
        return f"no photograph can be held out any more (it or its group was trained on): {takes}"
    line = _hold_out(folder, free)
    return (
        f"the {count_text(free, 'photograph')} that can still be held out would make it "
        f"±{reached:.2g} (`{line}`; none of them can be picked then); {takes}"
    )


def _hold_out(folder: Path, count: int) -> str:
    return command("add", folder, "--holdout", count)


def further_images(images: int, reach: float, wanted: float) -> int:
    """The number of further images for a narrower interval; width falls with their square root.

    Example:
        >>> further_images(50, 4.0, 2.0), further_images(50, 1.0, 2.0)
        (150, 0)
    """
    if wanted <= 0 or reach <= wanted:
        return 0
    return math.ceil(images * (reach / wanted) ** 2 - 1e-9) - images


# Picks


def picks_advice(project: ProjectFolder) -> Advice:
    """Whether picks pay, as far as `labelgrid control` has measured it."""
    compared = read_comparison(project.folder)
    control = command("control", project.folder)
    if compared is None:
        text = f"Whether picks pay: cannot tell, since `{control}` has not measured it."
        return Advice(topic="picks", text=text, answered=False)
    text = compared.text
    spent = project.store.spent(("train",))
    if spent != compared.spent:
        text = f"{text[:-1]}; labels have come since, and `{control}` would count them."
    return Advice(topic="picks", text=text, answered=compared.answer != "cannot tell")


# Training


def training_advice(project: ProjectFolder) -> Advice | None:
    """Whether the newest training was too short; None before the first one."""
    fit = newest_fit(project.folder, outside=False)
    if fit is None:
        return None
    falling = late_fall(read_log(project.round_folder(fit.round)) or [])
    longer = command("fit", project.folder, "--epochs", "N")
    if falling is None:
        text = (
            "Whether the training is long enough: too early to say, since it has no metrics on val "
            "images; `val_share` and `val_every` of the recipe's [train] give some."
        )
        return Advice(topic="training", text=text, answered=False)
    labels = count_text(sum(fit.labels.values()), "label")
    if falling.fraction > STILL_FALLING and falling.newest_is_best:
        text = (
            f"The training is short for {labels}: {LOSS} on val images still fell by "
            f"{falling.fraction:.0%} in its last quarter; `{longer}` trains longer."
        )
    else:
        text = (
            f"The training is long enough for {labels}: {LOSS} on val images moved by "
            f"{-falling.fraction:+z.0%} in its last quarter."
        )
    return Advice(topic="training", text=text, value=falling.fraction)


@dataclass(frozen=True)
class LateFall:
    """How a loss moved in the last quarter of a training.

    Args:
        fraction: the fraction by which the metric fell; negative: it rose.
        newest_is_best: whether it was never lower than at the end.
    """

    fraction: float
    newest_is_best: bool


def late_fall(log: Iterable[EpochRecord]) -> LateFall | None:
    """How the loss on val images moved at the end; None with too few epochs that measured it.

    Example:
        >>> losses = (8.0, 6.0, 5.0, 4.0)
        >>> log = [EpochRecord(epoch, {}, {LOSS: loss}) for epoch, loss in enumerate(losses, 1)]
        >>> late_fall(log)
        LateFall(fraction=0.2, newest_is_best=True)
    """
    epochs: list[EpochRecord] = [one for one in log if math.isfinite(_loss(one.val))]
    if len(epochs) < EPOCHS:
        return None
    losses = [_loss(one.val) for one in epochs]
    late = 0.75 * epochs[-1].epoch
    before: Sequence[float] = [
        loss for one, loss in zip(epochs, losses, strict=True) if one.epoch <= late
    ]
    if not before or before[-1] <= 0:
        return None
    fraction = (before[-1] - losses[-1]) / before[-1]
    return LateFall(fraction, losses[-1] <= min(losses))


def _loss(val: Values) -> float:
    return float(val.get(LOSS, math.nan))
