"""Copies a project's ledger to another database, all or nothing, and uses it there from then on.

Loads no torch.
"""

import shlex
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Connection

from labelgrid.basics.errors import LedgerError
from labelgrid.basics.files import write_text
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Json
from labelgrid.ledger import transfer
from labelgrid.ledger.creation import creation, discard
from labelgrid.ledger.database import MOVED, Database, moved_to, open_database, revision_of
from labelgrid.ledger.place import FILE, SETTINGS, LedgerPlace, place_in
from labelgrid.ledger.row_values import UNCHANGED
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import ledger_url, read_settings, text_with_ledger

#: What SQLite adds to the name of a file that is open, or was when its process was killed.
LOGS = ("-wal", "-shm")
#: Said of a ledger that is in use.
IN_USE = "in use"


@dataclass(frozen=True, kw_only=True)
class LedgerCopy:
    """A ledger that was copied.

    Args:
        source: where it was; it can still be read, and is written no longer.
        target: where it is.
        rows: how many rows were copied and compared; 0 if an earlier call had done that.
    """

    source: str
    target: str
    rows: int

    def __str__(self) -> str:
        return (
            f"Copied {self.rows:,} rows from {self.source} to {self.target}, and compared them.\n"
            f"The project uses {self.target} now. {self.source} is kept and written no longer."
        )

    def as_json(self) -> Json:
        """The fields as JSON values."""
        return asdict(self)


def copy_ledger(folder: Path, to: str, progress: Progress) -> LedgerCopy:
    """Copy a project's ledger to a database, or back to the project's file.

    Other processes wait with their changes until the copy is done, and are then refused: they must
    open the project again.

    `to` is a URL, or "labelgrid.db".

    Raises:
        LedgerError: it is there already, the target holds another ledger, or a database cannot be
            used. The project is unchanged, and uses the ledger that it used.
    """
    url = "" if to == FILE else ledger_url(to, folder)
    settings = read_settings(folder / SETTINGS)
    source = place_in(folder, settings.ledger)
    target = place_in(folder, url)
    if _name(source) == _name(target):
        raise LedgerError(
            "The project's ledger is there already.",
            where=_name(target),
            next_step="Name another place.",
            unchanged=UNCHANGED,
        )
    rows = 0
    if _use(source) != _name(target):
        with ProjectFolder.open(folder) as project, project.lock():
            rows = _copy(source, target, progress)
    text = (folder / SETTINGS).read_text(encoding="utf-8")
    write_text(folder / SETTINGS, text_with_ledger(text, url))
    return LedgerCopy(source=_name(source), target=_name(target), rows=rows)


def _name(ledger: LedgerPlace) -> str:
    """A place by its name in the project, whose folder may move later."""
    return ledger.name if isinstance(ledger, Path) else str(ledger)


def _use(ledger: LedgerPlace) -> str:
    """The use of a ledger: `IN_USE`, or the place of its copy; empty: there is no ledger."""
    if isinstance(ledger, Path) and not ledger.is_file():
        return ""
    with closing(Database(ledger)) as base, base.reading() as connection:
        revision = revision_of(connection)
        if revision == MOVED:
            return moved_to(connection)
        return IN_USE if revision else ""


def _copy(source: LedgerPlace, target: LedgerPlace, progress: Progress) -> int:
    with closing(open_database(source)) as old, old.writing() as written:
        rows = transfer.count_rows(written)
        use = _use(target)
        if use == IN_USE:  # of an earlier call, perhaps, that was stopped
            _check_equal(written, target, progress, rows)
        elif use in ("", _name(source)):
            _make(written, target, progress, rows)
        else:
            raise _other_ledger_error(target)
        transfer.close_for_good(written, _name(target))
    return rows


def _check_equal(written: Connection, target: LedgerPlace, progress: Progress, rows: int) -> None:
    progress.start("Comparing the ledgers", rows, "rows")
    with closing(open_database(target)) as new, new.reading() as there:
        if transfer.first_difference(written, there, progress):
            raise _other_ledger_error(target)


def _other_ledger_error(target: LedgerPlace) -> LedgerError:
    next_step = "Name another schema by ?schema=NAME, or remove what is there."
    if isinstance(target, Path):
        number = 1
        while (free := target.with_name(f"{target.name}.old{number}")).exists():
            number += 1
        move = shlex.join(["mv", "-n", str(target), str(free)])
        next_step = f"Move it away: `{move}`. Then run the same command again."
    return LedgerError(
        "There is another ledger already.",
        where=target,
        next_step=next_step,
        unchanged=UNCHANGED,
    )


def _make(written: Connection, target: LedgerPlace, progress: Progress, rows: int) -> None:
    """Make the copy, also in the place of an old ledger from which the source was copied."""
    if not isinstance(target, Path):
        if _use(target):
            discard(target)
        _fill(written, target, progress, rows)
        return
    # The log of an old file that a process has open would be taken for the new file's.
    if any(target.with_name(f"{target.name}{end}").exists() for end in LOGS):
        raise LedgerError(
            "Another process has the old ledger open.",
            where=target,
            next_step="Stop it (`serve`, say), or remove the old file and its log.",
            unchanged=UNCHANGED,
        )
    building = target.with_name(f"{target.name}.partial")
    for end in ("", *LOGS):
        building.with_name(f"{building.name}{end}").unlink(missing_ok=True)
    _fill(written, building, progress, rows)
    building.replace(target)


def _fill(written: Connection, target: LedgerPlace, progress: Progress, rows: int) -> None:
    with closing(Database(target)) as new, creation(new), new.reading() as copied:
        progress.start("Copying the ledger", rows, "rows")
        transfer.copy_rows(written, copied, progress)
        progress.start("Comparing the copy", rows, "rows")
        difference = transfer.first_difference(written, copied, progress)
        if difference:
            raise LedgerError(
                f"The copy is not equal to the ledger ({difference}).",
                where=target,
                next_step="Keep the ledger where it is, and report this.",
                unchanged=UNCHANGED,
            )
