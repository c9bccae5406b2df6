"""Defines the laws of connectors, functions that raise AssertionError for a breach.

A connector that only receives is answered from a plain folder's request.
"""

import itertools
import shutil
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import cv2
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

from labelgrid.annotate.answers import ImportRefused
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.image_names import ImageNames
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.basics import plugins
from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.progress import Silent
from labelgrid.basics.recognition import Recognition, recognitions
from labelgrid.formats.regions import UNCOVERED
from labelgrid.images.opening import format_of
from labelgrid.images.reading import read_image
from labelgrid.imports.import_labels import import_labels
from labelgrid.imports.imported import Imported
from labelgrid.imports.validate_labels import validate_labels
from labelgrid.ledger.grid import Cell
from labelgrid.operations.export import export
from labelgrid.testing.laws import NotForItError, Subject, expect
from labelgrid.testing.projects import ask, cells_of, make_project, snapshot, states
from labelgrid.testing.scenes import Made, make_dataset

#: The tasks of images that a tool labels, if nothing else is said.
TASKS = ("semseg", "depth")


class Annotator(Protocol):
    """Somebody who answers requests as the users of a labelling tool do: a module, or an object."""

    def answer(self, sent: Path, labels: Mapping[str, Path], skips: Mapping[str, str]) -> Path:
        """Answer the requests of a sent folder by their ids; returns the files to import."""

    def escape(self, sent: Path, request_id: str, outside: Path) -> Path:
        """Answer with a path that leads out of the sent request."""

    def spoil(self, answer: Path, image: str, request_id: str) -> None:
        """Make one entry of an answer wrong."""


class RequestPlace:
    """A project with four open requests, and the connector to send them with.

    Args:
        base: the folder.
        connector: its name, or "package.module:object".
        annotator: answers the requests.
        tasks: what is asked for.
        options: the options of imports, where a tool needs to be told something.
    """

    def __init__(
        self,
        base: Path,
        connector: str,
        annotator: Annotator,
        *,
        tasks: Sequence[str] = TASKS,
        options: ImportOptions = ImportOptions(),
    ) -> None:
        self.base = base
        self.connector = connector
        self.annotator = annotator
        self.tasks = tasks
        self.options = options
        self.sends = hasattr(plugins.create("tools", connector), "send")
        self.request(make_dataset(base / "made", n=2, size=(8, 12), tasks=self.tasks))

    def request(self, made: Made) -> None:
        """Make a project that asks for all labels of a dataset."""
        self.made = made
        self.project = make_project(made.root.with_name(f"{made.root.name}-project"), made)
        ask(self.project, cells_of(made), 1)
        self.ids = {row.cell: row.request_id for row in self.project.store.cells()}

    def send(self, out: str = "sent") -> Path:
        tool = self.connector if self.sends else "folder"
        export(self.project, self.base / out, tool=tool)
        return self.base / out

    def must_send(self) -> None:
        """Skip a law about requests for connectors that send none.

        Raises:
            NotForItError: this one receives alone, and so knows no request and no skip.
        """
        if not self.sends:
            raise NotForItError("it has no `send`: it knows no request, and so no skip")

    def label(self, cell: Cell) -> Path:
        return self.made.label(cell.image_id, cell.task)

    def answer(self, sent: Path, *skipped: Cell) -> Path:
        labels = {self.ids[cell]: self.label(cell) for cell in self.ids if cell not in skipped}
        return self.annotator.answer(sent, labels, {self.ids[cell]: "too dark" for cell in skipped})

    def receive(self, answer: Path, accept: bool = False, leave_out: bool = False) -> Imported:
        options = replace(self.options, leave_out=leave_out)
        return import_labels(
            self.project, answer, format=self.connector, options=options, accept=accept
        )

    def refused(self, answer: Path) -> LabelgridError:
        before = snapshot(self.project)
        fault = self._fault(answer)
        assert snapshot(self.project) == before, (
            "`receive` must not change the project: it returns Answers, and reads `index` alone."
        )
        return fault

    def _fault(self, answer: Path) -> LabelgridError:
        try:
            self.receive(answer)
        except LabelgridError as fault:
            return fault
        raise AssertionError(
            "`receive` must return a Fault for each wrong line or file, so that the import is "
            f"refused as a whole; it was accepted, and the cells are {states(self.project)}."
        )


def listing(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def sent_images(folder: Path) -> set[str]:
    return {name for name in listing(folder) if "/images/" in f"/{name}"}


def what_is_answered_is_what_is_labelled(place: RequestPlace) -> None:
    place.receive(place.answer(place.send()))
    cells = states(place.project)
    assert set(cells.values()) == {"labelled"}, (
        f"`receive` must return an Answer for each answered request; the cells became {cells}."
    )
    all_labels_are_as_given(place)


def all_labels_are_as_given(place: RequestPlace) -> None:
    cells = states(place.project)
    open_cells = {cell for cell, state in cells.items() if state != "labelled"}
    expect(
        not open_cells,
        f"`receive` must return an Answer for each answered request; it did not for {open_cells}.",
    )
    labels_are_as_given(place, states(place.project))


def labels_are_as_given(place: RequestPlace, cells: Collection[Cell]) -> None:
    tasks = place.project.tasks()
    for row in place.project.store.cells():
        if row.cell not in cells:
            continue
        kept = tasks[row.cell.task].read(place.project.inside(row.path))
        given = place.label(row.cell)
        read = tasks[row.cell.task].read(given)
        same = (kept.valid == read.valid).all() and (
            kept.value[kept.valid] == read.value[read.valid]
        ).all()
        assert same, f"The label of {row.cell} must be the one that was given, and no other cell's."


HARD_SIZE = (61, 83)
HARD_NAMES = ("a b/#1 ä.jpg", "plus+100%.jpg")


def hard_masks() -> list[NDArray[np.bool_]]:
    """Blobs with holes, lines of one pixel, and noise."""
    rows, columns = np.indices(HARD_SIZE)
    distance = np.hypot(rows - 25, columns - 40)
    ring = ((distance < 20) & (distance > 9)) | (np.hypot(rows - 50, columns - 9) < 8)
    lines = (rows % 7 == 3) | (rows == columns)
    noise = np.random.default_rng(0).random(HARD_SIZE) < 0.5
    return [ring, lines, noise]


def any_mask_comes_back_pixel_by_pixel(place: RequestPlace) -> None:
    for number, mask in enumerate(hard_masks()):
        folder = place.base / f"hard-{number}"
        made = make_dataset(folder, n=len(HARD_NAMES), size=HARD_SIZE, tasks=place.tasks)
        made = renamed(made, HARD_NAMES)
        place.request(made)
        drawn = [name for name, task in place.project.tasks().items() if task.region_names]
        for cell in place.ids:
            if cell.task in drawn:
                task = place.project.tasks()[cell.task]
                regions = np.where(mask, 0, len(task.region_names) - 1).astype(np.int32)
                if len(task.region_names) == 1:
                    regions = np.where(mask, 0, UNCOVERED).astype(np.int32)
                task.write(place.label(cell), task.from_regions(regions))
        place.receive(place.answer(place.send(f"hard-sent-{number}")), accept=True)
        all_labels_are_as_given(place)


#: An image that no browser shows as it is read: its name, and its EXIF orientation.
UNSHOWN = {
    "a/turned.jpg": 6,
    "a/b.jpg": 1,
    "a/b.heic": 1,
    "a/b.jpg.tif": 1,
    "upside down.png": 3,
    "deep.png": 1,
    "late.png": 8,
}
_PLAIN = "a/b.jpg"


def write_unshown(path: Path, upright: NDArray[np.uint8], orientation: int) -> None:
    """Store an image in the orientation, or in 16 bits, as its name says."""
    stored = upright
    if orientation in (6, 8):
        stored = np.rot90(upright, 1 if orientation == 6 else -1)
    if orientation == 3:
        stored = np.rot90(upright, 2)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(np.ascontiguousarray(stored))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name == "deep.png":
        assert cv2.imwrite(str(path), stored[..., ::-1].astype(np.uint16) * 257)
    elif path.name == "late.png":
        picture.save(path)
        data = path.read_bytes()
        body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
        late = (len(body) - 4).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)
        path.write_bytes(data[:-12] + late + data[-12:])
    else:
        if path.suffix == ".heic":
            pillow_heif.register_heif_opener()
        picture.save(path, exif=exif.tobytes(), quality=95)


def images_that_no_browser_shows_go_out_upright_and_their_labels_come_back(
    place: RequestPlace,
) -> None:
    place.must_send()
    made = make_dataset(place.base / "odd", n=len(UNSHOWN), size=(24, 40), tasks=place.tasks)
    moved = replace(made, names=tuple(UNSHOWN))
    upright: dict[str, NDArray[np.uint8]] = {}
    for old, new in zip(made.names, UNSHOWN, strict=True):
        upright[new] = read_image(made.images / old)
        (made.images / old).unlink()
        write_unshown(made.images / new, upright[new], UNSHOWN[new])
        for row in made.rows:
            target = made.labels / row.name / f"{new}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            made.label(old, row.name).rename(target)
    place.request(moved)
    place.label = lambda cell: made.labels / cell.task / f"{cell.image_id}.png"  # type: ignore
    out = place.send("odd-sent")
    finder = ImageNames(UNSHOWN)
    sent_ids = set()
    for name in sent_images(out):
        (image_id,) = finder.find(name[name.index("images/") + 7 :])
        sent_ids.add(image_id)
        as_stored = cv2.imread(
            str(out / name), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
        )
        form = format_of((out / name).read_bytes()[:16])
        expect(
            as_stored is not None
            and as_stored.dtype == np.uint8
            and form in ("JPEG", "PNG", "WEBP", "BMP"),
            f"`send` must send images that a browser shows; {name} is a {form}: take "
            "`labelgrid.annotate.image_copies.copy_image`.",
        )
        assert as_stored is not None
        assert as_stored.shape == upright[image_id].shape, f"{name} is sent lying on its side."
        error = np.abs(as_stored[..., ::-1].astype(int) - upright[image_id]).mean()
        of_turned = np.abs(as_stored[::-1, ::-1, ::-1].astype(int) - upright[image_id]).mean()
        assert error < of_turned / 2, f"{name} is sent upside down, or as another image."
    expect(sent_ids == set(UNSHOWN), f"`send` must send {set(UNSHOWN)}; it sent {sent_ids}.")
    for name in sent_images(out):
        if name.endswith(_PLAIN):
            expect(
                (out / name).read_bytes() == (made.images / _PLAIN).read_bytes(),
                f"`send` must copy an image that a browser shows as it is; {name} is another file.",
            )
    before = listing(out)
    again = listing(place.send("odd-sent"))
    expect(
        again == before,
        f"`send` of the same request must write the same files; {differing(again, before)} differ.",
    )
    place.receive(place.answer(out), accept=True)
    all_labels_are_as_given(place)


def renamed(made: Made, names: Sequence[str]) -> Made:
    """A dataset whose images have other names."""
    other = replace(made, names=tuple(names))
    for old, new in zip(made.names, names, strict=True):
        moved = [(made.images / old, other.images / new)]
        moved += [(made.label(old, row.name), other.label(new, row.name)) for row in made.rows]
        for source, target in moved:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
    return other


def an_answer_may_be_received_twice(place: RequestPlace) -> None:
    answer = place.answer(place.send())
    place.receive(answer)
    before = snapshot(place.project)
    place.receive(answer)
    assert snapshot(place.project) == before, (
        "An answer received a second time must change nothing: `receive` returns the same Answers."
    )


def sent_twice_nothing_changes_and_answers_stay(place: RequestPlace) -> None:
    place.must_send()
    first = listing(place.send())
    again = listing(place.send())
    assert again == first, (
        f"`send` of the same request must write the same files; {differing(again, first)} differ."
    )
    answered = listing(place.answer(place.base / "sent"))
    place.send()
    kept = listing(place.base / "sent")
    assert kept == answered, (
        "`send` into a folder that was answered must keep the answers, files and filled-in fields: "
        f"{differing(kept, answered)} changed. Read the answers back first, or have them in a file "
        "that `send` does not write."
    )
    place.receive(place.base / "sent")


def sent_again_the_request_is_what_is_open_now(place: RequestPlace) -> None:
    place.must_send()
    answered = {
        place.ids[cell]: place.label(cell)
        for cell in place.ids
        if cell.image_id == place.made.names[0]
    }
    place.receive(place.annotator.answer(place.send(), answered, {}))
    open_now = {f"images/{place.made.names[1]}"}
    for out in ("sent", "fresh"):
        sent = {name[name.index("images/") :] for name in sent_images(place.send(out))}
        assert sent == open_now, (
            f"`send` must leave the images of the open requests alone, {open_now}, below images/, "
            "or the images/ of several folders: "
            f"it must remove those that an earlier request put there; there are {sent}."
        )


def every_image_and_request_is_sent_and_an_export_changes_no_cell(place: RequestPlace) -> None:
    place.must_send()
    before = snapshot(place.project)
    sent = listing(place.send())
    assert snapshot(place.project) == before, "`send` must not change the project."
    text = b"".join(sent.values())
    lost = [request_id for request_id in place.ids.values() if request_id.encode() not in text]
    assert not lost, f"`send` must write every request id into some file; {lost} are in none."
    unsent = [
        name
        for name in place.made.names
        if (place.made.images / name).read_bytes() not in sent.values()
    ]
    assert not unsent, f"`send` must write the images, as they are; {unsent} are not there."


def skips_come_back(place: RequestPlace) -> None:
    place.must_send()
    cell = min(place.ids)
    place.receive(place.answer(place.send(), cell))
    skipped = {c for c, state in states(place.project).items() if state == "skipped"}
    assert skipped == {cell}, f"`receive` must return a Skip of {cell} alone; it did of {skipped}."
    why = place.project.store.history(cell)[-1].move.why
    assert why == "too dark", (
        f"A Skip must have the reason that was given, 'too dark'; it is {why!r}."
    )


def a_foreign_folder_is_refused_and_left_as_it_is(place: RequestPlace) -> None:
    place.must_send()
    for name, content in (
        ("notes.txt", "mine"),
        ("manifest.json", "{}"),
        ("requests.jsonl", "mine"),
    ):
        out = place.base / f"foreign-{name}"
        out.mkdir()
        (out / name).write_text(content)
        try:
            export(place.project, out, tool=place.connector)
        except LabelgridError:
            pass
        else:
            raise AssertionError(
                f"`send` must refuse a folder that is neither empty nor its own earlier request, "
                f"here one with {name}, by a ProjectError; it wrote {sorted(listing(out))}."
            )
        assert listing(out) == {name: content.encode()}, (
            f"`send` must change nothing in a folder that it refuses; it now holds {listing(out)}."
        )


def a_refused_answer_leaves_the_ledger_as_it_was(place: RequestPlace) -> None:
    answer = place.answer(place.send())
    for row in list(
        place.project.store.images()
    ):  # no label has this size, so every one is a fault
        place.project.store.update_images([replace(row, height=5, width=5)])
    fault = place.refused(answer)
    assert isinstance(fault, ImportRefused), (
        f"It must be refused with its faults, not by {fault!r}."
    )
    assert len(fault.rows) == len(place.ids) and {row.cell for row in fault.rows} == set(
        place.ids
    ), (
        f"Each of {len(place.ids)} wrong labels must be one fault of its cell: `receive` returns it "
        f"as an Answer, and labelgrid checks it. The faults: {[str(row) for row in fault.rows]}."
    )


def a_path_out_of_the_folder_is_refused(place: RequestPlace) -> None:
    place.must_send()
    cell = min(place.ids)
    outside = place.base / f"outside{place.label(cell).suffix}"
    shutil.copyfile(place.label(cell), outside)
    fault = place.refused(place.annotator.escape(place.send(), place.ids[cell], outside))
    expect(
        isinstance(fault, ImportRefused),
        "A path that leads out of the answer must be a Fault of its line "
        f"(`labelgrid.annotate.matching` finds files within); the import said: {fault!r}",
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


def a_wrong_entry_is_named_and_can_be_left_out(place: RequestPlace) -> None:
    cell = min(place.ids)
    answer = place.answer(place.send())
    place.annotator.spoil(answer, cell.image_id, place.ids[cell])
    fault = place.refused(answer)
    expect(
        isinstance(fault, ImportRefused) and "--leave-out" in str(fault),
        "`receive` must return a wrong entry as a Fault, so that --leave-out can go on without it; "
        f"the import said: {fault}",
    )
    assert isinstance(fault, ImportRefused)
    done = place.receive(answer, accept=True, leave_out=True)
    assert {row.where for row in done.left_out} == {row.where for row in fault.rows}, (
        f"What is left out must be named as it is without the option; it was {done.left_out}."
    )
    cells = states(place.project)
    others = {other for other in place.ids if other.image_id != cell.image_id}
    labelled = {other for other, state in cells.items() if state == "labelled"}
    assert others <= labelled, f"Answers that are right must come in; the cells became {cells}."
    assert cell not in labelled, f"The label of {cell} lacks an entry, and must not come in."
    labels_are_as_given(place, labelled)


def garbage_is_a_fault_or_no_answer_and_never_another_error(place: RequestPlace) -> None:
    answer = place.answer(place.send())
    texts = sorted(listing(answer).keys() - sent_images(answer))
    index = ProjectIndex(place.project.store, place.project.tasks())
    expect(texts, "`send` must write some file beside the images, which an answer fills in.")
    for name, garbage in itertools.product(texts, GARBAGE):
        right = (answer / name).read_bytes()
        (answer / name).write_bytes(garbage)
        try:
            answers = plugins.resolve("tools", place.connector)().receive(answer, index)
            validate_labels(place.project, answers, split=None, replace=False, progress=Silent())
        except LabelgridError:
            pass
        except Exception as error:
            raise AssertionError(
                f"`receive` must return a Fault for what it cannot read, or raise a LabelError; for "
                f"{name} with the bytes {garbage!r} it raised {error!r}."
            ) from error
        (answer / name).write_bytes(right)


def an_answer_to_no_request_is_refused_with_all_others(place: RequestPlace) -> None:
    place.must_send()
    cell = min(place.ids)
    labels = {place.ids[cell]: place.label(cell)}
    skips = {"r9-nothing": "lost"}
    fault = place.refused(place.annotator.answer(place.send(), labels, skips))
    assert isinstance(fault, ImportRefused) and "r9-nothing" in str(fault), (
        "An answer to a request id that the project does not have must be a Fault that names the id "
        f"(`labelgrid.annotate.matching.cell_of` makes it); the import said: {fault}"
    )


def what_it_sent_it_recognises_before_all_others(place: RequestPlace) -> None:
    connector = plugins.create("tools", place.connector)
    if not hasattr(connector, "recognise"):
        raise NotForItError("it has no `recognise`, which is optional")
    cell = min(place.ids)
    answer = place.answer(place.send(), *([cell] if place.sends else []))
    recognition = connector.recognise(answer)
    assert (
        isinstance(recognition, Recognition) and recognition.what and 0 < recognition.sure <= 1
    ), (
        "`recognise` must return, for an answer to what was sent, a Recognition with words and a "
        f"sureness above 0 and at most 1; it returned {recognition!r}."
    )
    tools = {name: plugins.create("tools", name) for name in plugins.names("tools")}
    others = recognitions(tools, answer)
    assert all(other.sure <= recognition.sure for other in others.values()), (
        f"`recognise` must be as sure of an answer of its own as any other connector: {others}."
    )


def what_is_no_answer_it_does_not_recognise(place: RequestPlace) -> None:
    """An answer cut in its middle may be recognised: only first bytes are read."""
    connector = plugins.create("tools", place.connector)
    if not hasattr(connector, "recognise"):
        raise NotForItError("it has no `recognise`, which is optional")
    answer = place.answer(place.send())
    paths = [place.base / "missing", place.base / "empty"]
    paths[1].mkdir()
    for number, garbage in enumerate((*GARBAGE, b"[" * 100_000, bytes(range(256)))):
        copied = place.base / f"garbage-{number}"
        shutil.copytree(answer, copied)
        names = list(listing(copied))
        for name in names:
            (copied / name).write_bytes(garbage)
        paths += [copied, copied / names[-1]]
    linked = place.base / "linked"
    linked.mkdir()
    for path in answer.iterdir():
        (linked / path.name).symlink_to(path)
    for path in (*paths, linked):
        try:
            recognition = connector.recognise(path)
        except Exception as error:
            raise AssertionError(
                f"`recognise` must return None for {path.name}; it raised {error!r}."
            ) from error
        assert recognition is None, (
            "`recognise` must return None for nothing, for garbage, and for links that lead out of "
            f"the folder; for {path.name} it returned {recognition!r}."
        )


def differing(some: Mapping[str, bytes], others: Mapping[str, bytes]) -> list[str]:
    """The names of files that differ between two listings, by existence or contents."""
    names = {*some, *others}
    return sorted(name for name in names if some.get(name) != others.get(name))


def case_of(subject: Subject, place: Path) -> RequestPlace:
    """A connector with somebody who answers, as its author declares: `answer` and the others.

    `TASKS` are the tasks that the tool can label, `OPTIONS` the options of an import.
    """
    why = "which answers a request as the users of its tool do"
    return RequestPlace(
        place,
        subject.name,
        SimpleNamespace(
            answer=subject.demand("answer", why),
            escape=subject.says("escape", _nobody),
            spoil=subject.demand("spoil", "which makes one entry of an answer wrong"),
        ),
        tasks=subject.says("TASKS", TASKS),
        options=subject.says("OPTIONS", ImportOptions()),
    )


def _nobody(*_: Any) -> Path:
    raise NotForItError("nobody answers with a path: the connector has no `escape`")


LAWS: tuple[Callable[[RequestPlace], None], ...] = (
    what_is_answered_is_what_is_labelled,
    any_mask_comes_back_pixel_by_pixel,
    images_that_no_browser_shows_go_out_upright_and_their_labels_come_back,
    an_answer_may_be_received_twice,
    sent_twice_nothing_changes_and_answers_stay,
    sent_again_the_request_is_what_is_open_now,
    every_image_and_request_is_sent_and_an_export_changes_no_cell,
    skips_come_back,
    a_foreign_folder_is_refused_and_left_as_it_is,
    a_refused_answer_leaves_the_ledger_as_it_was,
    a_path_out_of_the_folder_is_refused,
    a_wrong_entry_is_named_and_can_be_left_out,
    garbage_is_a_fault_or_no_answer_and_never_another_error,
    an_answer_to_no_request_is_refused_with_all_others,
    what_it_sent_it_recognises_before_all_others,
    what_is_no_answer_it_does_not_recognise,
)
