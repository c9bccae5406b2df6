"""Laws of measuring trust elsewhere: the same rows, bit for bit, from any place, and only what is missing is measured."""

import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.api.project import Project
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.executors.places.processes import Processes
from labelgrid.executors.share import Share
from labelgrid.executors.workplace import Workplace, executor_at
from labelgrid.imports.import_labels import import_labels
from labelgrid.imports.import_supplied import import_supplied
from labelgrid.project.folder import CAMERAS, SETTINGS, ProjectFolder
from labelgrid.recipes.resolve import load_recipe
from labelgrid.suppliers.relate import Related, relate
from labelgrid.suppliers.trust_jobs import FOLDER, PRELOADED, trust_pass, unmeasured_trust
from tests.projects import Said, make_project
from tests.ray_clusters import environment
from tests.rounds import open_copy

TASKS = ("semseg", "depth", "normals", "edges")
#: Two relations and a supplier's depth.
JOBS = 3
#: Does a job, and says by its exit code whether that loaded torch.
WORKER = """
import pickle, sys
from labelgrid.basics.progress import Silent
function, *arguments = pickle.load(sys.stdin.buffer)
record = function(*arguments, Silent())
sys.exit("torch" in sys.modules or not record.rows.relations)
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project of which one relation, whose camera is searched, and a supplier can be measured.

    Of the other relation, edges from classes, one image alone has the labels.
    """
    folder = tmp_path_factory.mktemp("first")
    project, made = make_project(folder, n=12, tasks=TASKS)
    edges = sorted((made.labels / "edges").iterdir())
    training = {Path(row.image_id).stem for row in project.store.images(("train",))}
    left = [path for path in edges if path.stem in training]
    for path in left[1:]:
        path.unlink()
    given = folder / "given"
    shutil.copytree(made.labels / "depth", given / "depth")
    with project:
        import_labels(project, made.labels, accept=True)
        import_supplied(project, given, supplier="s", accept=True)
    return project.folder


@pytest.fixture
def project(first: Path, tmp_path: Path) -> Iterator[ProjectFolder]:
    """A test's own copy of the project."""
    with open_copy(first, tmp_path / "flat") as project:
        yield project


def of_processes(workers: int = 2, share: Share | None = None) -> Workplace:
    return Workplace(Processes(PRELOADED, workers, share or Share()))


class Notes(Said):
    """Counts what was done before."""

    def __init__(self) -> None:
        super().__init__()
        self.before = 0

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.before += amount * (note == "done before")


def measured(project: ProjectFolder, workplace: Workplace) -> tuple[Related, int]:
    """What was measured, and how much of it before."""
    notes = Notes()
    related = relate(project, notes, workplace=workplace)
    return related, notes.before


def test_one_process_or_two_elsewhere_measure_what_this_process_measures(
    project: ProjectFolder,
) -> None:
    expected = relate(project, Silent())
    found, lacking = expected.relations
    assert found.trust and found.measured and found.field_of_view and found.options
    assert str(project.folder) in lacking.remark and expected.suppliers[0].trust == 1
    for workers in (1, 2):
        assert measured(project, of_processes(workers)) == (expected, 0)
        assert not (project.folder / FOLDER).exists()


def test_remarks_name_the_project_as_its_user_does(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder.parent)
    with ProjectFolder.open(Path(project.folder.name)) as beside:
        related, _ = measured(beside, of_processes())
        assert related == relate(beside, Silent())


def test_shares_write_nothing_but_records_which_are_joined(project: ProjectFolder) -> None:
    expected = relate(project, Silent())
    settings = (project.folder / SETTINGS).read_bytes()
    for index in (0, 1):
        said = Said()
        workplace = of_processes(1, Share(index, 2))
        shared = relate(project, said, write=True, workplace=workplace)
        assert not (shared.relations or shared.suppliers or shared.files or shared.written)
        assert f"Share {index + 1} of 2 is done." in said.lines[-1]
    assert (project.folder / SETTINGS).read_bytes() == settings
    assert not (project.folder / CAMERAS).exists()
    assert measured(project, of_processes()) == (expected, JOBS)
    assert not (project.folder / FOLDER).exists()


def test_only_what_is_missing_or_damaged_is_measured_again(project: ProjectFolder) -> None:
    expected = relate(project, Silent())
    measured(project, of_processes(2, Share(0, 2)))
    records = sorted((project.folder / FOLDER).glob("*.json"))
    assert len(records) == 2
    records[1].write_text(records[1].read_text()[:-9])
    assert measured(project, of_processes()) == (expected, 1)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (SETTINGS, "[changes.relations.depth_normals]\ntrust = 0.5\n"),
        (CAMERAS, "field_of_view = 64.0\n"),
        ("supplied/s/supplier.toml", "# The scale of MoGe.\n"),
        ("supplied/s/index.json", "\n"),
    ],
)
def test_what_was_measured_with_other_files_is_measured_again(
    project: ProjectFolder, file: str, text: str
) -> None:
    measured(project, of_processes(2, Share(0, 2)))
    path = project.folder / file
    path.write_text((path.read_text() if path.exists() else "") + text)
    with ProjectFolder.open(project.folder) as changed:
        assert measured(changed, of_processes()) == (relate(changed, Silent()), 0)


def unlabel(project: ProjectFolder) -> None:
    image, *_ = project.store.images(("train",))
    Project(project).unlabel([f"{image.image_id}:normals"])


def change_a_task(project: ProjectFolder) -> None:
    row, *_ = project.store.tasks()
    project.store.update_task(replace(row, options={**row.options, "ignore": [0]}))


def change_an_image(project: ProjectFolder) -> None:
    image, *_ = project.store.images(("train",))
    project.store.update_images([replace(image, digest="other")])


@pytest.mark.parametrize("change", [unlabel, change_a_task, change_an_image])
def test_what_was_measured_with_another_ledger_is_measured_again(
    project: ProjectFolder, change: Callable[[ProjectFolder], None]
) -> None:
    measured(project, of_processes(2, Share(0, 2)))
    change(project)
    assert measured(project, of_processes()) == (relate(project, Silent()), 0)


def test_what_was_measured_with_other_cameras_of_a_table_is_measured_again(
    project: ProjectFolder,
) -> None:
    (project.folder / CAMERAS).write_text('table = "cameras.csv"\n')
    names = [row.image_id for row in project.store.images()]
    table = project.folder / "cameras.csv"
    for degrees in (60, 70):
        lines = [f"{name},{degrees}" for name in names]
        table.write_text("\n".join(["image,field_of_view", *lines]))
        _, before = measured(project, of_processes(2, Share(0, 2)))
        assert before == 0


def test_a_label_that_changed_is_named_and_the_rest_is_measured(project: ProjectFolder) -> None:
    (path, *_) = sorted((project.folder / "labels" / "normals").glob("*"))
    content = path.read_bytes()
    path.write_bytes(b"damaged")
    with pytest.raises(ProjectError, match=r"Relation depth_normals: .*changed"):
        measured(project, of_processes())
    path.write_bytes(content)
    assert measured(project, of_processes())[1] == JOBS - 1


def test_ray_measures_the_same(project: ProjectFolder, ray_address: str) -> None:
    executor = executor_at(f"ray:{ray_address}", 2, PRELOADED)
    assert measured(project, Workplace(executor)) == (relate(project, Silent()), 0)


def test_what_was_measured_in_processes_is_written(project: ProjectFolder) -> None:
    with Project(project) as opened:
        related = opened.relate(write=True, workers=2)
    assert related.written
    assert related.files[SETTINGS] in (project.folder / SETTINGS).read_text()
    assert (project.folder / CAMERAS).read_text() == related.files[CAMERAS]


def test_a_worker_loads_no_torch(project: ProjectFolder) -> None:
    recipe = load_recipe(project.settings.recipe)
    measuring = trust_pass(project, unmeasured_trust(project, recipe))
    shard, *_ = measuring.shards(Workplace())
    work = pickle.dumps((measuring.function, shard, *measuring.arguments(shard)))
    subprocess.run([sys.executable, "-c", WORKER], input=work, env=environment(), check=True)
