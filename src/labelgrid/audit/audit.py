"""Ranks the labels of a project by how likely they are wrong, as a table and a picture."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path

from labelgrid.audit.confirmed_labels import confirmed_paths
from labelgrid.audit.label_shards import find_evidence
from labelgrid.basics.errors import ProjectError, UsageError
from labelgrid.basics.files import need_networks, write_bytes, write_text
from labelgrid.basics.progress import Progress
from labelgrid.basics.shown import Shown, picture_of, table
from labelgrid.basics.spreadsheets import csv_text
from labelgrid.basics.words import count_text
from labelgrid.evidence.doubt_sheet import draw_doubtful
from labelgrid.evidence.doubts import OfLabels
from labelgrid.evidence.label_doubt import rank_by_doubt
from labelgrid.evidence.label_evidence import LabelEvidence
from labelgrid.evidence.part_grid import PartBox
from labelgrid.executors.workplace import IN_THIS_PROCESS, Workplace
from labelgrid.ledger.grid import Cell, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.known_labels import ProjectLabels
from labelgrid.project.label_losses import note_label_losses

#: The files of the project with the result.
TABLE = "audit.csv"
SHEET = "audit.png"


@dataclass(frozen=True)
class SeenLabel:
    """A label as an audit saw it: the task, the image, and the path of the file in the project."""

    task: str
    image: str
    path: str


@dataclass(frozen=True, kw_only=True, repr=False)
class AuditedLabel(Shown):
    """A label and the evidence against it: a row of `audit.csv`.

    Args:
        task: its task.
        image: its image.
        place: among the labels of its task; 1 is the most doubtful.
        doubt: see `labelgrid.evidence.label_doubt`; 0 if nothing speaks against it.
        reasons: what does, in words, the strongest first.
        path: the path of its file in the project.
        confirmed: whether somebody looked at it and found it right.
        others: reason -> further labels behind the reason, such as a contradicting label.
        part: the part that looks wrong, in percent of width and height; None: no part alone.
    """

    task: str
    image: str
    place: int
    doubt: float
    reasons: Sequence[str]
    path: str
    confirmed: bool = False
    others: Mapping[str, Sequence[SeenLabel]] = field(default_factory=dict)
    part: PartBox | None = None

    def __str__(self) -> str:
        return f"{self.image}:{self.task}, doubt {self.doubt:.3g}: {'; '.join(self.reasons)}"


@dataclass(frozen=True, kw_only=True, repr=False)
class Audited(Shown):
    """The result of an audit.

    Args:
        labels: all labels, the most doubtful first; of equal doubt, in the order of their places.
        unread: labels that could not be read, or have no valid pixel, as `IMAGE:TASK`.
        folds: the number of networks that were trained.
        table: the file with the labels.
        sheet: the picture of the most doubtful ones; None if nothing speaks against any.
    """

    labels: Sequence[AuditedLabel]
    unread: Sequence[str]
    folds: int
    table: Path
    sheet: Path | None

    def doubtful(self, *, confirmed: bool = False) -> list[AuditedLabel]:
        """The labels that something speaks against, the most doubtful first.

        Args:
            confirmed: also those that somebody found right.
        """
        return [
            label for label in self.labels if label.doubt and (confirmed or not label.confirmed)
        ]

    def __str__(self) -> str:
        doubtful = len(self.doubtful())
        labels = count_text(len(self.labels), "label")
        return f"Something speaks against {doubtful:,} of {labels}; all are in {self.table}."

    def _parts(self) -> Iterator[str]:
        rows = []
        for label in self.doubtful():
            row = (label.doubt, label.task, label.image, "; ".join(label.reasons))
            rows.append(row)
        yield table(("doubt", "task", "image", "what speaks against the label"), rows)
        yield picture_of(self.sheet, "the most doubtful labels on their photographs")


def audit(
    project: ProjectFolder,
    folds: int,
    progress: Progress,
    *,
    all: bool = False,
    workplace: Workplace = IN_THIS_PROCESS,
) -> Audited:
    """Rank all labels of a project by how likely they are wrong; writes a table and a picture.

    Nothing else of the project changes.

    Args:
        project: the project.
        folds: networks to train, each without the labels that it judges; 0: none.
        progress: reports each image.
        all: draw confirmed labels, too.
        workplace: where labels are compared, in which shards, and where the networks are trained.

    Returns:
        All labels; none if only a share of this was done.

    Raises:
        UsageError: there is one fold.
        ProjectError: there is no label, networks are not installed, or the project is a run of a
            simulation.
        LabelgridError: a network cannot be trained.
    """
    _refuse(project, folds)
    table = project.folder / TABLE
    evidence = find_evidence(project, progress, workplace)
    is_trained = True
    if folds:
        from labelgrid.audit.audit_folds import fold_evidence, train_folds  # loads torch

        is_trained = train_folds(project, folds, progress, workplace)
    if evidence is None or not is_trained:
        return Audited(labels=[], unread=[], folds=folds, table=table, sheet=None)
    sorts = dict(evidence.sorts)
    pictures: Mapping[Cell, Path] = {}
    if folds:
        sorts["model"], pictures = fold_evidence(project, folds, progress)
        _note_losses(project, evidence, sorts["model"])
    confirmed = confirmed_paths(project)
    labels = []
    paths = {row.cell: row.path for rows in evidence.labels.values() for row in rows}
    for task, rows in evidence.labels.items():
        cells = [row.cell for row in rows]
        for rank, doubt in enumerate(rank_by_doubt(cells, sorts), 1):
            others = {}
            for text, seen in doubt.others.items():
                others[text] = [SeenLabel(cell.task, cell.image_id, paths[cell]) for cell in seen]
            label = AuditedLabel(
                task=task,
                image=doubt.cell.image_id,
                place=rank,
                doubt=round(doubt.score, 4),
                reasons=doubt.reasons,
                path=paths[doubt.cell],
                confirmed=paths[doubt.cell] in confirmed,
                others=others,
                part=doubt.part,
            )
            labels.append(label)
    labels.sort(key=lambda label: (-label.doubt, label.place, label.task))
    write_text(table, _table(labels))
    unread = [f"{cell.image_id}:{cell.task}" for cell in evidence.unread]
    audited = Audited(labels=labels, unread=unread, folds=folds, table=table, sheet=None)
    shown = audited.doubtful(confirmed=all)
    sheet = project.folder / SHEET
    if not shown:
        sheet.unlink(missing_ok=True)  # of an earlier audit
        return audited
    doubtful = {Cell(label.image, label.task): label.reasons for label in shown}
    parts = {Cell(label.image, label.task): label.part for label in shown if label.part}
    project_labels = ProjectLabels(project)
    write_bytes(sheet, draw_doubtful(project_labels, doubtful, pictures, len(labels), parts=parts))
    return replace(audited, sheet=sheet)


def _refuse(project: ProjectFolder, folds: int) -> None:
    if folds == 1:
        raise UsageError(
            "One fold of all images leaves nothing to learn from.",
            next_step="Use, for example, --folds 3; or 0, without a model.",
        )
    if project.settings.oracle:
        raise ProjectError(
            "This project is a run of a simulation: its labels are those of its data set.",
            where=str(project.folder),
            next_step="Audit a project with labels of its own.",
        )
    if next(iter(project.store.cells(state=State.LABELLED)), None) is None:
        raise ProjectError(
            "There is no label to audit.",
            where=str(project.folder),
            next_step="Import labels first.",
        )
    if folds:
        need_networks()


def _note_losses(project: ProjectFolder, evidence: LabelEvidence, of_model: OfLabels) -> None:
    """Keep the losses of the labels, by which the page orders images."""
    for task, rows in evidence.labels.items():
        losses = {}
        for row in rows:
            if row.cell in of_model:
                losses[row.digest] = math.exp(of_model[row.cell].value)
        if losses:
            note_label_losses(project, task, losses)


def _table(labels: Sequence[AuditedLabel]) -> str:
    columns = ("task", "image", "place", "doubt", "reasons", "path", "confirmed", "others", "part")
    rows = []
    for label in labels:
        # The other labels are JSON: reason -> lists of task, image and path.
        others = {text: list(map(astuple, seen)) for text, seen in label.others.items()}
        texts = {
            "reasons": "; ".join(label.reasons),
            "confirmed": "yes" if label.confirmed else "",
            "others": json.dumps(others, ensure_ascii=False) if others else "",
            "part": json.dumps(label.part) if label.part else "",
        }
        rows.append({**vars(label), **texts})
    return csv_text(columns, rows)
