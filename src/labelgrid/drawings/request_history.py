"""Records the requested cells of the grid and their rounds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labelgrid.basics.array_types import Bools, Ints

#: The kinds of cells without a label.
NEVER = "not requested"
WAITING = "no answer yet"
SKIPPED = "skipped"
OTHERS = (WAITING, SKIPPED, NEVER)


@dataclass(frozen=True)
class RequestHistory:
    """The requests for the cells of n images × t tasks.

    Args:
        tasks: t task names.
        round: int [n, t], the round that requested each cell; 0 is outside the rounds, -1 never
            requested.
        waiting: bool [n, t], requested cells without an answer.
        skipped: bool [n, t], cells that the annotator refused.
    """

    tasks: Sequence[str]
    round: Ints
    waiting: Bools
    skipped: Bools

    @property
    def kinds(self) -> list[str]:
        """The kinds of cells: rounds with a label, then the kinds without one."""
        rounds = np.unique(self.round[(self.round >= 0) & ~self.waiting & ~self.skipped])
        return [round_name(int(number)) for number in rounds] + list(OTHERS)

    def codes(self) -> Ints:
        """Int [n, t], the index of each cell's kind in `kinds`."""
        kinds = {kind: index for index, kind in enumerate(self.kinds)}
        codes = np.full(self.round.shape, kinds[NEVER])
        for number in np.unique(self.round[self.round >= 0]):
            codes[self.round == number] = kinds.get(round_name(int(number)), 0)
        codes[self.waiting] = kinds[WAITING]
        codes[self.skipped] = kinds[SKIPPED]
        return codes

    def counts(self) -> dict[str, dict[str, int]]:
        """The number of cells of each kind, by task.

        Example:
            >>> no = np.zeros((2, 1), bool)
            >>> history = RequestHistory(["depth"], np.array([[1], [-1]]), no, no)
            >>> history.counts()["depth"]["round 1"]
            1
        """
        codes = self.codes()
        kinds = self.kinds
        by_task = {}
        for column, task in enumerate(self.tasks):
            counts = np.bincount(codes[:, column], minlength=len(kinds))
            by_task[task] = dict(zip(kinds, counts.tolist(), strict=True))
        return by_task


def round_name(number: int) -> str:
    """The name of a round in the picture; 0 means outside the rounds."""
    return f"round {number}" if number else "outside the rounds"
