"""Proposes a budget in the unit of the last query, and says what a budget costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelgrid.basics.type_names import Values
from labelgrid.ledger.grid import Unit
from labelgrid.operations.next_step import NextStep


@dataclass(frozen=True)
class ProposedBudget:
    """A budget that a form proposes.

    Args:
        amount: how much; 0: nothing is proposed.
        unit: what the amount counts, such as labels.
    """

    amount: float
    unit: Unit = "labels"

    def cost(self, tasks: Mapping[str, Mapping[str, float]]) -> float:
        """The rough cost: an image with all labels, a label as the mean missing label.

        Args:
            tasks: the `cost` of a label and the number of `missing` labels, by task.

        Example:
            >>> tasks = {
            ...     "semseg": {"cost": 10, "missing": 30},
            ...     "depth": {"cost": 1, "missing": 60},
            ... }
            >>> ProposedBudget(20, "images").cost(tasks), ProposedBudget(6).cost(tasks)
            (220.0, 24.0)
        """
        if self.unit == "cost":
            return self.amount
        if self.unit == "images":
            return float(self.amount * sum(task["cost"] for task in tasks.values()))
        missing = sum(task["missing"] for task in tasks.values())
        price = sum(task["cost"] * task["missing"] for task in tasks.values())
        return self.amount * price / max(missing, 1)


def proposed_budget(rounds: Sequence[Values], step: NextStep) -> ProposedBudget:
    """The budget of the next step; before other steps than a query, of the last query.

    Args:
        rounds: as `status` tells them.
        step: the step of the campaign.
    """
    if step.budget:
        return ProposedBudget(step.budget, step.unit)
    for row in reversed(rounds):
        if row["budget"]:
            return ProposedBudget(row["budget"], row["unit"])
    return ProposedBudget(0.0)
