"""What was asked for of the grid, and in which round."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Cells that no round has a label of.
NEVER, WAITING, SKIPPED = "not asked for", "no answer yet", "skipped"
OTHERS = (WAITING, SKIPPED, NEVER)


@dataclass(frozen=True)
class RequestHistory:
    """What was asked for of n images × t tasks.

    Args:
        tasks: their names.
        round: int [n, t], in which round a cell was asked for; 0 is outside any, -1 never.
        waiting, skipped: bool [n, t], cells without an answer yet, and refused ones.
    """

    tasks: Sequence[str]
    round: NDArray[np.int64]
    waiting: NDArray[np.bool_]
    skipped: NDArray[np.bool_]

    @property
    def kinds(self) -> list[str]:
        """What there is to tell apart: rounds with a label, then what is none."""
        rounds = np.unique(self.round[(self.round >= 0) & ~self.waiting & ~self.skipped])
        return [name_of(int(number)) for number in rounds] + list(OTHERS)

    def codes(self) -> NDArray[np.int64]:
        """Int [n, t], each cell's place among the kinds."""
        kinds = {kind: place for place, kind in enumerate(self.kinds)}
        codes = np.full(self.round.shape, kinds[NEVER])
        for number in np.unique(self.round[self.round >= 0]):
            codes[self.round == number] = kinds.get(name_of(int(number)), 0)
        codes[self.waiting], codes[self.skipped] = kinds[WAITING], kinds[SKIPPED]
        return codes

    def counts(self) -> dict[str, dict[str, int]]:
        """By task, how many cells are of each kind.

        Example:
            >>> no = np.zeros((2, 1), bool)
            >>> RequestHistory(["depth"], np.array([[1], [-1]]), no, no).counts()["depth"]["round 1"]
            1
        """
        codes, kinds = self.codes(), self.kinds
        return {
            task: dict(zip(kinds, np.bincount(codes[:, column], minlength=len(kinds)).tolist(), strict=True))
            for column, task in enumerate(self.tasks)
        }


def name_of(number: int) -> str:
    """A round as the picture names it; 0 is outside any."""
    return f"round {number}" if number else "outside the rounds"
