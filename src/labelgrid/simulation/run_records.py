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
    """The keys of the runs of which `records.parquet` has any record.

    Raises:
        ProjectError: the table is damaged.
    """
    if not (out / RECORDS).is_file():
        return set()
    return {
        key
        for key, found in results.records_by_run(results.read_outcomes(out, RECORDS), runs).items()
        if found
    }


def recorded_runs(out: Path, runs: Sequence[Run], study: Study) -> dict[str, Sequence[Outcome]]:
    """The records of runs that need not run, by run key.

    These runs have no folder, and `records.parquet` has a record of each of their rounds. A start
    that another run still has to continue is not among them.

    Args:
        out: the study's folder.
        runs: of the study.
        study: the study, with the number of rounds that the runs need.

    Raises:
        ProjectError: the table is damaged.
    """
    if not (out / RECORDS).is_file():
        return {}
    absent = [run for run in runs if not (out / "runs" / run.key).exists()]
    records = results.records_by_run(results.read_outcomes(out, RECORDS), absent)
    complete = {
        run.key for run in absent if len({r.round for r in records[run.key]}) >= run.networks(study)
    }
    needed = {
        run.start(study).key for run in absent if run.kind == "strategy" and run.key not in complete
    }
    return {key: records[key] for key in complete - needed}
