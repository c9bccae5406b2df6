"""Checks that the pages beside the records of studies are those that the records make.

`--write` writes them.

A folder below docs/results/records has the records of a study; one below docs/results/printed has
figures of a study whose records were not kept, as they were printed. `about.toml` in each says what
they are; the page is its README.md.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from labelgrid.basics.errors import LabelgridError
from labelgrid.lab.reports.study_data import study_report
from labelgrid.lab.simulation.study_results import TABLE, read_outcomes
from tools.source import ROOT, report
from tools.table_about import ABOUT, About, read_about
from tools.table_campaigns import bought, columns, sections
from tools.table_ratios import RatioRows
from tools.table_records import Records, TableError
from tools.table_values import Pair, RunsRows, markdown

RESULTS = Path("docs/results")
RECORDS = RESULTS / "records"
PRINTED = RESULTS / "printed"
PAGE = "README.md"
#: The pictures, seen from a page.
IMAGES = "../../../images"
UPDATE = "run `.venv/bin/python -m tools.tables --write`"
WRITTEN = "<!-- written by `python -m tools.tables --write`; checked by `./dev check tables` -->"
NOT_KEPT = (
    "**The records of these runs are not in the repository**: the figures are those printed when they "
    "were measured; only the commands can compute them again."
)


def page(folder: Path) -> str:
    """The page of a folder of records or of printed figures.

    Raises:
        TableError: its files cannot be read, or do not fit each other.
        LabelgridError: its records cannot be read.
    """
    about = read_about(folder)
    parts = [
        f"# {about.title}",
        WRITTEN,
        about.text.strip(),
        f"```sh\n{about.commands.strip()}\n```",
    ]
    if (folder / TABLE).is_file():
        parts += recorded(folder, about)
    else:
        parts.append(NOT_KEPT)
    parts += printed(folder, about)
    parts += [f"![{picture.text}]({IMAGES}/{picture.file})" for picture in about.pictures]
    return "\n\n".join(parts) + "\n"


def recorded(folder: Path, about: About) -> Iterator[str]:
    """The tables that the records of a study make."""
    records = Records(read_outcomes(folder))
    study = study_report(folder)
    campaign = bought(study)
    metrics = about.metrics or [f"{task} {headline}" for task, headline in study.headlines.items()]
    further = _further(folder, about)
    yield "## After the last round" if campaign else "## Results"
    for spec in about.tables:
        if spec.title:
            yield f"### {spec.title}"
        gains = columns(study) if campaign else {}
        rows = RunsRows(records=records, about=about, spec=spec, metrics=metrics, columns=gains)
        yield rows.markdown(further)
    for ratios in about.ratios:
        yield f"### {ratios.title}"
        yield RatioRows(records=records, spec=ratios, metrics=metrics).markdown()
    if campaign:
        yield from sections(study, records, about)


def _further(folder: Path, about: About) -> dict[str, Pair]:
    """The pairs of the other studies for which p-values are corrected, too."""
    further: dict[str, Pair] = {}
    for name in about.p_with:
        other = folder.parent / name
        records = Records(read_outcomes(other))
        of_other = read_about(other)
        for spec in of_other.tables:
            rows = RunsRows(records=records, about=of_other, spec=spec, metrics=(), columns={})
            pairs = rows.pairs()
            further |= {f"{name} {run}": pair for run, pair in pairs.items()}
    return further


def printed(folder: Path, about: About) -> Iterator[str]:
    """The tables of figures whose data are not in the repository."""
    for table in about.printed:
        try:
            with (folder / table.file).open(encoding="utf-8", newline="") as file:
                headings, *rows = csv.reader(file)
        except (OSError, ValueError) as error:
            raise TableError(f"{table.file} cannot be read: {error}") from error
        if uneven := [row for row in rows if len(row) != len(headings)]:
            raise TableError(
                f"{table.file}: row '{uneven[0][0]}' has {len(uneven[0])} cells, not {len(headings)}"
            )
        note = " (printed; not from the records)" if (folder / TABLE).is_file() else ""
        yield f"## {table.title}{note}"
        yield markdown(headings, rows)


def folders(root: Path) -> list[Path]:
    """The folders that have a page."""
    return sorted(
        file.parent for part in (RECORDS, PRINTED) for file in (root / part).glob(f"*/{ABOUT}")
    )


def faults(root: Path) -> list[str]:
    """The pages that are not those of their records, and folders without a page."""
    lines = []
    for folder in folders(root):
        path = folder.relative_to(root).as_posix()
        try:
            expected = page(folder)
        except (TableError, LabelgridError) as error:
            lines.append(f"{path}: {error}")
            continue
        file = folder / PAGE
        if not file.is_file() or file.read_text(encoding="utf-8") != expected:
            lines.append(f"{path}/{PAGE} is not what its records make; {UPDATE}")
    kept = {file.parent for file in (root / RECORDS).glob(f"*/{TABLE}")}
    lacking = sorted(kept - set(folders(root)))
    return [
        *lines,
        *(f"{folder.relative_to(root).as_posix()}: there is no {ABOUT}" for folder in lacking),
    ]


def write(root: Path) -> None:
    """Write all pages; one that cannot be made stays as it is."""
    for folder in folders(root):
        try:
            (folder / PAGE).write_text(page(folder), encoding="utf-8")
        except (TableError, LabelgridError):
            continue  # `faults` says why


if __name__ == "__main__":
    if "--write" in sys.argv:
        write(ROOT)
    raise SystemExit(report(faults(ROOT)))
