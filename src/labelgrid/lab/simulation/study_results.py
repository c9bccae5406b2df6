"""Collects, writes and reads the results of a study: one record per run, round, task and metric.

Loads no torch.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.files import atomic_write, disk_errors
from labelgrid.basics.results import LOSS, Better, Result
from labelgrid.basics.spreadsheets import escape_formula
from labelgrid.basics.type_names import Json, Values
from labelgrid.lab.simulation.runs import Run, describe_point
from labelgrid.lab.simulation.study_recipe import Study
from labelgrid.project.records import Measurement, read_measurement

#: The task of `LOSS` in the records.
OVERALL = "all"
#: The table of all records, in a study's folder.
TABLE = "outcomes.parquet"
#: A copy of an earlier `TABLE`, in a study's folder: its runs need not run again.
RECORDS = "records.parquet"
#: Arrow's names of the types of an outcome's fields.
_TYPES: Mapping[Any, str] = {str: "string", int: "int64", float: "float64"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A metric of a run's network after a round, on the test split.

    Args:
        strategy: the run's name: its arm's, or its kind's.
        labels: the labels of all tasks that the network was trained on.
        task_labels: the labels of the metric's task.
        cost: the cost of the labels so far, with those of the val split.
        point: the run's values of recipe keys, `train.steps=500, …`.
    """

    kind: str
    strategy: str
    seed: int
    point: str
    round: int
    labels: int
    task_labels: int
    cost: float
    task: str
    metric: str
    value: float
    unit: str
    better: str


def outcomes_of(run: Run, folder: Path) -> Iterator[Outcome]:
    """Read the records of a run so far, by round."""
    for round_folder in sorted(folder.glob("rounds/*")):
        measured = read_measurement(round_folder)
        if measured is None:
            continue
        total = sum(measured.labels.values())
        rows = []
        for task, metrics in measured.metrics.items():
            task_labels = measured.labels.get(task, 0)
            rows += [(task, result, task_labels) for result in metrics.values()]
        rows.append((OVERALL, Result(LOSS, measured.loss_mtl, "", "lower"), total))
        for task, result, task_labels in rows:
            yield Outcome(
                kind=run.kind,
                strategy=run.name,
                seed=run.seed,
                point=describe_point(run.point),
                round=measured.round,
                labels=total,
                task_labels=task_labels,
                cost=measured.spent,
                task=task,
                metric=result.name,
                value=result.value,
                unit=result.unit,
                better=result.better,
            )


def write_outcomes(outcomes: Iterable[Outcome], folder: Path) -> None:
    """Write `outcomes.parquet` and `outcomes.csv`, each atomically.

    Raises:
        ProjectError: the disk reports an error.
    """
    import pyarrow as pa  # imported late: the page's study pages are loaded where it is missing
    from pyarrow import csv, parquet

    rows = [asdict(outcome) for outcome in outcomes]
    schema = pa.schema(
        [(part.name, pa.type_for_alias(_TYPES[part.type])) for part in fields(Outcome)]
    )
    table = pa.Table.from_pylist(rows, schema=schema)
    with disk_errors(folder):
        with atomic_write(folder / TABLE, durable=True) as temporary:
            parquet.write_table(table, temporary, write_page_checksum=True)
        with atomic_write(folder / "outcomes.csv", durable=True) as temporary:
            escaped = [_escape_formulas(row) for row in rows]
            csv.write_csv(pa.Table.from_pylist(escaped, schema=schema), temporary)


def _escape_formulas(row: Values) -> Json:
    return {name: escape_formula(value) for name, value in row.items()}


def read_outcomes(folder: Path, name: str = TABLE) -> list[Outcome]:
    """Read the records that `write_outcomes` wrote, or a copy of another name.

    Raises:
        ProjectError: the file is missing or damaged.
    """
    from pyarrow import parquet  # imported late, as in `write_outcomes`

    path = folder / name
    try:
        table = parquet.read_table(path, page_checksum_verification=True)
        return [Outcome(**row) for row in table.to_pylist()]
    except Exception as error:  # Arrow raises many types
        raise ProjectError(
            f"The table of outcomes cannot be read ({type(error).__name__}).",
            where=path,
            next_step="Restore it from a copy, or remove it: "
            "`labelgrid simulate` makes its records again.",
        ) from error


def records_by_run(records: Sequence[Outcome], runs: Sequence[Run]) -> dict[str, list[Outcome]]:
    """Group records by the key of their run; a run without any has an empty list."""
    by_run: dict[str, list[Outcome]] = {run.key: [] for run in runs}
    keys = {(str(run.kind), run.name, run.seed, describe_point(run.point)): run.key for run in runs}
    for record in records:
        key = keys.get((record.kind, record.strategy, record.seed, record.point))
        if key:
            by_run[key].append(record)
    return by_run


def measurements_of(records: Sequence[Outcome]) -> list[Measurement]:
    """Turn a run's records into measurements, by round."""
    rounds: defaultdict[int, list[Outcome]] = defaultdict(list)
    for record in records:
        rounds[record.round].append(record)
    return [_measurement(of_round) for _, of_round in sorted(rounds.items())]


def _measurement(records: Sequence[Outcome]) -> Measurement:
    """Turn the records of one round into a measurement, as far as the records know."""
    first = records[0]
    loss = math.nan
    metrics: dict[str, dict[str, Result]] = {}
    labels: dict[str, int] = {}
    for record in records:
        if (record.task, record.metric) == (OVERALL, LOSS):
            loss = record.value
            continue
        better: Better = "higher" if record.better == "higher" else "lower"
        result = Result(record.metric, record.value, record.unit, better)
        metrics.setdefault(record.task, {})[record.metric] = result
        labels[record.task] = record.task_labels
    return Measurement(
        round=first.round,
        model="",
        labels=labels,
        spent=first.cost,
        heldout_labels={},
        metrics=metrics,
        loss_mtl=loss,
    )


def keys_with_records(out: Path, runs: Sequence[Run]) -> set[str]:
    """Find the keys of the runs of which `records.parquet` has any record.

    Raises:
        ProjectError: the table is damaged.
    """
    if not (out / RECORDS).is_file():
        return set()
    records = records_by_run(read_outcomes(out, RECORDS), runs)
    keys = set()
    for key, run_records in records.items():
        if run_records:
            keys.add(key)
    return keys


def recorded_runs(out: Path, runs: Sequence[Run], study: Study) -> dict[str, Sequence[Outcome]]:
    """Read the records of runs that need not run, by run key.

    These runs have no folder, and `records.parquet` has a record of each of their rounds. A start
    that another run still has to continue is not among them.

    Raises:
        ProjectError: the table is damaged.
    """
    if not (out / RECORDS).is_file():
        return {}
    absent = [run for run in runs if not (out / "runs" / run.key).exists()]
    records = records_by_run(read_outcomes(out, RECORDS), absent)
    complete = set()
    needed = set()
    for run in absent:
        rounds = {record.round for record in records[run.key]}
        if len(rounds) >= run.networks(study):
            complete.add(run.key)
        elif run.kind == "strategy":
            needed.add(run.start(study).key)
    return {key: records[key] for key in complete - needed}
