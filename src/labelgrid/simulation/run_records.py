"""Reads the records of runs that have no folder, so that they need not run again."""

from collections.abc import Sequence
from pathlib import Path

from labelgrid.simulation import results
from labelgrid.simulation.results import Outcome
from labelgrid.simulation.runs import Run
from labelgrid.simulation.study import Study

#: A copy of an earlier `outcomes.parquet`, in a study's folder.
RECORDS = "records.parquet"


def keys_with_records(out: Path, runs: Sequence[Run]) -> set[str]:
    """Find the keys of the runs of which `records.parquet` has any record.

    Raises:
        ProjectError: the table is damaged.
    """
    if not (out / RECORDS).is_file():
        return set()
    records = results.records_by_run(results.read_outcomes(out, RECORDS), runs)
    return {key for key, run_records in records.items() if run_records}


def recorded_runs(out: Path, runs: Sequence[Run], study: Study) -> dict[str, Sequence[Outcome]]:
    """Read the records of runs that need not run, by run key.

    These runs have no folder, and `records.parquet` has a record of each of their rounds. A start
    that another run still has to continue is not among them.

    Args:
        out: the study's folder.
        runs: runs of the study.
        study: the study, with the number of rounds that the runs need.

    Raises:
        ProjectError: the table is damaged.
    """
    if not (out / RECORDS).is_file():
        return {}
    absent = [run for run in runs if not (out / "runs" / run.key).exists()]
    records = results.records_by_run(results.read_outcomes(out, RECORDS), absent)
    complete = set()
    needed = set()
    for run in absent:
        rounds = {record.round for record in records[run.key]}
        if len(rounds) >= run.networks(study):
            complete.add(run.key)
        elif run.kind == "strategy":
            needed.add(run.start(study).key)
    return {key: records[key] for key in complete - needed}
