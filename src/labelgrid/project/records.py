"""Reads and writes the files of a round as typed records, and the note of previews to come.

Loads no torch.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from labelgrid.basics.config import parse
from labelgrid.basics.errors import ProjectError, RecipeError
from labelgrid.basics.files import disk_errors, read_text, remove_folder, write_text
from labelgrid.basics.results import ClassScore, Result, replace_non_finite
from labelgrid.basics.shown import Shown, table
from labelgrid.basics.words import count_text, join_names
from labelgrid.ledger.grid import Pick, explained_row

T = TypeVar("T")
#: The checkpoint of the epoch with the least loss on val.
BEST = "best.ckpt"
#: The number of picks of a round, from the first, that get pictures.
SHOWN = 24
#: The previews of a round, by their folders; and the file that lists those which are not written
#: yet.
PREVIEWS = ("prelabels", "pictures")
PENDING = "previews-pending.txt"
#: The keys that every entry of `picks.json` has.
_PICK_KEYS = ("image", "task", "score", "cost", "why")


@dataclass(frozen=True, kw_only=True, repr=False)
class Fit(Shown):
    """A finished training of a round: `fit.json`.

    Args:
        round: its number.
        checkpoint: the final checkpoint file, relative to the project folder.
        model: the digest of the evaluated weights and, with terms, of the terms' states.
        recipe: the whole recipe.
        seed: the seed of the training.
        trained: the tasks that had a training label.
        images: the number of images that were trained on, without those that only choose the model.
        labels: the number of their labels, by task.
        spent: the cost of all labels in the splits train and val at that time.
        named: the recipe that was named for this training instead of the project's; "" is the
            project's.
        tasks: what the tasks declared of their labels, see `target_declarations`.
        predictions: the folder of predictions by a network outside the program, whose digest is
            `model`; "" for a training.
        filled: the number of labels that nobody bought, derived or supplied, by task.
        derived: the worth of derived labels in bought labels, by task.
        changes: the overrides of the recipe that were given for this training alone.
        event: the ledger's newest event when the labels were read; None: unknown, in records of
            older versions.
        encoder: the hash of the frozen encoder that the checkpoint leaves out; "": it is whole.
    """

    round: int
    checkpoint: str
    model: str
    recipe: Mapping[str, Mapping[str, Any]]
    seed: int
    trained: list[str]
    images: int
    labels: Mapping[str, int]
    spent: float
    named: str = ""
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    predictions: str = ""
    filled: Mapping[str, int] = field(default_factory=dict)
    derived: Mapping[str, float] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    event: int | None = None
    encoder: str = ""

    @property
    def predicts(self) -> bool:
        """Whether there are predictions that count; not before the first training."""
        return bool(self.checkpoint or self.predictions)

    def __str__(self) -> str:
        if self.predictions:
            return f"Round {self.round} has the predictions in {self.predictions}."
        labels = join_names([f"{count:,} {task}" for task, count in self.labels.items()])
        images = count_text(self.images, "image")
        return (
            f"Round {self.round}: trained on {images} with {labels} labels -> {self.checkpoint}\n"
            "evaluate() has its metrics; query(budget) picks the next labels."
        )

    def _parts(self) -> Iterator[str]:
        if not any(self.filled.values()):  # the words say all
            return
        rows = [(task, count, self.filled.get(task, 0)) for task, count in self.labels.items()]
        yield table(("task", "labels", "derived or supplied"), rows)


@dataclass(frozen=True)
class MemberRecord:
    """A further network trained beside a round's: `fit/members/NAME/member.json`.

    Args:
        checkpoint: the file that counts, relative to the project folder.
        model: its digest.
        encoder: as of `Fit`.
    """

    checkpoint: str
    model: str
    encoder: str = ""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The metrics of a round's network on the held-out labels: `heldout.json`.

    Args:
        round: its number.
        model: the hash of its weights.
        labels: the number of labels of each task it was trained on.
        spent: the cost of these labels.
        heldout_labels: the number of labels of each task it was measured on.
        metrics: the metrics by task, then by name; NaN without labels to measure on (null in the
            file).
        loss_mtl: the weighted sum of the losses of the final predictions.
        heldout_set: the hash of the held-out labels; metrics on other labels are not comparable. ""
            if unknown.
        without: the values of each metric with one block of held-out images left out in turn, by
            task.
        classes: the score of each class on the held-out labels, by task; empty in older files.
    """

    round: int
    model: str
    labels: Mapping[str, int]
    spent: float
    heldout_labels: Mapping[str, int]
    metrics: Mapping[str, Mapping[str, Result]]
    loss_mtl: float
    heldout_set: str = ""
    without: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, ClassScore]] = field(default_factory=dict)

    def is_comparable(self, other: "Measurement") -> bool:
        """Whether another round was measured on the same labels."""
        return (self.heldout_set, self.heldout_labels) == (other.heldout_set, other.heldout_labels)


@dataclass(frozen=True)
class EpochRecord:
    """An epoch of a training: a line of `log.jsonl`.

    Args:
        epoch: its number, from 1.
        loss: the mean loss of each task over its labels.
        val: the metrics on the validation images, if there are any.
        terms: the mean loss of each term over the images, weighted, by `term.name`.
    """

    epoch: int
    loss: Mapping[str, float]
    val: Mapping[str, float] = field(default_factory=dict)
    terms: Mapping[str, float] = field(default_factory=dict)


def read_fit(folder: Path) -> Fit | None:
    """The finished training of a round's folder.

    Raises:
        ProjectError: the file is damaged.
    """
    path = folder / "fit.json"
    if not path.is_file():
        return None
    return _record(Fit, _json(path), path)


def all_fits(project_folder: Path) -> list[Fit]:
    """All finished trainings, in the order of their rounds."""
    folders = sorted((project_folder / "rounds").glob("*"))
    return [fit for folder in folders if (fit := read_fit(folder))]


def newest_fit(project_folder: Path, before: int = 0, *, outside: bool = True) -> Fit | None:
    """The newest finished training, or the newest one of a round before `before`.

    None if there is none. `outside`: predictions of a network outside the program count, too.
    """
    for path in sorted(project_folder.glob("rounds/*/fit.json"), reverse=True):
        fit = read_fit(path.parent)
        if fit and (not before or fit.round < before) and (outside or not fit.predictions):
            return fit
    return None


def write_fit(folder: Path, fit: Fit) -> None:
    """Write the record of a finished training into a round's folder."""
    _write(folder / "fit.json", asdict(fit))


def write_member(folder: Path, name: str, record: MemberRecord) -> None:
    """Write the record of a finished member into a round's folder."""
    _write(folder / "fit" / "members" / name / "member.json", asdict(record))


def read_members(folder: Path) -> dict[str, MemberRecord]:
    """The finished members of a round's training, by name, from the round's folder.

    Raises:
        ProjectError: a file is damaged.
    """
    paths = sorted(folder.glob("fit/members/*/member.json"))
    return {path.parent.name: _record(MemberRecord, _json(path), path) for path in paths}


def read_measurement(folder: Path) -> Measurement | None:
    """The metrics of a round's network on the held-out labels.

    Raises:
        ProjectError: the file is damaged.
    """
    path = folder / "heldout.json"
    if not path.is_file():
        return None
    return _record(Measurement, _nan_for_null(_json(path)), path)


def _nan_for_null(value: Any) -> Any:
    if value is None:
        return math.nan
    if isinstance(value, dict):
        return {key: _nan_for_null(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_nan_for_null(item) for item in value]
    return value


def measured_rounds(project_folder: Path, newest: int | None = None) -> list[Measurement]:
    """The held-out metrics of all rounds, but for networks that were trained again since.

    With `newest`, at most this number; older rounds are not read.

    Raises:
        ProjectError: a file is damaged.
    """
    measured: list[Measurement] = []
    for path in sorted(project_folder.glob("rounds/*/heldout.json"), reverse=True):
        if len(measured) == newest:
            break
        fit = read_fit(path.parent)
        metrics = read_measurement(path.parent)
        if fit and metrics and metrics.model == fit.model:
            measured.append(metrics)
    return measured[::-1]


def write_measurement(
    folder: Path, measured: Measurement, heldout_spent: float, losses: Mapping[str, float]
) -> None:
    """Write the metrics of a round's network on the held-out labels.

    `losses` are by task.
    """
    values = asdict(measured) | {"heldout_spent": heldout_spent, "losses": dict(losses)}
    _write(folder / "heldout.json", replace_non_finite(values))


def remove_measurement(folder: Path) -> None:
    """Remove the metrics of a round's network on the held-out labels, if there are any."""
    (folder / "heldout.json").unlink(missing_ok=True)


def read_picks(folder: Path) -> list[Pick]:
    """The picks of a round, best first.

    Raises:
        ProjectError: the file is damaged.
    """
    path = folder / "picks.json"
    if not path.is_file():
        return []
    values = _json(path)
    if not isinstance(values, list):
        raise _damaged(path, "a list was expected")
    return [_pick(value, path) for value in values]


def _pick(row: Any, path: Path) -> Pick:
    """The pick of an entry of `picks.json`, where the cell's names are fields of their own."""
    if not isinstance(row, Mapping):
        raise _damaged(path, "a table was expected")
    for key in _PICK_KEYS:
        if key not in row:
            raise _damaged(path, f"{key}: field required")
    cell = {"image_id": row["image"], "task": row["task"]}
    return _record(Pick, {**row, "cell": cell}, path)


def write_picks(folder: Path, picks: Sequence[Pick]) -> None:
    """Write the picks of a round, best first; terms and explanations only where there are some."""
    rows = []
    for pick in picks:
        values = {
            "image": pick.cell.image_id,
            "task": pick.cell.task,
            "score": pick.score,
            "cost": pick.cost,
            "why": pick.why,
            "terms": pick.terms,
            "request_id": pick.request_id,
            "weight": pick.weight,
            "explanation": pick.explanation,
        }
        rows.append(values)
    _write(folder / "picks.json", list(map(explained_row, rows)))


def remove_picks(folder: Path) -> None:
    """Remove an undone round's picks and previews, as far as the disk allows.

    The round's next query replaces what is left.
    """
    with suppress(OSError, ProjectError):
        announce_previews(folder, ())
        (folder / "picks.json").unlink(missing_ok=True)


def announce_previews(folder: Path, names: Sequence[str]) -> None:
    """Note the previews after a round's request, and remove older previews.

    Older ones are of picks that were not requested. Call it before the request: a query that is
    killed in between is an open round, and chooses again.

    Raises:
        ProjectError: the disk reports an error.
    """
    for name in PREVIEWS:
        remove_folder(folder / name)
    with disk_errors(folder, "Nothing was requested."):
        (folder / PENDING).unlink(missing_ok=True)
        if names:
            write_text(folder / PENDING, "".join(f"{name}\n" for name in names))


def pending_previews(folder: Path) -> tuple[str, ...]:
    """The names of a round's previews that are not written yet."""
    try:
        words = read_text(folder / PENDING).split()
    except (OSError, ValueError):  # there are none, or the file is not of this program
        return ()
    return tuple(name for name in PREVIEWS if name in words)


def read_log(folder: Path) -> list[EpochRecord] | None:
    """The epochs of a round's training, finished or not; None without a log.

    Raises:
        ProjectError: the file is damaged.
    """
    path = folder / "fit" / "log.jsonl"
    if not path.is_file():
        return None
    return _epochs(path.read_bytes().splitlines(), path)


def _epochs(lines: Sequence[bytes], path: Path) -> list[EpochRecord]:
    return [_record(EpochRecord, _parsed(line, path), path) for line in lines]


def fit_val_metrics(folder: Path, checkpoint: str) -> Mapping[str, float]:
    """As `val_metrics` of the log in a round's folder.

    Only the needed lines of the log are parsed.

    Raises:
        ProjectError: such a line is damaged.
    """
    path = folder / "fit" / "log.jsonl"
    lines = path.read_bytes().splitlines() if path.is_file() else []
    counting = lines if Path(checkpoint).name == BEST else lines[-1:]
    return val_metrics(_epochs(counting, path), checkpoint)


def val_metrics(log: Sequence[EpochRecord], checkpoint: str) -> Mapping[str, float]:
    """The validation metrics of the epoch of the final checkpoint.

    That is the last epoch, or the one with the lowest loss.

    Example:
        >>> first = EpochRecord(1, {}, {"loss_mtl": 2.0})
        >>> log = [first, EpochRecord(2, {}), EpochRecord(3, {}, {"loss_mtl": 2.5})]
        >>> val_metrics(log, "rounds/0001/fit/best.ckpt")
        {'loss_mtl': 2.0}
        >>> val_metrics(log, "rounds/0001/fit/last.ckpt")
        {'loss_mtl': 2.5}
    """
    if not log:
        return {}
    measured = [record.val for record in log if record.val]
    if Path(checkpoint).name == BEST and measured:
        return min(reversed(measured), key=lambda val: val["loss_mtl"])
    return log[-1].val


def _write(path: Path, values: Any) -> None:
    write_text(path, json.dumps(values, indent=1) + "\n")


def _json(path: Path) -> Any:
    return _parsed(path.read_bytes(), path)


def _parsed(text: bytes, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error


def _record(kind: type[T], values: Any, path: Path) -> T:
    """Parse a file's values, without unknown fields, which a newer program may have written."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    if not isinstance(values, Mapping):
        raise _damaged(path, "a table was expected")
    known_fields = {name: values[name] for name in names if name in values}
    try:
        return parse(kind, known_fields, str(path), finite=False)
    except RecipeError as error:
        raise _damaged(path, error.what) from error


def _damaged(path: Path, fault: str) -> ProjectError:
    return ProjectError(
        f"A file of a round is damaged: {fault.rstrip('.')}.",
        where=path,
        next_step="Restore it from a copy, or remove it: the project works without it.",
    )
