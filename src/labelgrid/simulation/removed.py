"""Keeps the results of runs whose folders were removed: their records stay, and finished ones are not run again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from labelgrid.simulation import results
from labelgrid.simulation.results import Outcome
from labelgrid.simulation.runs import Run, describe_point
from labelgrid.simulation.study import Study

#: The records of runs without a folder, by run key.
Removed = Mapping[str, Sequence[Outcome]]


def removed_runs(out: Path, runs: Sequence[Run]) -> Removed:
    """The records in a study's `outcomes.parquet` of runs whose folders are not there.

    Raises:
        ProjectError: the table is damaged.
    """
    if not (out / results.TABLE).is_file():
        return {}
    keys = {results.key_of(run.kind, run.name, run.seed, describe_point(run.point)): run.key for run in runs}
    gone = {key for key in keys.values() if not (out / "runs" / key).exists()}
    removed: dict[str, list[Outcome]] = {}
    for record in results.read_outcomes(out):
        key = keys.get(results.key_of(record.kind, record.strategy, record.seed, record.point), "")
        if key in gone:
            removed.setdefault(key, []).append(record)
    return removed


def recorded_runs(out: Path, runs: Sequence[Run], study: Study) -> set[str]:
    """The keys of removed runs that need not run again.

    These are runs with a record of each round, but for starts that a run without a folder still has to continue.

    Raises:
        ProjectError: the table of records is damaged.
    """
    removed = removed_runs(out, runs)
    complete = {run.key for run in runs if _rounds(removed.get(run.key, ())) >= run.networks(study)}
    needed = {
        run.start(study).key
        for run in runs
        if run.kind == "strategy" and run.key not in complete and not (out / "runs" / run.key).exists()
    }
    return complete - needed


def _rounds(records: Sequence[Outcome]) -> int:
    return len({record.round for record in records})
