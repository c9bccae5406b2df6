"""Laws of comparing labels elsewhere: shards of processes find what this process finds, bit for bit, and are not repeated."""

from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest

from labelgrid.audit.audit import audit
from labelgrid.audit.label_shards import FOLDER, PRELOADED, find_evidence
from labelgrid.basics.progress import Silent
from labelgrid.evidence.label_evidence import LabelEvidence
from labelgrid.executors.places.processes import Processes
from labelgrid.executors.share import Share
from labelgrid.executors.workplace import Workplace
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import State
from labelgrid.project.folder import ProjectFolder
from tests.campaigns import make_project
from tests.projects import Said
from tests.support import make_dataset

COVERS = ["labelgrid.project.label_stamp"]
TASKS = ("semseg", "depth", "normals", "edges")
IMAGES = 20


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProjectFolder]:
    """A project with labels, one of which cannot be read, and one that is another image's."""
    folder = tmp_path_factory.mktemp("shards")
    made = make_dataset(folder / "made", n=IMAGES, size=(96, 128), tasks=TASKS)
    made.label(made.names[3], "depth").write_bytes(made.label(made.names[7], "depth").read_bytes())
    with make_project(folder / "flat", made) as project:
        import_labels(project, made.labels, accept=True)
        row = next(iter(project.store.cells(state=State.LABELLED)))
        (project.folder / row.path).write_bytes(b"damaged")
        yield project


def of_processes(shard: int, share: Share | None = None) -> Workplace:
    return Workplace(Processes(PRELOADED, 2, share or Share()), shard)


def values(found: LabelEvidence) -> object:
    values = {}
    for sort, evidence in found.sorts.items():
        for cell, one in evidence.items():
            values[sort, cell] = (one.value, one.text, list(one.others))
    return values


def test_one_or_three_shards_elsewhere_find_what_this_process_finds(project: ProjectFolder) -> None:
    expected = find_evidence(project, Silent())
    assert (
        expected
        and expected.unread
        and expected.sorts["image edges"]
        and expected.sorts["class order"]
    )
    for shard in (8, 32):
        found = find_evidence(project, Silent(), of_processes(shard))
        assert found and values(found) == values(expected)
        assert (found.labels, found.unread) == (expected.labels, expected.unread)
        assert not (project.folder / FOLDER).exists()


class Notes(Said):
    """Keeps the notes."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.lines.append(f"{amount} {note}")


def test_shares_compare_their_shards_which_are_not_repeated_unless_a_label_changed(
    project: ProjectFolder,
) -> None:
    here = audit(project, 0, Silent())
    table = here.table.read_bytes()
    shared = audit(project, 0, Silent(), workplace=of_processes(8, Share(0, 2)))
    assert not shared.labels
    records = sorted((project.folder / FOLDER).glob("*.json"))
    assert len(records) == 2
    records[0].write_text("{}")
    notes = Notes()
    audited = audit(project, 0, notes, workplace=of_processes(0))  # of any size
    assert notes.lines.count("4 done before") == 1
    assert [line for line in notes.lines if line.endswith("before")] == ["4 done before"]
    assert list(map(asdict, audited.labels)) == list(map(asdict, here.labels))
    assert audited.table.read_bytes() == table


def test_what_was_compared_before_a_task_was_changed_is_compared_again(
    project: ProjectFolder,
) -> None:
    audit(project, 0, Silent(), workplace=of_processes(8, Share(0, 2)))
    row, *_ = project.store.tasks()
    project.store.update_task(replace(row, options={**row.options, "ignore": [0]}))
    notes = Notes()
    audit(project, 0, notes, workplace=of_processes(8))
    assert not [line for line in notes.lines if line.endswith("before")]


def test_what_was_compared_before_the_file_of_the_recipe_was_changed_is_compared_again(
    project: ProjectFolder,
) -> None:
    recipe = project.folder / "own.toml"
    recipe.write_text(f'extends = "{project.settings.recipe}"\n')
    project.settings = replace(project.settings, recipe=str(recipe))
    audit(project, 0, Silent(), workplace=of_processes(8, Share(0, 2)))
    recipe.write_text(f"{recipe.read_text()}[relations.depth_normals]\ntrust = 0.5\n")
    notes = Notes()
    audit(project, 0, notes, workplace=of_processes(8))
    assert not [line for line in notes.lines if line.endswith("before")]
