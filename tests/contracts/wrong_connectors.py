"""Connectors that each break one law: the plain folder with one fault."""

import dataclasses
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np

from labelgrid.annotate.answers import Answer, Answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.request import Request
from labelgrid.annotate.tools.folder import FolderConnector
from labelgrid.basics.errors import LabelError
from labelgrid.basics.progress import Progress
from labelgrid.basics.recognition import Recognition
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell, Move, State


class Swaps(FolderConnector):
    """Assigns each label to the other image."""

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        found = super().receive(answer, index)
        other = dict(zip(index.images(), reversed(index.images()), strict=True))
        found.labels = [
            dataclasses.replace(o, cell=Cell(other[o.cell.image_id], o.cell.task))
            for o in found.labels
        ]
        return found


class Smooths(FolderConnector):
    """Gives each second row of a label that of the row above, as a polygon loses thin lines."""

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        found = super().receive(answer, index)
        found.labels = [
            dataclasses.replace(one, label=partial(smooth, one, index)) for one in found.labels
        ]
        return found


def smooth(answer: Answer, index: ProjectIndex) -> LabelArray:
    label = index.tasks[answer.cell.task].read(Path(str(answer.label)))
    label.value[1::2] = label.value[: len(label.value) // 2 * 2 : 2]
    return label


class SendsAsStored(FolderConnector):
    """Sends all images as their files are."""

    def send(self, request: Request, out: Path, progress: Progress, *, link: bool = False) -> None:
        names = {image_id: image_id for image_id in request.images}
        super().send(dataclasses.replace(request, names=names), out, progress, link=link)


class ReadsOnce(FolderConnector):
    """Reads an answer only once."""

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        if (answer / ".seen").exists():
            raise LabelError("It was read.")
        (answer / ".seen").touch()
        return super().receive(answer, index)


class Clears(FolderConnector):
    """Clears the folder, even if it holds other files."""

    def send(self, request: Request, out: Path, progress: Progress, *, link: bool = False) -> None:
        shutil.rmtree(out, ignore_errors=True)
        super().send(request, out, progress, link=link)


class Hoards(FolderConnector):
    """Keeps the images of earlier requests."""

    def send(self, request: Request, out: Path, progress: Progress, *, link: bool = False) -> None:
        old = {path: path.read_bytes() for path in out.glob("images/*")}
        super().send(request, out, progress, link=link)
        for path, content in old.items():
            path.write_bytes(content)


class Forgets(FolderConnector):
    """Omits the best request."""

    def send(self, request: Request, out: Path, progress: Progress, *, link: bool = False) -> None:
        super().send(
            dataclasses.replace(request, items=request.items[1:]), out, progress, link=link
        )


class IgnoresSkips(FolderConnector):
    """Reads labels but no skips."""

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        found = super().receive(answer, index)
        found.skips = []
        return found


class Writes(FolderConnector):
    """Cancels the requests while it reads."""

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        found = super().receive(answer, index)
        index._store.move([Move(cell=one.cell, to=State.MISSING) for one in found.labels])
        return found


class TrustsPaths(FolderConnector):
    """Follows paths of the manifest outside the folder."""

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        found = Answers()
        for row in json.loads((answer / "manifest.json").read_text()):
            if (answer / row["path"]).is_file():
                found.labels.append(
                    Answer(
                        cell=Cell(row["image"], row["task"]),
                        where=row["path"],
                        label=answer / row["path"],
                    )
                )
        return found


class Trusts(FolderConnector):
    """Reads any manifest as its own JSON."""

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        json.loads((answer / "manifest.json").read_bytes())
        return super().receive(answer, index)


class HidesFaults(FolderConnector):
    """Ignores entries that it cannot read."""

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        found = super().receive(answer, index)
        found.faults = []
        return found


class KnowsNothing(FolderConnector):
    """Does not recognise what it sent."""

    def recognise(self, path: Path) -> Recognition | None:
        return None


class Claims(FolderConnector):
    """Recognises every folder with a manifest, whatever that holds."""

    def recognise(self, path: Path) -> Recognition | None:
        if (path / "manifest.json").is_file():
            return Recognition("a request's folder", 1.0)
        return None


class KeepsSpoiled(FolderConnector):
    """Reads what is wrong as a map of one number."""

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        found = super().receive(answer, index)
        found.labels = [
            dataclasses.replace(one, label=partial(read_anyhow, one, index)) for one in found.labels
        ]
        return found


def read_anyhow(answer: Answer, index: ProjectIndex) -> LabelArray:
    try:
        return index.tasks[answer.cell.task].read(Path(str(answer.label)))
    except LabelError:
        value = np.ones((8, 12, 1), np.int64)
        return LabelArray(value, value[..., 0] > 0)


BREAKS: dict[str, type[FolderConnector]] = {
    "what_is_answered_is_what_is_labelled": Swaps,
    "any_mask_comes_back_pixel_by_pixel": Smooths,
    "images_that_no_browser_shows_go_out_upright_and_their_labels_come_back": SendsAsStored,
    "an_answer_may_be_received_twice": ReadsOnce,
    "sent_twice_nothing_changes_and_answers_stay": Clears,
    "sent_again_the_request_is_what_is_open_now": Hoards,
    "every_image_and_request_is_sent_and_an_export_changes_no_cell": Forgets,
    "skips_come_back": IgnoresSkips,
    "a_foreign_folder_is_refused_and_left_as_it_is": Clears,
    "a_refused_answer_leaves_the_ledger_as_it_was": Writes,
    "a_path_out_of_the_folder_is_refused": TrustsPaths,
    "a_wrong_entry_is_named_and_can_be_left_out": KeepsSpoiled,
    "garbage_is_a_fault_or_no_answer_and_never_another_error": Trusts,
    "an_answer_to_no_request_is_refused_with_all_others": HidesFaults,
    "what_it_sent_it_recognises_before_all_others": KnowsNothing,
    "what_is_no_answer_it_does_not_recognise": Claims,
}
