"""The laws of every connector, and for each law a wrong connector that breaks it.

How a tool answers is in `tests/annotators`, one file a connector: `CONNECTOR` is what it is called
by, `answer` and `escape` fill in what was sent.
"""

import contextlib
import importlib
import itertools
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

import pytest

from labelgrid import plugins
from labelgrid.annotate.answers import ImportRefused
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.errors import LabelgridError
from labelgrid.ledger.grid import Cell
from labelgrid.progress import Silent
from labelgrid.project.export import export
from labelgrid.project.import_labels import import_labels
from labelgrid.project.validate_labels import validate_labels
from tests.campaigns import ask, cells_of, make_project, snapshot, states
from tests.contracts import wrong_connectors
from tests.support import make_dataset

COVERS = ["labelgrid.annotate.connector", "labelgrid.annotate.matching"]
ANNOTATORS = sorted(path.stem for path in Path(__file__).parents[1].glob("annotators/*.py"))


class Annotator(Protocol):
    """A module of `tests/annotators`."""

    CONNECTOR: str

    def answer(self, sent: Path, labels: Mapping[str, Path], skips: Mapping[str, str]) -> Path: ...

    def escape(self, sent: Path, request_id: str, outside: Path) -> Path: ...


class Place:
    """A project with four open requests, and the connector that sends them."""

    def __init__(self, base: Path, connector: str, annotator: Annotator) -> None:
        self.base, self.connector, self.annotator = base, connector, annotator
        self.made = make_dataset(base / "made", n=2, size=(8, 12), tasks=("semseg", "depth"))
        self.project = make_project(base / "project", self.made)
        ask(self.project, cells_of(self.made), 1)
        self.ids = {row.cell: row.request_id for row in self.project.store.cells()}

    def send(self, out: str = "sent") -> Path:
        export(self.project, self.base / out, tool=self.connector)
        return self.base / out

    def label(self, cell: Cell) -> Path:
        return self.made.label(cell.image_id, cell.task)

    def answer(self, sent: Path, *skipped: Cell) -> Path:
        labels = {self.ids[cell]: self.label(cell) for cell in self.ids if cell not in skipped}
        return self.annotator.answer(sent, labels, {self.ids[cell]: "too dark" for cell in skipped})

    def receive(self, answer: Path) -> None:
        import_labels(self.project, answer, format=self.connector)

    def refused(self, answer: Path) -> LabelgridError:
        before = snapshot(self.project)
        with pytest.raises(LabelgridError) as caught:
            self.receive(answer)
        assert snapshot(self.project) == before, "a refused answer changed the project"
        return caught.value


def listing(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def what_is_answered_is_what_is_labelled(place: Place) -> None:
    place.receive(place.answer(place.send()))
    tasks = place.project.tasks()
    assert set(states(place.project).values()) == {"labelled"}
    for row in place.project.store.cells():
        kept, given = (
            tasks[row.cell.task].read(place.project.inside(row.path)),
            place.label(row.cell),
        )
        read = tasks[row.cell.task].read(given)
        assert (kept.valid == read.valid).all() and (
            kept.value[kept.valid] == read.value[read.valid]
        ).all()


def an_answer_may_be_received_twice(place: Place) -> None:
    answer = place.answer(place.send())
    place.receive(answer)
    before = snapshot(place.project)
    place.receive(answer)
    assert snapshot(place.project) == before


def sent_twice_nothing_changes_and_answers_stay(place: Place) -> None:
    first = listing(place.send())
    assert listing(place.send()) == first
    answered = listing(place.answer(place.base / "sent"))
    place.send()
    assert listing(place.base / "sent") == answered
    place.receive(place.base / "sent")


def sent_again_the_request_is_what_is_open_now(place: Place) -> None:
    answered = {
        place.ids[cell]: place.label(cell)
        for cell in place.ids
        if cell.image_id == place.made.names[0]
    }
    place.receive(place.annotator.answer(place.send(), answered, {}))
    assert {name for name in listing(place.send()) if name.startswith("images/")} == {
        f"images/{place.made.names[1]}"
    }
    assert {name for name in listing(place.send("fresh")) if name.startswith("images/")} == {
        f"images/{place.made.names[1]}"
    }


def every_image_and_request_is_sent_and_an_export_changes_no_cell(place: Place) -> None:
    before = snapshot(place.project)
    sent = listing(place.send())
    assert snapshot(place.project) == before
    text = b"".join(sent.values())
    assert all(request_id.encode() in text for request_id in place.ids.values())
    assert all(
        (place.made.images / name).read_bytes() in sent.values() for name in place.made.names
    )


def skips_come_back(place: Place) -> None:
    cell = min(place.ids)
    place.receive(place.answer(place.send(), cell))
    assert {c for c, state in states(place.project).items() if state == "skipped"} == {cell}
    assert place.project.store.history(cell)[-1].move.why == "too dark"


def a_foreign_folder_is_refused_and_left_as_it_is(place: Place) -> None:
    for name, content in (
        ("notes.txt", "mine"),
        ("manifest.json", "{}"),
        ("requests.jsonl", "mine"),
    ):
        out = place.base / f"foreign-{name}"
        out.mkdir()
        (out / name).write_text(content)
        with pytest.raises(LabelgridError):
            export(place.project, out, tool=place.connector)
        assert listing(out) == {name: content.encode()}


def a_refused_answer_leaves_the_ledger_as_it_was(place: Place) -> None:
    answer = place.answer(place.send())
    for row in list(
        place.project.store.images()
    ):  # no label has this size, so every one is a fault
        place.project.store.update_images([replace(row, height=5, width=5)])
    fault = place.refused(answer)
    assert isinstance(fault, ImportRefused) and len(fault.rows) == len(place.ids)
    assert {row.cell for row in fault.rows} == set(place.ids)


def a_path_out_of_the_folder_is_refused(place: Place) -> None:
    cell = min(place.ids)
    outside = place.base / f"outside{place.label(cell).suffix}"
    shutil.copyfile(place.label(cell), outside)
    assert isinstance(
        place.refused(place.annotator.escape(place.send(), place.ids[cell], outside)), ImportRefused
    )


GARBAGE = (
    b"",
    b"\xff\xfe\x00",
    b"{",
    b"[]\n",
    b'[1, null, "x"]\n',
    b'{"request_id": 3}\n',
    b"null\nnull\n",
    b",,,\n\n\x00",
)


def garbage_is_a_fault_or_no_answer_and_never_another_error(place: Place) -> None:
    answer = place.answer(place.send())
    texts = [name for name in listing(answer) if not name.startswith("images/")]
    index = ProjectIndex(place.project.store, place.project.tasks())
    assert texts
    for name, garbage in itertools.product(texts, GARBAGE):
        copied = place.base / "garbage"
        shutil.copytree(answer, copied)
        (copied / name).write_bytes(garbage)
        with contextlib.suppress(LabelgridError):
            answers = plugins.resolve("tools", place.connector)().receive(copied, index)
            validate_labels(place.project, answers, split=None, replace=False, progress=Silent())
        shutil.rmtree(copied)


def an_answer_to_no_request_is_refused_with_all_others(place: Place) -> None:
    cell = min(place.ids)
    labels, skips = {place.ids[cell]: place.label(cell)}, {"r9-nothing": "lost"}
    fault = place.refused(place.annotator.answer(place.send(), labels, skips))
    assert isinstance(fault, ImportRefused) and "r9-nothing" in str(fault)


LAWS: tuple[Callable[[Place], None], ...] = (
    what_is_answered_is_what_is_labelled,
    an_answer_may_be_received_twice,
    sent_twice_nothing_changes_and_answers_stay,
    sent_again_the_request_is_what_is_open_now,
    every_image_and_request_is_sent_and_an_export_changes_no_cell,
    skips_come_back,
    a_foreign_folder_is_refused_and_left_as_it_is,
    a_refused_answer_leaves_the_ledger_as_it_was,
    a_path_out_of_the_folder_is_refused,
    garbage_is_a_fault_or_no_answer_and_never_another_error,
    an_answer_to_no_request_is_refused_with_all_others,
)


def annotator(name: str) -> Annotator:
    return cast("Annotator", importlib.import_module(f"tests.annotators.{name}"))


@pytest.mark.parametrize("name", ANNOTATORS)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_connector_keeps(tmp_path: Path, law: Callable[[Place], None], name: str) -> None:
    found = annotator(name)
    law(Place(tmp_path / "place", found.CONNECTOR, found))


def test_every_connector_of_the_package_has_somebody_who_answers_it() -> None:
    missing = set(plugins.names("tools")) - {annotator(name).CONNECTOR for name in ANNOTATORS}
    assert not missing, f"Write tests/annotators/NAME.py for {missing}, so that the laws run on it."


def test_every_law_has_a_connector_that_breaks_it() -> None:
    assert {law.__name__ for law in LAWS} == set(wrong_connectors.BREAKS)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_wrong_connector_fails_at(tmp_path: Path, law: Callable[[Place], None]) -> None:
    wrong = f"{wrong_connectors.__name__}:{wrong_connectors.BREAKS[law.__name__].__name__}"
    with pytest.raises((AssertionError, LabelgridError, ValueError, pytest.fail.Exception)):
        law(Place(tmp_path / "place", wrong, annotator("folder")))
