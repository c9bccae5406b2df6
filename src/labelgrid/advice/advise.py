"""Says what to do next in a campaign, from what its rounds measured. Loads no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from labelgrid.advice.advised import Advice
from labelgrid.advice.class_advice import class_advice
from labelgrid.advice.curve_advice import flat_advice, next_round_advice
from labelgrid.advice.further_advice import (
    count_free_images,
    following_advice,
    heldout_advice,
    picks_advice,
    training_advice,
)
from labelgrid.advice.purchases import last_cost, most_labels, purchases
from labelgrid.advice.relation_advice import relation_advice
from labelgrid.advice.task_curves import TaskCurve, task_curves
from labelgrid.basics.errors import UsageError, command
from labelgrid.basics.shown import Shown
from labelgrid.operations.class_rows import class_rows
from labelgrid.operations.next_step import budget_options, next_step
from labelgrid.project.changed_labels import changed_text
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Measurement, measured_rounds, newest_fit
from labelgrid.project.shown_classes import shown_classes
from labelgrid.recipes.resolve import has_own_encoder, load_recipe
from labelgrid.recipes.schema import Recipe


@dataclass(frozen=True, kw_only=True, repr=False)
class Advised(Shown):
    """The advice for a project.

    Args:
        advice: the sentences, what to buy first, after what may make that unnecessary.
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
    settings = project.settings
    recipe = load_recipe(settings.recipe, settings.changes, beside=project.folder)
    paid = last_cost(project) if budget is None else budget
    curves = task_curves(project)
    newest = measured_rounds(project.folder, newest=1)
    headlines = {name: task.headline for name, task in project.tasks().items()}
    rows = _first(project, curves)
    rows += relation_advice(project, recipe)
    rows += purchases(project, curves, paid)
    rows += _on_classes(project, newest, pretrained=_starts_pretrained(recipe))
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


def _starts_pretrained(recipe: Recipe) -> bool:
    """Whether a training starts from pretrained weights, as far as its network can."""
    return recipe.backbone.pretrained or has_own_encoder(recipe.network.name)


def _on_classes(
    project: ProjectFolder, measured: Sequence[Measurement], *, pretrained: bool
) -> list[Advice]:
    """Advice on the classes of each task that has some."""
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
    """What comes before all advice: labels that the newest round did not learn from.

    First of all labels that changed, since what was measured is of a network that learned others.
    """
    rows = []
    step = next_step(project)
    newest = newest_fit(project.folder)
    changed = changed_text(project, newest) if newest else ""
    train = command("fit", project.folder)
    if changed:
        text = f"{changed} `{train}` trains again: what follows is from the labels of before."
        rows.append(Advice(topic="first", text=text, command=train))
    told = changed and step.line == train
    if not (told or step.budget) and any(curve.curve for curve in curves):
        text = f"{step.why} What follows is from the labels that were trained on so far."
        rows.append(Advice(topic="first", text=text))
    return rows
