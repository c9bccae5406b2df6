"""Reads `about.toml`, which says what the records of a study or a folder of printed figures are."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tools.table_records import TableError

#: The name of the file.
ABOUT = "about.toml"


@dataclass(frozen=True, kw_only=True)
class RunsTable:
    """A table of runs.

    Args:
        title: above it, if the page has several.
        reference: the run that the others are compared with.
        runs: its rows, in order; all runs of the records by their loss if empty.
    """

    title: str = ""
    reference: str = ""
    runs: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class RatiosTable:
    """A table of the labels by which arms reach the values of a run, by metric.

    Args:
        title: above it.
        goal: the run.
        runs: the arms, by what they pay.
        unused_labels: labels that each arm pays for and is not trained on.
        unused_cost: what these cost.
    """

    title: str
    goal: str
    runs: Sequence[str]
    unused_labels: int = 0
    unused_cost: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A table of figures whose data are not in the repository: a CSV file, with its first row as the headings."""

    file: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture below docs/images, and its text for readers who do not see it."""

    file: str
    text: str


@dataclass(frozen=True, kw_only=True)
class About:
    """What is written by hand on the page of a study.

    Args:
        title: of the page.
        text: the setting, in sentences.
        commands: those that made the records or the figures.
        metrics: the columns, such as "depth absErr"; the tasks' first metrics if empty.
        names: what a run is, by its name.
        published_as: the heading of `published`.
        published: the figures of a paper, by run.
        tables: of the runs after the last round.
        curves: whether the measures of whole curves are shown, however few the seeds.
        ratios: of the labels by which arms reach the values of a run.
        p_with: other studies for whose runs the p-values are corrected, too.
        cost_without: strategies that a second comparison at equal cost leaves out.
        pairs: pairs of strategies whose comparison is shown whatever its p.
        gains: whether the gains of each task over the first network are shown.
        printed: the tables of figures whose data are not here.
        pictures: of the page.
    """

    title: str
    text: str
    commands: str
    metrics: Sequence[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    published_as: str = ""
    published: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[RunsTable] = (RunsTable(),)
    curves: bool = False
    ratios: Sequence[RatiosTable] = ()
    p_with: Sequence[str] = ()
    cost_without: Sequence[str] = ()
    pairs: Sequence[tuple[str, str]] = ()
    gains: bool = False
    printed: Sequence[Printed] = ()
    pictures: Sequence[Picture] = ()


#: The keys that hold tables of TOML, and what each is read as.
PARTS: Mapping[str, type] = {
    "tables": RunsTable,
    "ratios": RatiosTable,
    "printed": Printed,
    "pictures": Picture,
}


def read_about(folder: Path) -> About:
    """What `about.toml` in a folder says.

    Raises:
        TableError: it is missing, no TOML, lacks a key or has an unknown one.
    """
    try:
        read = tomllib.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TableError(f"{ABOUT} cannot be read: {error}") from error
    for key, kind in PARTS.items():
        if key in read:
            read[key] = [_part(kind, part, f"{key} of {ABOUT}") for part in read[key]]
    about: About = _part(About, read, ABOUT)
    return about


def _part(kind: type, keys: Mapping[str, Any], where: str) -> Any:
    unknown = keys.keys() - {one.name for one in fields(kind)}
    if unknown:
        raise TableError(f"{where} has an unknown key '{min(unknown)}'")
    try:
        return kind(**keys)
    except TypeError as error:
        raise TableError(f"{where} lacks a key: {error}") from error
