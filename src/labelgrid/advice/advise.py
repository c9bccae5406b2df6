"""Advises on the next step of a campaign, from its measured rounds. Loads no torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelgrid.advice.advised import Advice
from labelgrid.advice.buying_advice import last_cost, most_labels, purchases
from labelgrid.advice.class_advice import class_advice
from labelgrid.advice.forecast_text import (
    EXPECT,
    fitted_curve,
    foreseen_advice,
    interval_text,
    relative_gain,
    rising_curves,
    value_text,
)
from labelgrid.advice.further_advice import (
    count_free_images,
    following_advice,
    heldout_advice,
    picks_advice,
    training_advice,
)
from labelgrid.advice.task_curves import TaskCurve, task_curves
from labelgrid.basics.errors import UsageError, command
from labelgrid.basics.files import install_first
from labelgrid.basics.shown import Shown
from labelgrid.basics.words import count_text, join_names
from labelgrid.drawings.wording import number
from labelgrid.ledger.grid import Grid
from labelgrid.operations.class_rows import class_rows
from labelgrid.operations.next_step import budget_options, next_step
from labelgrid.project.cells.random_labels import ENOUGH, RandomLabels
from labelgrid.project.changed_labels import changed_text, unseen_text
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Measurement, measured_rounds, newest_fit
from labelgrid.project.shown_classes import shown_classes
from labelgrid.recipes.recipe import Recipe
from labelgrid.recipes.resolve import has_own_encoder
from labelgrid.relations.bound import BoundRelation, connect, declared_relations
from labelgrid.relations.true_agreement import FEWEST
from labelgrid.select.following import known_labels
from labelgrid.suppliers.relation_offers import labels_of_all, relation_offers

#: A task has flattened if a doubling of its labels may move its metric by this share at most.
FLAT = 0.02
#: Fewer labels are none: what follows from others counts in parts.
_NOTHING = 0.5


@dataclass(frozen=True, kw_only=True, repr=False)
class Advised(Shown):
    """The advice for a project.

    Args:
        advice: the sentences, what to buy first, after anything that may make the purchase
            unnecessary.
        budget: what the purchases are for, in the unit of costs.
    """

    advice: Sequence[Advice]
    budget: float

    def __str__(self) -> str:
        return "\n".join(advice.text for advice in self.advice)


def advise(project: ProjectFolder, budget: float | None = None) -> Advised:
    """Advice from the curves of a project's rounds.

    Args:
        project: the project.
        budget: what purchases may cost; None: what labels cost between the last two trainings.

    Raises:
        UsageError: the budget is not above 0.
        RecipeError: the recipe is wrong.
        ProjectError: a file of a round is damaged.
    """
    if budget is not None and not 0 < budget < float("inf"):
        raise UsageError(
            f"A budget is a cost above 0. Found {budget:g}.",
            next_step="Leave it out for what the last round cost.",
        )
    recipe = project.recipe()
    paid = last_cost(project) if budget is None else budget
    tasks = project.tasks()
    curves = task_curves(project.folder, tasks)
    newest = measured_rounds(project.folder, newest=1)
    headlines = {name: task.headline for name, task in tasks.items()}
    rows = _first(project, curves)
    rows += relation_advice(project, recipe)
    rows += purchases(project, curves, paid)
    pretrained = recipe.backbone.pretrained or has_own_encoder(recipe.network.name)
    rows += _on_classes(project, newest, pretrained=pretrained)
    rows += flat_advice(curves)
    rows += next_round_advice(curves, most_labels(project))
    rows += following_advice(project, recipe)
    if newest:
        free = count_free_images(project)
        rows += heldout_advice(newest[0], headlines, free=free, folder=project.folder)
    rows.append(picks_advice(project))
    training = training_advice(project)
    if training:
        rows.append(training)
    return Advised(advice=rows, budget=paid)


def _on_classes(
    project: ProjectFolder, measured: Sequence[Measurement], *, pretrained: bool
) -> list[Advice]:
    tasks = project.tasks()
    rows = []
    for name, classes in class_rows(measured).items():
        if name in tasks:
            step = next_step(project)
            budget = budget_options(step.budget, step.unit) if step.budget else ["--budget", "N"]
            rows += class_advice(
                name,
                classes,
                shown_classes(project, tasks[name]),
                folder=project.folder,
                pretrained=pretrained,
                budget=budget,
            )
    return rows


def _first(project: ProjectFolder, curves: Sequence[TaskCurve]) -> list[Advice]:
    """Advice before all else, on changed labels and labels without a training."""
    rows = []
    step = next_step(project)
    newest = newest_fit(project.folder)
    changed = changed_text(project, newest) if newest else ""
    train = command("fit", project.folder)
    if newest and step.budget:
        changed = changed or unseen_text(project, newest)
    if changed:
        typed = ", then ".join(f"`{line}`" for line in [*install_first(), train])
        text = f"{changed} {typed} trains again: what follows is from the labels of before."
        rows.append(Advice(topic="first", text=text, command=train))
    told = changed and step.typed[-1] == train
    if not (told or step.budget) and any(curve.curve for curve in curves):
        text = f"{step.why} What follows is from the labels that were trained on so far."
        rows.append(Advice(topic="first", text=text))
    return rows


def next_round_advice(
    curves: Sequence[TaskCurve], most: Mapping[str, int] | None = None
) -> list[Advice]:
    """Foresee the metrics after a next round like the last one.

    Nothing is predicted for a task whose newest rounds show no gain.

    Args:
        curves: the curves of the tasks.
        most: the labels that each task can have; it buys no more. None: any number.
    """
    fitted = [task_curve for task_curve in curves if task_curve.curve]
    upcoming = {task_curve.task: _upcoming(task_curve, most or {}) for task_curve in fitted}
    all_lacking = sum(lacking for _, lacking in upcoming.values())
    rows = []
    for task_curve in rising_curves(fitted):
        curve = fitted_curve(task_curve)
        before, newest = task_curve.points[-2:]
        everything = 2 * newest.all - before.all - all_lacking
        if everything <= newest.all + _NOTHING:
            continue
        labels, lacking = upcoming[task_curve.task]
        forecast = curve.forecast(labels, everything)
        left = ", as far as labels are left" if lacking else ""
        text = (
            f"{task_curve.task}: if the next round buys and trains as the last one did{left}, "
            f"{task_curve.metric} should be {value_text(forecast.value, task_curve)} "
            f"({interval_text(forecast)}), from {number(curve.now)}."
        )
        rows.append(foreseen_advice("next round", text, task_curve, forecast))
    return rows


def _upcoming(curve: TaskCurve, most: Mapping[str, int]) -> tuple[float, float]:
    """The labels after a round like the last one, and how many of a round's are missing."""
    before, newest = curve.points[-2:]
    wanted = max(2 * newest.labels - before.labels, newest.labels)
    labels = max(min(wanted, most.get(curve.task, math.inf)), newest.labels)
    return labels, wanted - labels


def flat_advice(curves: Sequence[TaskCurve]) -> list[Advice]:
    """Name the tasks whose further labels hardly help, by their newest rounds or curves."""
    rows = []
    for curve in curves:
        if curve.flat:
            advice = Advice(
                topic="flat",
                text=f"{curve.task}: {curve.flat.text}: {EXPECT}.",
                task=curve.task,
                metric=curve.metric,
                unit=curve.unit,
                measured=curve.points[-1].value,
                rounds=curve.flat.count,
            )
            rows.append(advice)
    for task_curve in rising_curves(curves):
        fitted = fitted_curve(task_curve)
        newest = fitted.newest
        doubled = fitted.change(2 * newest.labels, newest.all + newest.labels)
        best = doubled.high if fitted.scale.better == "higher" else doubled.low
        if relative_gain(best, fitted) > FLAT:
            continue
        text = (
            f"{task_curve.task} has flattened: twice its "
            f"{count_text(round(newest.labels), 'label')} would take {task_curve.metric} "
            f"from {number(fitted.now)} to {value_text(best, task_curve)} at best (80 % interval)."
        )
        rows.append(foreseen_advice("flat", text, task_curve, doubled))
    return rows


def relation_advice(project: ProjectFolder, recipe: Recipe) -> list[Advice]:
    """Advise on relations that are undeclared or off, and may save labels.

    One that is off may have been measured. It is named only where labels would follow at once.
    """
    tasks = project.tasks()
    declared = declared_relations(recipe.relations, tasks)
    off = [relation for relation in declared if not relation.trust]
    offers = relation_offers(project)
    if not (off or offers):
        return []
    grid = project.store.grid()
    random = RandomLabels(project)
    rows = []
    for relation in off:
        if _following(grid, relation):
            step = _step(random, relation, paired=True)
            rows.append(_may_follow(grid, relation, "is off", step))
    for offer in offers:
        relation = connect(offer.name, offer.choice, tasks)
        step = _step(random, relation, paired=offer.paired)
        rows.append(_may_follow(grid, relation, "is not declared", step))
    return rows


def _following(grid: Grid, relation: BoundRelation) -> int:
    """The number of missing labels that a relation would give at once."""
    column = grid.tasks.index(relation.gives)
    return int(known_labels(grid, [relation])[:, column].sum())


def _step(random: RandomLabels, relation: BoundRelation, *, paired: bool) -> tuple[str, str]:
    """A sentence on how to measure a relation, and the first command to run."""
    folder = random.project.folder
    relate = command("relate", folder)
    images, _ = random.images([*relation.reads, relation.gives])
    labels = labels_of_all(len(relation.reads))
    if len(images) >= FEWEST:
        have = count_text(len(images), "training image has", "training images have")
        sentence = (
            f"{have} {labels}, so that `{relate}` measures at once how well; labels that follow "
            "need not be bought."
        )
        return sentence, relate
    if not paired:
        return f"`{relate}` says how to measure it.", relate
    query = command("query", folder, "--pairs", ENOUGH)
    sentence = (
        f"`{query}` asks for {labels} in ten random images, and `{relate}` then measures how well."
    )
    return sentence, query


def _may_follow(grid: Grid, relation: BoundRelation, state: str, step: tuple[str, str]) -> Advice:
    sentence, line = step
    count = _following(grid, relation)
    price = count * float(grid.cost[grid.tasks.index(relation.gives)])
    gain = f", and would give {count_text(count, 'label')} ({number(price)})" if count else ""
    text = (
        f"{relation.gives} may follow from {join_names(relation.reads)}: the relation "
        f"{relation.name} {state}{gain}. {sentence}"
    )
    return Advice(
        topic="follows", text=text, task=relation.gives, count=count, price=price, command=line
    )
