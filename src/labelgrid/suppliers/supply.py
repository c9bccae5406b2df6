"""Makes labels of training images by a model, and imports them as a supplier's. Loads no torch.

The labels are made in shards, in the project's folder `.supply/NAME`, until they are imported: a
run that was killed goes on where it was. Images that already have a label of the same revision and
settings are left out.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from labelgrid.annotate.answer_folder import DECLARATION
from labelgrid.annotate.import_options import IGNORE
from labelgrid.basics import plugins
from labelgrid.basics.config import parse
from labelgrid.basics.errors import ProjectError, UsageError, command
from labelgrid.basics.files import read_text, remove_folder, write_text
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.shown import Shown
from labelgrid.basics.streams import seed_of
from labelgrid.basics.type_names import Texts, Values
from labelgrid.basics.words import count_text, duration, join_names
from labelgrid.executors.workplace import Workplace
from labelgrid.formats.naming import whole_names
from labelgrid.imports.import_supplied import import_supplied
from labelgrid.imports.imported import Tally
from labelgrid.ledger.grid import ImageRow
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.suppliers import (
    Supplier,
    SupplierIndex,
    read_declaration,
    read_index,
    supplier_folder,
)
from labelgrid.suppliers.label_maker import image_files, label_pass
from labelgrid.suppliers.maker import LabelPlace, Maker, identity_of

#: The folder of the project for labels until they are imported.
FOLDER = ".supply"
#: In it, the folder of the labels.
MADE = "labels"
#: In a supplier's folder, the images of which a maker made no label.
EMPTY = "empty.json"
UNCHANGED = "Nothing was imported."
#: So many images are named.
FEW = 3


@dataclass(frozen=True, kw_only=True)
class SupplyOrder:
    """An order of labels from a maker.

    Args:
        name: the supplier.
        maker: the maker of the labels.
        cost: the cost of a label; None: as declared.
        map: the meanings of the maker's names of classes.
        limit: the most images of this run; 0: all.
    """

    name: str
    maker: Maker
    cost: float | None = None
    map: Texts = field(default_factory=dict)
    limit: int = 0

    def declared(self, earlier: Supplier) -> Supplier:
        """The declaration of the labels: the earlier one, changed by the maker's."""
        said = {"up_to": "nothing", "larger_is_nearer": None, **self.maker.declared}
        by_maker = said.get("map", {})
        meanings = {**_chosen_before(earlier), **self.map}
        chosen = {name: mean for name, mean in meanings.items() if by_maker.get(name) != mean}
        said["map"] = {**by_maker, **chosen}
        ignored = sorted(name for name, mean in said["map"].items() if mean == IGNORE)
        if ignored:  # a class that the project gets later is labelled from then on
            said["settings"] = {**said["settings"], "ignored": ",".join(ignored)}
        said["classes"] = {**earlier.classes, **said.get("classes", {})}
        said["grades"] = tuple(dict.fromkeys([*earlier.grades, *said.get("grades", ())]))
        if chosen:
            text = ",".join(f"{name}={chosen[name]}" for name in sorted(chosen))
            said["settings"] = {**said["settings"], "map": text}
        said["date"] = time.strftime("%Y-%m-%d", time.gmtime())
        if self.cost is not None:
            said["cost"] = self.cost
        return replace(earlier, **said)


def _chosen_before(earlier: Supplier) -> Texts:
    """The meanings of names, without names a maker left out: the project may have them now."""
    chosen = str(earlier.settings.get("map", "")).split(",")
    if not earlier.settings:  # no maker's
        return earlier.map
    pairs = earlier.map.items()
    return {name: mean for name, mean in pairs if mean != IGNORE or f"{name}={mean}" in chosen}


def _folder_of(project: ProjectFolder, order: SupplyOrder) -> Path:
    """The folder of labels before the import: a folder for each revision and settings."""
    return project.folder / FOLDER / order.name / identity_of(order.maker.declared)[:16]


@dataclass(frozen=True, kw_only=True, repr=False)
class Supplied(Shown):
    """The result of a run.

    Args:
        supplier: its name.
        tasks: the labels that were imported, by task.
        made: the number of images whose labels were made, by this run or one that was killed.
        left: the number of training images that still have none of this revision.
        faults: why images have no label, by id.
        licence: as the maker states it; "" where it was said before.
        seconds: the time that all images would take, in a dry run; None: no dry run.
        next_step: the command to go on with.
    """

    supplier: str
    tasks: Mapping[str, Tally] = field(default_factory=dict)
    made: int = 0
    left: int = 0
    faults: Texts = field(default_factory=dict)
    licence: str = ""
    seconds: float | None = None
    next_step: str = ""

    def __str__(self) -> str:
        lines = []
        if self.seconds is not None:
            images = count_text(self.left, "training image")
            lines.append(
                f"Tried one image, and wrote nothing: {images} would take about "
                f"{duration(self.seconds)} here."
            )
        else:
            images = count_text(self.made, "image")
            lines.append(f"{self.supplier}: made labels of {images}; {self.left:,} are left.")
        lines += [f"{task}: {tally}." for task, tally in self.tasks.items()]
        if self.faults:
            images = count_text(len(self.faults), "image has", "images have")
            lines.append(f"{images} no label:")
            for image_id in sorted(self.faults)[:FEW]:
                lines.append(f"  {image_id}: {self.faults[image_id]}")
        return "\n".join([*lines, *([f"Next: {self.next_step}"] if self.next_step else [])])


@dataclass(frozen=True, kw_only=True)
class MadeLabels:
    """The result of a pass.

    Args:
        images: the images that were run.
        faults: the reasons why other images have no label, by id.
        licence: the words that were told; "" if none were.
    """

    images: Sequence[str]
    faults: Texts
    licence: str


def missing_images(
    project: ProjectFolder, order: SupplyOrder, declared: Supplier
) -> list[ImageRow]:
    """The training images without labels of this revision and settings, in a keyed order."""
    index = read_index(project, order.name)
    identity = identity_of(vars(declared))
    empty = _read_empty(supplier_folder(project, order.name) / EMPTY, identity)
    rows = []
    for row in project.store.images(("train",)):
        if row.image_id in empty:
            continue
        if not all(has_label(index, task, row.image_id, identity) for task in order.maker.files):
            rows.append(row)
    rows.sort(key=lambda row: seed_of(project.settings.seed, "supply", row.image_id))
    return rows


def has_label(index: SupplierIndex, task: str, image_id: str, identity: str) -> bool:
    """Whether a supplier gave a label of this revision and settings."""
    label = index.labels.get(task, {}).get(image_id)
    return label is not None and identity_of(vars(index.deliveries[label.delivery])) == identity


def _read_empty(path: Path, identity: str) -> set[str]:
    try:
        values = json.loads(read_text(path)) if path.is_file() else {}
        return set(values["images"]) if values.get("identity") == identity else set()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ProjectError(
            "The list of images without a supplied label is damaged.",
            where=path,
            next_step="Remove it: these images are tried again.",
            unchanged=UNCHANGED,
        ) from error


def build_maker(
    project: ProjectFolder, maker: str, model: Path, chosen: Texts, options: Values
) -> Maker:
    """Build a maker, with checked options.

    Raises:
        LabelgridError: there is none of this name, or it cannot use the model.
    """
    plugins.resolve("makers", maker)  # options are pickled: their class is that of the whole module
    kind = plugins.options_class("makers", maker)
    checked = parse(kind, options, f"options of maker '{maker}'")
    wanted = model, project.tasks(), chosen, checked
    built: Maker = plugins.create("makers", maker, *wanted)
    return built


def earlier_declaration(project: ProjectFolder, name: str) -> Supplier:
    """The earlier declaration of a supplier; the defaults for a new supplier."""
    path = supplier_folder(project, name) / DECLARATION
    return read_declaration(path) if path.is_file() else Supplier()


def try_supply(project: ProjectFolder, order: SupplyOrder, progress: Progress) -> Supplied:
    """Make the label of one image in a temporary folder, and say how long all images take."""
    declared = _checked(project, order)
    licence = _say_licence(project, order, progress)
    rows = _limited(missing_images(project, order, declared), order)
    faults: Texts = {}
    seconds = 0.0
    with TemporaryDirectory(prefix="labelgrid-") as name:
        for _ in range(2 if rows else 0):  # the first time it is loaded, too
            start = time.perf_counter()
            place = LabelPlace(folder=Path(name))
            faults = order.maker.make(image_files(rows[:1]), place, Silent())
            seconds = (time.perf_counter() - start) * len(rows)
    return Supplied(
        supplier=order.name,
        left=len(rows),
        faults=faults,
        licence=licence,
        seconds=round(seconds, 1),
    )


def make_labels(
    project: ProjectFolder, order: SupplyOrder, progress: Progress, workplace: Workplace
) -> MadeLabels | None:
    """Make the labels of all images that lack a label; None for a share of the work."""
    declared = _checked(project, order)
    licence = _say_licence(project, order, progress)
    rows = _limited(missing_images(project, order, declared), order)
    place = LabelPlace(
        folder=(_folder_of(project, order) / MADE).absolute(),
        whole=whole_names([row.image_id for row in rows], _all_images(project)),
        threads=workplace.threads,
    )
    making = label_pass(order.maker, image_files(rows), place)
    shards = making.shards(workplace)
    if not making.run(shards, workplace, progress):
        return None
    faults: dict[str, str] = {}
    for record in making.records(shards):
        faults |= record.faults
    images = [row.image_id for row in rows if row.image_id not in faults]
    return MadeLabels(images=images, faults=faults, licence=licence)


def _all_images(project: ProjectFolder) -> Iterator[str]:
    return (row.image_id for row in project.store.images())


def take_labels(
    project: ProjectFolder, order: SupplyOrder, made: MadeLabels, progress: Progress
) -> Supplied:
    """Import the made labels, and note the images without a label."""
    declared = _checked(project, order)
    folder = _folder_of(project, order)
    tasks: Mapping[str, Tally] = {}
    if made.images and (folder / MADE).is_dir():  # else another run has just imported them
        write_text(folder / MADE / DECLARATION, declared.text(), UNCHANGED)
        done = import_supplied(
            project, folder / MADE, supplier=order.name, format="folder", progress=progress
        )
        tasks = {task: done.tasks[task] for task in order.maker.files}
    _note_empty(project, order, declared, made.images)
    remove_folder(folder.parent)  # with labels of other revisions that were never imported
    with suppress(OSError):  # another supplier's labels may be there
        folder.parents[1].rmdir()
    return Supplied(
        supplier=order.name,
        tasks=tasks,
        made=len(made.images),
        left=len(missing_images(project, order, declared)),
        faults=made.faults,
        licence=made.licence,
        next_step=command("query", project.folder, "--audit", "10") if tasks else "",
    )


def _note_empty(
    project: ProjectFolder, order: SupplyOrder, declared: Supplier, images: Sequence[str]
) -> None:
    """Note the images without a made label, such as images of unknown classes alone."""
    identity = identity_of(vars(declared))
    path = supplier_folder(project, order.name) / EMPTY
    index = read_index(project, order.name)
    empty = set()
    for image_id in images:
        labelled = [has_label(index, task, image_id, identity) for task in order.maker.files]
        if not all(labelled):
            empty.add(image_id)
    if empty:
        empty |= _read_empty(path, identity)
        text = json.dumps({"identity": identity, "images": sorted(empty)}, ensure_ascii=False)
        write_text(path, f"{text}\n", UNCHANGED)


def _limited(rows: list[ImageRow], order: SupplyOrder) -> list[ImageRow]:
    return rows[: order.limit] if order.limit else rows


def _say_licence(project: ProjectFolder, order: SupplyOrder, progress: Progress) -> str:
    """Say the licence that a maker states, word by word, unless earlier labels had the same."""
    licence = str(order.maker.declared.get("licence", ""))
    earlier = {one.licence for one in read_index(project, order.name).deliveries}
    if licence in earlier:
        return ""
    if licence:
        progress.say(f"The licence of the model, as stated: {licence}")
    return licence


def _checked(project: ProjectFolder, order: SupplyOrder) -> Supplier:
    """The declaration of the labels, checked.

    Raises:
        UsageError: none of a maker's classes is one of the project's.
    """
    declared = order.declared(earlier_declaration(project, order.name))
    for task, names in order.maker.declared.get("classes", {}).items():
        if all(declared.map.get(name) == IGNORE for name in names):
            first = names[0]
            raise UsageError(
                f"None of the model's classes is a class of '{task}': {join_names(names)}.",
                next_step=f"Say what they mean, such as --map '{first}=CLASS'; classes of '{task}' "
                f"are {join_names(project.tasks()[task].region_names)}.",
                unchanged="No label was made.",
            )
    return declared
