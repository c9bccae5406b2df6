"""Measures the relations and the suppliers of a project, and proposes how far to trust them.

Nothing changes until it is told to. Loads no torch.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from labelgrid.annotate.answer_folder import DECLARATION
from labelgrid.basics.errors import ProjectError, RecipeError, command, note_unchanged
from labelgrid.basics.files import disk_errors, read_text, write_text
from labelgrid.basics.progress import Progress
from labelgrid.basics.shown import Shown, table
from labelgrid.basics.type_names import Values
from labelgrid.basics.words import count_text, join_names
from labelgrid.data.cameras import NAME as CAMERAS
from labelgrid.data.derived import shifted_text
from labelgrid.executors.workplace import IN_THIS_PROCESS, Workplace
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.settings import text_with_tables
from labelgrid.project.suppliers import (
    measured_before,
    read_declaration,
    supplier_folder,
    supplier_names,
)
from labelgrid.suppliers.relation_trust import RelationRow, proposed_camera, relation_tables
from labelgrid.suppliers.supplier_trust import SupplierRow, note_measured_trust, supplier_tables
from labelgrid.suppliers.trust_jobs import TrustRows, measure_trust, unmeasured_trust

UNCHANGED = "Nothing was written."
#: Tables [changes.SECTION.NAME]: by section, then by name.
Tables = Mapping[str, Mapping[str, Values]]


@dataclass(frozen=True, kw_only=True)
class OnSupplied:
    """The labels that a relation derives from a supplier's labels.

    Args:
        relation: its name.
        supplier: the name.
        reads: the task whose labels it reads.
        gives: the task whose labels it derives.
        trust: in the relation times that in the supplier.
        text: the same in words, or why nothing follows.
    """

    relation: str
    supplier: str
    reads: str
    gives: str
    trust: float
    text: str


@dataclass(frozen=True, kw_only=True, repr=False)
class Related(Shown):
    """The relations and the suppliers of a project, measured.

    Args:
        relations: a row for each.
        suppliers: a row for each supplier and task.
        on_supplied: what relations derive from labels of suppliers.
        files: what is proposed for files of the project, by name: tables of `labelgrid.toml`, and
            `camera.toml` if cameras were unknown.
        written: whether that was written.
    """

    relations: Sequence[RelationRow]
    suppliers: Sequence[SupplierRow]
    on_supplied: Sequence[OnSupplied] = ()
    files: Mapping[str, str]
    written: bool

    def __str__(self) -> str:
        count = count_text(len(self.relations), "relation")
        of = count_text(len(self.suppliers), "task of a supplier", "tasks of suppliers")
        if not self.files:
            return f"Measured {count} and {of}; there is nothing to write."
        names = join_names(list(self.files))
        proposed = f"wrote {names}" if self.written else f"relate(write=True) writes {names}"
        return f"Measured {count} and {of}; {proposed}."

    def _parts(self) -> Iterator[str]:
        rows = []
        for relation in self.relations:
            name = f"{join_names(relation.reads)} → {relation.gives}"
            rows.append((relation.name, name, relation.sample, relation.now, relation.trust))
        rows += [(row.supplier, row.task, row.sample, row.now, row.trust) for row in self.suppliers]
        yield table(("", "labels", "measured on", "trust now", "proposed"), rows)


@note_unchanged(UNCHANGED)
def relate(
    project: ProjectFolder,
    progress: Progress,
    *,
    write: bool = False,
    workplace: Workplace = IN_THIS_PROCESS,
) -> Related:
    """Measure the recipe's relations, fitting shipped relations, and the suppliers.

    Args:
        project: the project.
        progress: reports each relation, and each task of a supplier.
        write: write the trust, and the camera if it was unknown, into the project's files.
        workplace: where they are measured.

    Returns:
        The measured rows; no row, and nothing written, if only a share was measured.

    Raises:
        RecipeError: the recipe is wrong, or there is neither a relation nor a supplier.
        LabelError: a label's file is missing or has changed.
        ProjectError: the camera cannot be written; or something could not be measured elsewhere.
    """
    settings = project.settings
    recipe = project.recipe()
    unmeasured = unmeasured_trust(project, recipe)
    if not unmeasured.parts():
        words = ("FOLDER", "--supplier", "NAME")
        imports = command("import", project.folder, *words)
        raise RecipeError(
            "No relation is declared, none fits the project's tasks, and no supplier gave labels.",
            where=project.folder / SETTINGS,
            next_step="`labelgrid list relations` shows all relations; declare one as a table "
            f"[changes.relations.NAME]. Or `{imports}` brings a supplier's labels.",
        )
    _say_measured_before(project, progress)
    rows = measure_trust(project, progress, unmeasured, workplace)
    if rows is None:
        return Related(relations=[], suppliers=[], files={}, written=False)
    tables = {
        "relations": relation_tables(rows.relations, unmeasured.relations),
        "suppliers": supplier_tables(rows.suppliers, settings.changes.get("suppliers", {})),
    }
    camera = proposed_camera(rows.relations)
    files = {}
    if any(tables.values()):
        files[SETTINGS] = f"{_with_tables('', tables).strip()}\n"
    if camera:
        files[CAMERAS] = camera
    if write:
        _write(project, tables, camera)
        note_measured_trust(project, rows.suppliers)
    return Related(
        relations=rows.relations,
        suppliers=rows.suppliers,
        on_supplied=list(_on_supplied(project, rows)),
        files=files,
        written=write and bool(files),
    )


def _say_measured_before(project: ProjectFolder, progress: Progress) -> None:
    for name in supplier_names(project):
        tasks = measured_before(project, name)
        if tasks:
            progress.say(
                f"{name}: the trust in {join_names(tasks)} was measured by an earlier rule, and is "
                "measured again; --write keeps it."
            )


def _on_supplied(project: ProjectFolder, rows: TrustRows) -> Iterator[OnSupplied]:
    for relation in rows.relations:
        of_relation = relation.now if relation.trust is None else relation.trust
        for row in rows.suppliers:
            if relation.reads != (row.task,):
                continue
            of_supplier = row.now if row.trust is None else row.trust
            path = supplier_folder(project, row.supplier) / DECLARATION
            trust = of_relation * of_supplier
            text = f"trust {of_relation:g} × {of_supplier:g} = {trust:.2g}."
            if read_declaration(path).up_to == "scale-shift":
                trust = 0.0
                text = f"none: {shifted_text(row.task, relation.gives)}."
            yield OnSupplied(
                relation=relation.name,
                supplier=row.supplier,
                reads=row.task,
                gives=relation.gives,
                trust=trust,
                text=text,
            )


def _with_tables(text: str, tables: Tables) -> str:
    for section, of_section in tables.items():
        if of_section:
            text = text_with_tables(text, section, of_section)
    return text


def _write(project: ProjectFolder, tables: Tables, camera: str) -> None:
    path = project.folder / CAMERAS
    if camera and (project.settings.oracle or os.path.lexists(path)):
        raise ProjectError(
            "Cameras of some images were found, but another file says what is known of them.",
            where=project.settings.oracle.root if project.settings.oracle else path,
            next_step=f"Add `{camera.strip()}` to its {CAMERAS}, then run the same command again.",
        )
    file = project.folder / SETTINGS
    with disk_errors(file, UNCHANGED):
        text = _with_tables(read_text(file), tables)
        if camera:
            write_text(path, camera)
        write_text(file, text)
