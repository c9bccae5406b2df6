"""Defines the laws of makers of labels, functions that raise AssertionError for a breach.

A module tells of a model: `model(folder, made)` writes one below a folder, for tasks of a made data
set, and returns the path that a person names. `OPTIONS` are those of the maker.
"""

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.progress import Silent
from labelgrid.images.places import ImagePaths
from labelgrid.imports.import_supplied import import_supplied
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.sources import ImageFiles
from labelgrid.project.suppliers import Supplier
from labelgrid.suppliers.maker import LabelPlace, Maker
from labelgrid.suppliers.supply import SupplyOrder, build_maker
from labelgrid.tasks.task import TaskDefs
from labelgrid.testing.laws import Subject, expect
from labelgrid.testing.projects import make_project
from labelgrid.testing.scenes import Made, make_dataset

#: The sizes of images, which take turns.
SIZES = ((32, 48), (40, 32))


@dataclass(frozen=True, kw_only=True)
class MakerCase:
    """A maker with a model, and images of a project.

    Args:
        made: the data set of the images.
        project: its folder.
        maker: what the plug-in builds.
        place: a folder for labels.
    """

    made: Made
    project: Path
    maker: Maker
    place: Path

    @property
    def tasks(self) -> TaskDefs:
        with ProjectFolder.open(self.project) as project:
            return project.tasks()

    def labels(self, folder: str, names: Sequence[str], maker: Maker | None = None) -> "MadeFiles":
        """The maker's output for some images, below a folder with a name."""
        progress = Counted()
        images = ImageFiles(paths=ImagePaths({name: (str(self.made.images), "") for name in names}))
        place = LabelPlace(folder=self.place / folder)
        faults = (maker or self.maker).make(images, place, progress)
        contents = {}
        for path in sorted(place.folder.rglob("*")):
            if path.is_file():
                contents[path.relative_to(place.folder).as_posix()] = path.read_bytes()
        return MadeFiles(contents=contents, faults=faults, reported=progress.count, place=place)


@dataclass(frozen=True, kw_only=True)
class MadeFiles:
    """The output of a maker: files by path, faults by image, and the number of reported images."""

    contents: Mapping[str, bytes]
    faults: Mapping[str, str]
    reported: int
    place: LabelPlace


class Counted(Silent):
    """Counts what is reported."""

    count = 0

    def advance(self, amount: int = 1, note: str = "") -> None:
        del note
        self.count += amount


def its_labels_are_those_of_a_supplier(case: MakerCase) -> None:
    declared = case.maker.declared
    expect(
        declared.get("revision") and declared.get("settings"),
        "`declared` must have a `revision` and `settings`, by which a later run knows the labels "
        f"that there are; it has {dict(declared)}.",
    )
    try:
        SupplyOrder(name="made", maker=case.maker).declared(Supplier())
    except (LabelgridError, TypeError, ValueError) as error:
        raise AssertionError(
            f"`declared` must have keys and values of supplier.toml; that raised {error!r}."
        ) from error


def its_files_are_of_tasks_of_the_project(case: MakerCase) -> None:
    files = case.maker.files
    strange = files.keys() - case.tasks.keys()
    expect(files and not strange, f"`files` must name tasks of the project; it names {dict(files)}")
    for task, extension in files.items():
        extensions = case.tasks[task].codec.EXTENSIONS
        expect(
            extension in extensions,
            f"`files` must say an extension of the labels of '{task}', one of {extensions}; it "
            f"says {extension!r}.",
        )


def each_image_has_its_labels_or_a_fault_and_is_reported_once(case: MakerCase) -> None:
    made = case.labels("all", case.made.names)
    for name in case.made.names:
        for task, extension in case.maker.files.items():
            path = made.place.path(task, name, extension)
            expect(
                path.is_file() != (name in made.faults),
                f"`make` must write {path.name} of '{task}', or return why it did not; it did "
                f"{'both' if path.is_file() else 'neither'}.",
            )
    expect(
        made.reported == len(case.made.names),
        f"`make` must advance the progress once for each of {len(case.made.names)} images; it "
        f"did {made.reported} times.",
    )
    expect(
        not made.faults,
        f"`make` must label sound images; it returned faults of {dict(made.faults)}.",
    )


def its_labels_can_be_imported(case: MakerCase) -> None:
    made = case.labels("all", case.made.names)
    declared = SupplyOrder(name="made", maker=case.maker).declared(Supplier())
    (made.place.folder / "supplier.toml").write_text(declared.text())
    with ProjectFolder.open(case.project) as project:
        done = import_supplied(project, made.place.folder, supplier="made", dry_run=True)
    expect(not done.refused, f"The labels must be imported; they are refused: {done.refused}")
    counts = {task: done.tasks[task].new for task in case.maker.files}
    expect(
        all(counts.values()),
        f"A label of each task must be imported, with numbers that mean something; there are "
        f"{counts}.",
    )


def an_image_has_the_same_labels_alone_and_among_others(case: MakerCase) -> None:
    together = case.labels("together", case.made.names)
    backwards = case.labels("backwards", case.made.names[::-1])
    for number, name in enumerate(case.made.names):
        case.labels(f"alone/{number}", [name])
        for task, extension in case.maker.files.items():
            alone = LabelPlace(folder=case.place / f"alone/{number}").path(task, name, extension)
            expect(
                alone.read_bytes()
                == together.place.path(task, name, extension).read_bytes()
                == backwards.place.path(task, name, extension).read_bytes(),
                f"`make` must write the same bytes for an image in whichever shard it is; those of "
                f"{task} of {name} differ.",
            )


def an_image_that_cannot_be_read_is_a_fault_and_the_others_are_labelled(case: MakerCase) -> None:
    first, *others = case.made.names
    whole = case.labels("whole", case.made.names)
    path = case.made.images / first
    content = path.read_bytes()
    path.write_bytes(b"no image")
    try:
        made = case.labels("damaged", case.made.names)
    finally:
        path.write_bytes(content)
    expect(
        set(made.faults) == {first} and made.faults[first],
        f"`make` must return why {first}, which is no image, has no label; it returned "
        f"{dict(made.faults)}.",
    )
    expect(
        made.reported == len(case.made.names),
        "`make` must report images without a label, too.",
    )
    for name in others:
        for task, extension in case.maker.files.items():
            wanted = whole.place.path(task, name, extension).read_bytes()
            path = made.place.path(task, name, extension)
            expect(
                path.is_file() and path.read_bytes() == wanted,
                f"`make` must label the other images as ever; {task} of {name} differs.",
            )


def it_is_the_same_in_another_process(case: MakerCase) -> None:
    try:
        twin = pickle.loads(pickle.dumps(case.maker))  # noqa: S301
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise AssertionError(
            f"A maker must be pickled, so that other processes make labels; that raised {error!r}: "
            "keep paths and names in it, not open files or functions."
        ) from error
    here = case.labels("here", case.made.names)
    there = case.labels("there", case.made.names, twin)
    expect(
        twin.declared == case.maker.declared and there.contents == here.contents,
        "A pickled maker must declare and make what the first one does; it does not.",
    )


def case_of(subject: Subject, place: Path) -> MakerCase:
    """A made project, and the maker with the author's model."""
    write_model = subject.demand("model", "which writes a model below a folder")
    made = make_dataset(place / "made", n=2, size=SIZES)
    model = write_model(place / "models", made)
    with make_project(place / "flat", made) as project:
        maker = build_maker(
            project, subject.name, model, chosen={}, options=subject.says("OPTIONS", {})
        )
    return MakerCase(made=made, project=place / "flat", maker=maker, place=place / "labels")


LAWS: tuple[Callable[[MakerCase], None], ...] = (
    its_labels_are_those_of_a_supplier,
    its_files_are_of_tasks_of_the_project,
    each_image_has_its_labels_or_a_fault_and_is_reported_once,
    its_labels_can_be_imported,
    an_image_has_the_same_labels_alone_and_among_others,
    an_image_that_cannot_be_read_is_a_fault_and_the_others_are_labelled,
    it_is_the_same_in_another_process,
)
