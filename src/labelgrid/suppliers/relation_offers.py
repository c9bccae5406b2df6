"""Offers relations that fit a project's tasks and are not declared. Loads no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labelgrid.basics.errors import command
from labelgrid.basics.words import join_names
from labelgrid.project.cells.random_labels import ENOUGH
from labelgrid.project.folder import ProjectFolder
from labelgrid.relations.bound import connect, connected_tasks
from labelgrid.relations.choice import RelationChoice
from labelgrid.relations.offered import offered_relations
from labelgrid.relations.true_agreement import FEWEST


@dataclass(frozen=True, kw_only=True)
class RelationOffer:
    """A shipped relation between a project's tasks that the recipe does not declare.

    Args:
        name: the name of the relation.
        reads: the tasks whose labels it reads.
        gives: the task whose labels it derives, of which some are missing.
        labelled: whether each of these tasks has labels of training images.
        paired: whether `query --pairs` asks for labels of all these tasks, see `paired_tasks`.
        choice: the table by which it would be declared.
    """

    name: str
    reads: tuple[str, ...]
    gives: str
    labelled: bool
    paired: bool
    choice: RelationChoice = field(default_factory=RelationChoice)


def relation_offers(project: ProjectFolder) -> list[RelationOffer]:
    """The undeclared shipped relations that may save labels of a project.

    Relations whose options must be found are included; such a relation may turn out not to hold.

    Raises:
        RecipeError: the recipe is wrong.
    """
    declared = project.recipe().relations
    tasks = project.tasks()
    counts = project.store.counts(("train",))
    offers = []
    for name, choice in offered_relations(declared, tasks).items():
        relation = connect(name, choice, tasks)
        if counts[relation.gives].missing:
            offer = RelationOffer(
                name=name,
                reads=relation.reads,
                gives=relation.gives,
                labelled=all(counts[task].labelled >= FEWEST for task in connected_tasks(relation)),
                paired=not declared,
                choice=choice,
            )
            offers.append(offer)
    return offers


def offers_text(offers: Sequence[RelationOffer], folder: Path) -> str:
    """Say which labels may follow, and how to measure how well; "" without an offer.

    A sentence for the relations that can be measured now, and a sentence for the others.
    """
    ready = [offer for offer in offers if offer.labelled]
    later = [offer for offer in offers if not offer.labelled]
    sentences = []
    if ready:
        sentences.append(f"{_what_may_follow(ready, folder)}.")
    if later:
        how_many = labels_of_all(max(len(offer.reads) for offer in later))
        text = f"{_what_may_follow(later, folder)}, once images have {how_many}"
        if all(offer.paired for offer in later):
            text += f", as `{command('query', folder, '--pairs', ENOUGH)}` asks for"
        sentences.append(f"{text}.")
    return " ".join(sentences)


def _what_may_follow(offers: Sequence[RelationOffer], folder: Path) -> str:
    first, *others = offers
    parts = [f"{first.gives} may follow from {join_names(first.reads)}"]
    parts += [f"{offer.gives} from {join_names(offer.reads)}" for offer in others]
    between = ", and" if others else " and"
    relate = command("relate", folder)
    return f"{', '.join(parts)}{between} need not be bought then: `{relate}` measures how well"


def labels_of_all(reads: int) -> str:
    """Name the labels of all tasks that a relation with some read tasks connects.

    Example:
        >>> labels_of_all(1), labels_of_all(2)
        ('labels of both', 'labels of all')
    """
    if reads == 1:
        return "labels of both"
    return "labels of all"
