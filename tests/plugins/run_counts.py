"""Counts the rounds of each run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from labelgrid.basics.progress import Progress
from labelgrid.basics.results import Result
from labelgrid.lab.simulation.analysis import Finding
from labelgrid.lab.simulation.runs import Run
from labelgrid.project.folder import ProjectFolder


@dataclass(frozen=True)
class Options:
    """There are none."""


class RunCounts:
    kinds: ClassVar[frozenset[str]] = frozenset({"strategy"})
    within: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[str] = "rounds"

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        for run, folder in runs:
            with ProjectFolder.open(folder) as project:
                count = len(project.store.rounds())
            result = Result("rounds", count, "", "higher")
            yield Finding(run=run, keys={}, result=result, count=count)

    def drawings(self, means: Any) -> list[Any]:
        return []


def build(options: Options) -> RunCounts:
    return RunCounts()
