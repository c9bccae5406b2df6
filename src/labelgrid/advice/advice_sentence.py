"""Says in a sentence which labels to buy next and where relations may help.

Loads no numpy before two trainings.
"""

from labelgrid.operations.next_step import NextStep, next_step
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import all_fits


def advice_sentence(project: ProjectFolder, step: NextStep | None = None) -> str:
    """Advise the best purchase for the cost of the last round.

    Tasks that have a curve, but no forecast, are named after it. "" if it is too early to say, or
    if requested or new labels come first.

    Raises:
        ProjectError: a file of a round is damaged.
    """
    if len(all_fits(project.folder)) < 2:  # one shows no curve
        return ""
    step = step or next_step(project)
    if not step.budget:
        return ""
    from labelgrid.advice.buying_advice import last_cost, purchases  # slow to load
    from labelgrid.advice.task_curves import task_curves

    curves = task_curves(project.folder, project.tasks())
    best, *others = purchases(project, curves, last_cost(project))
    told = [best] if best.answered else []
    told += [row for row in (best, *others) if not row.answered and row.task]
    return " ".join(row.text for row in told)


def relations_sentence(project: ProjectFolder) -> str:
    """Name labels that may follow from present labels, by undeclared relations.

    "" without such a relation, and before two trainings.

    Raises:
        RecipeError: the recipe is wrong.
    """
    if len(all_fits(project.folder)) < 2:
        return ""
    from labelgrid.suppliers.relation_offers import offers_text, relation_offers  # slow to load

    return offers_text(relation_offers(project), project.folder)
