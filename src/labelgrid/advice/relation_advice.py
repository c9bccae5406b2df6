"""Advice to measure relations by which labels may follow from others. Loads no torch."""

from pathlib import Path

from labelgrid.advice.advised import Advice
from labelgrid.basics.errors import command
from labelgrid.basics.words import count_text, join_names
from labelgrid.drawings.wording import number
from labelgrid.ledger.grid import Grid
from labelgrid.project.cells.random_labels import ENOUGH, RandomLabels
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.schema import Recipe
from labelgrid.relations.agreement import FEWEST
from labelgrid.relations.bound import BoundRelation, connect, declared_relations
from labelgrid.select.following import known_labels
from labelgrid.suppliers.relation_offers import labels_of_all, relation_offers


def relation_advice(project: ProjectFolder, recipe: Recipe) -> list[Advice]:
    """Advice on the relations that may save labels: those that are not declared, or are off.

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
    """How many missing labels a relation would give at once."""
    column = grid.tasks.index(relation.gives)
    return int(known_labels(grid, [relation])[:, column].sum())


def _step(random: RandomLabels, relation: BoundRelation, *, paired: bool) -> tuple[str, str]:
    """What measures a relation, as a sentence, and the first command of it."""
    folder: Path = random.project.folder
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
    """The advice to take a step that measures a relation, which is in this state."""
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
