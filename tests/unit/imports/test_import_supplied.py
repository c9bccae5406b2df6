"""Labels of suppliers: kept beside the ledger's, replaced whole, never for images that measure."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from labelgrid.annotate.answers import ImportRefused
from labelgrid.basics.errors import LabelError, ProjectError, RecipeError, UsageError
from labelgrid.basics.files import digest
from labelgrid.basics.progress import Silent
from labelgrid.imports import import_supplied as module
from labelgrid.imports.import_labels import Tally, import_labels
from labelgrid.imports.import_supplied import import_supplied
from labelgrid.operations.task_change import TaskChange, change_task
from labelgrid.operations.verify import verify
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.suppliers import read_index, supplied_rows, supplier_folder
from labelgrid.suppliers.supplied import bind_supplier, supplied_labels
from tests.campaigns import ledger, make_project, snapshot
from tests.projects import Said
from tests.support import Made, make_dataset

COVERS = ["labelgrid.project.supplier_classes"]


class Killed(BaseException):
    """Ends an import where it stands."""


def give(project: ProjectFolder, folder: Path, **options: object) -> module.Imported:
    return import_supplied(project, folder, supplier="moge", **options)  # type: ignore[arg-type]


def labels_of(project: ProjectFolder) -> dict[tuple[str, str], str]:
    """The digests of the supplier's labels, whose files hold what the index says."""
    found = {}
    for row in supplied_rows(project):
        assert digest(project.inside(row.path)) == row.digest
        found[row.cell.image_id, row.cell.task] = row.digest
    return found


def files_of(project: ProjectFolder) -> list[Path]:
    return sorted(project.folder.glob("supplied/moge/*/*.*"))


def other_depth(data: Made, folder: Path) -> Path:
    """The supplier's labels with another depth of the first image."""
    shutil.copytree(data.labels, folder)
    path = folder / "depth/0000.png"
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert cv2.imwrite(str(path), pixels + np.uint16(100))
    return folder


def test_supplied_labels_label_no_cell_and_cost_nothing_in_the_ledger(
    project: ProjectFolder, data: Made
) -> None:
    before = ledger(project)
    done = give(project, data.labels, cost=0.01)
    assert done.tasks == {"semseg": Tally(new=3), "depth": Tally(new=3)}
    assert ledger(project) == before and not list(project.store.cells())
    assert project.store.spent() == 0
    found = labels_of(project)
    assert found == {(name, task): digest(data.label(name, task)) for name, task in found}
    assert len(found) == 6
    first = found["0000.jpg", "depth"][:8]
    assert (project.folder / f"supplied/moge/depth/0000.{first}.png").is_file()


def test_the_same_labels_again_change_nothing(project: ProjectFolder, data: Made) -> None:
    give(project, data.labels)
    before = snapshot(project)
    done = give(project, data.labels)
    assert done.tasks == {"semseg": Tally(unchanged=3), "depth": Tally(unchanged=3)}
    assert snapshot(project) == before


def test_a_new_label_replaces_the_supplier_s_earlier_one(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    give(project, data.labels)
    other = other_depth(data, tmp_path / "other")
    (other / "supplier.toml").write_text('revision = "2"\nlicence = "MIT"\n')
    done = give(project, other)
    assert done.tasks["depth"] == Tally(replaced=1, unchanged=2)
    assert labels_of(project)["0000.jpg", "depth"] == digest(other / "depth/0000.png")
    assert len(files_of(project)) == 6
    index = read_index(project, "moge")
    labels = index.labels["depth"]
    assert index.deliveries[labels["0000.jpg"].delivery].revision == "2"
    assert index.deliveries[labels["0001.jpg"].delivery].revision == ""
    assert index.deliveries[labels["0001.jpg"].delivery].classes == {"semseg": 4}


def test_two_suppliers_keep_a_label_each(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    give(project, data.labels)
    import_supplied(project, other_depth(data, tmp_path / "other"), supplier="other")
    assert len(supplied_rows(project)) == 12


def test_a_true_label_comes_as_if_there_were_no_supplier(
    project: ProjectFolder, data: Made
) -> None:
    give(project, data.labels)
    done = import_labels(project, data.labels)
    assert done.tasks["depth"] == Tally(new=3)
    assert give(project, data.labels).tasks["depth"] == Tally(unchanged=3)


@pytest.mark.parametrize("split", ["heldout", "test", "val"])
def test_labels_of_images_that_measure_are_left_out_and_counted(
    data: Made, tmp_path: Path, split: str
) -> None:
    splits = {"0001.jpg": split}
    with make_project(tmp_path / "project", data, splits=splits) as project:  # type: ignore[arg-type]
        done = give(project, data.labels)
        assert "Left out: 2 labels are of held-out, val or test images" in str(done)
        assert {image_id for image_id, _ in labels_of(project)} == {"0000.jpg", "0002.jpg"}
        assert not list(project.folder.rglob("*0001.*"))


def test_labels_of_held_out_images_alone_are_refused(data: Made, tmp_path: Path) -> None:
    splits = dict.fromkeys(data.names, "heldout")
    with make_project(tmp_path / "project", data, splits=splits) as project:  # type: ignore[arg-type]
        with pytest.raises(LabelError, match="6 labels are of held-out"):
            give(project, data.labels)
        assert not (project.folder / "supplied").exists()


def test_one_wrong_label_refuses_all(project: ProjectFolder, data: Made, tmp_path: Path) -> None:
    other = other_depth(data, tmp_path / "other")
    cv2.imwrite(str(other / "semseg/0001.png"), np.full((16, 24), 9, np.uint8))
    cv2.imwrite(str(other / "depth/0002.png"), np.ones((8, 8), np.uint16))
    with pytest.raises(ImportRefused) as caught:
        give(project, other)
    assert [fault.where for fault in caught.value.rows] == ["depth/0002.png", "semseg/0001.png"]
    assert not (project.folder / "supplied").exists()


def test_an_unknown_task_or_image_is_refused(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    other = other_depth(data, tmp_path / "other")
    shutil.move(other / "semseg", other / "flow")
    with pytest.raises(ImportRefused, match="flow"):
        give(project, other)


def test_a_dry_run_keeps_nothing(project: ProjectFolder, data: Made) -> None:
    done = give(project, data.labels, dry_run=True)
    assert done.tasks["depth"] == Tally(new=3) and not done.refused
    assert not (project.folder / "supplied").exists()


def test_labels_that_look_wrong_are_said_and_kept(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    shutil.copytree(data.labels, tmp_path / "metres")
    for path in (tmp_path / "metres/depth").iterdir():
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.maximum(pixels // 1000, 1).astype(np.uint16))
    said = Said()
    done = give(project, tmp_path / "metres", progress=said)
    assert done.tasks["depth"] == Tally(new=3)
    assert any("these labels may be wrong" in line for line in said.lines)
    (tmp_path / "metres/supplier.toml").write_text('align = "scale"\n')
    said.lines.clear()
    import_supplied(project, tmp_path / "metres", supplier="relative", progress=said)
    assert not said.lines


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ("", " m (5"),
        ('up_to = "scale"', "no unit: true up to a scale, "),
        (
            'up_to = "scale-shift"\nlarger_is_nearer = true',
            "no unit: true up to a scale and a shift, ",
        ),
        ("larger_is_nearer = true", "no unit: inverse, "),
    ],
)
def test_numbers_have_a_unit_only_where_they_are_those_of_the_task(
    project: ProjectFolder, data: Made, tmp_path: Path, declared: str, words: str
) -> None:
    shutil.copytree(data.labels, tmp_path / "given")
    (tmp_path / "given/supplier.toml").write_text(f"{declared}\n")
    numbers = give(project, tmp_path / "given").numbers["depth"]
    assert words in numbers.text and (" m (" in numbers.text) == (not declared)
    assert numbers.values["unit"] == ("" if declared else "m")


def test_what_the_folder_declares_stays_until_another_says_otherwise(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    other = other_depth(data, tmp_path / "other")
    (other / "supplier.toml").write_text('licence = "MIT"\nalign = "scale"\n')
    give(project, other, cost=0.5)
    kept = supplier_folder(project, "moge") / "supplier.toml"
    first = kept.read_text()
    assert 'licence = "MIT"' in first and "cost = 0.5" in first and 'up_to = "scale"' in first
    give(project, data.labels)
    assert kept.read_text() == first


@pytest.mark.parametrize("line", ["lisence = 'MIT'", 'align = "stretch"', "cost = -1.0", "cost"])
def test_a_wrong_declaration_is_refused(
    project: ProjectFolder, data: Made, tmp_path: Path, line: str
) -> None:
    other = other_depth(data, tmp_path / "other")
    (other / "supplier.toml").write_text(line)
    with pytest.raises(RecipeError, match=r"supplier\.toml"):
        give(project, other)
    assert not (project.folder / "supplied").exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65])
def test_a_name_that_is_no_folder_s_is_refused(
    project: ProjectFolder, data: Made, name: str
) -> None:
    with pytest.raises(UsageError, match="A supplier's name"):
        import_supplied(project, data.labels, supplier=name)


def test_a_training_that_runs_keeps_its_labels(project: ProjectFolder, data: Made) -> None:
    with project.lock(), pytest.raises(ProjectError, match="is running"):
        give(project, data.labels)


@pytest.mark.parametrize("step", ["write_index", "read_declaration", "remove_files"])
def test_a_killed_import_leaves_all_earlier_labels_or_all_new_ones(
    project: ProjectFolder,
    data: Made,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    give(project, data.labels)
    old = labels_of(project)
    other = other_depth(data, tmp_path / "other")

    def kill(*_: object) -> None:
        raise Killed

    owner: object = module.files if step == "remove_files" else module
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(owner, step, kill)
        give(project, other)
    now = labels_of(project)
    assert (now != old) == (step == "remove_files")
    give(project, other)
    assert labels_of(project)["0000.jpg", "depth"] == digest(other / "depth/0000.png")


def test_verify_reads_supplied_labels(
    project: ProjectFolder, data: Made, wreck: Callable[[Path], None]
) -> None:
    give(project, data.labels)
    assert str(verify(project, Silent())) == (
        "Read 3 images and 0 labels, and 6 labels of suppliers: 0 faults."
    )
    wreck(files_of(project)[0])
    (fault,) = verify(project, Silent()).faults
    assert fault.where == files_of(project)[0].relative_to(project.folder).as_posix()


def test_a_damaged_label_is_repaired_by_the_same_import(
    project: ProjectFolder, data: Made, wreck: Callable[[Path], None]
) -> None:
    give(project, data.labels)
    wreck(files_of(project)[0])
    assert give(project, data.labels).tasks["depth"] == Tally(repaired=1, unchanged=2)
    labels_of(project)


@pytest.fixture
def wreck() -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[-20] ^= 1
        path.write_bytes(content)

    return damage


def with_classes(folder: Path, data: Made, names: list[str], line: str = "") -> Path:
    """The supplier's class maps, whose numbers are those of other names, in another order."""
    classes = ["wall", "floor", "box", "ball"]
    for image_id in data.names:
        pixels = cv2.imread(str(data.label(image_id, "semseg")), cv2.IMREAD_UNCHANGED)
        table = np.full(256, 255, np.uint8)
        for number, name in enumerate(classes):
            table[number] = names.index(name) if name in names else 0
        (folder / "semseg").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "semseg" / f"{image_id[:-4]}.png"), table[pixels])
    (folder / "supplier.toml").write_text(f"classes = {{ semseg = {names} }}\n{line}")
    return folder


def test_class_maps_with_other_numbers_are_read_by_the_names(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    names = ["sky", "ball", "Wall", "box", "floor"]
    folder = with_classes(tmp_path / "given", data, names, 'map = { sky = "ignore" }\n')
    pixels = cv2.imread(str(folder / "semseg/0000.png"), cv2.IMREAD_UNCHANGED)
    done = give(project, folder)
    assert done.tasks["semseg"] == Tally(new=3)
    task = project.tasks()["semseg"]
    for row in supplied_rows(project):
        label = task.read(project.inside(row.path))
        truth = task.read(data.label(row.cell.image_id, "semseg"))
        wanted = truth.valid & (truth.value[..., 0] > 0)  # "Wall" is not in capitals in the files
        np.testing.assert_array_equal(label.value[wanted], truth.value[wanted])
        assert not label.valid[~truth.valid].any() and label.annotated is None
    assert set(np.unique(pixels)) <= {0, 1, 3, 4, 255}


def test_classes_that_a_supplier_does_not_have_are_not_annotated(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    folder = with_classes(tmp_path / "given", data, ["wall", "floor", "box"])
    give(project, folder)
    (row, *_) = supplied_rows(project)
    label = project.tasks()["semseg"].read(project.inside(row.path))
    assert label.annotated is not None
    assert label.annotated.tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ('classes = { semseg = ["wall", "lamp"] }', "'lamp': 'semseg' has no such class"),
        ('classes = { depth = ["wall", "floor"] }', "classes of 'depth', whose labels have none"),
        ('classes = { parts = ["wall", "floor"] }', "names parts, which is not a task"),
        ('map = { car = "vehicle" }\nclasses = { semseg = ["car"] }', "'vehicle' is no class"),
    ],
)
def test_classes_that_no_task_has_are_refused(
    project: ProjectFolder, data: Made, tmp_path: Path, declared: str, message: str
) -> None:
    other = other_depth(data, tmp_path / "other")
    (other / "supplier.toml").write_text(declared)
    with pytest.raises((LabelError, RecipeError), match=message):
        give(project, other)
    assert not (project.folder / "supplied").exists()


@pytest.fixture
def edges(tmp_path: Path) -> Iterator[tuple[ProjectFolder, Made]]:
    """A project with edges and depth."""
    made = make_dataset(tmp_path / "made", n=3, size=(32, 48), tasks=("edges", "depth"))
    with make_project(tmp_path / "graded", made) as project:
        yield project, made


def graded(folder: Path, made: Made, dtype: type[np.generic]) -> Path:
    """Grades of edges from 0 to 1, and a confidence of the depth of the first image."""
    rng = np.random.default_rng(3)
    (folder / "edges").mkdir(parents=True)
    shutil.copytree(made.labels / "depth", folder / "depth")
    (folder / "depth.confidence").mkdir()
    for name in made.names:
        shares = rng.random((32, 48)).astype(np.float32)
        path = folder / "edges" / f"{name[:-4]}.png"
        if dtype is np.float32:
            np.save(path.with_suffix(".npy"), shares)
        else:
            cv2.imwrite(str(path), np.rint(shares * np.iinfo(dtype).max).astype(dtype))
    np.save(folder / "depth.confidence/0000.npy", rng.random((32, 48)).astype(np.float32))
    (folder / "supplier.toml").write_text('grades = ["edges"]\n')
    return folder


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("edges/0000.png", 'grades = ["edges"]'),
        ("depth/0000.png", 'up_to = "scale"'),
        ("depth.confidence/0000.png", 'up_to = "scale"'),
    ],
)
def test_a_file_far_larger_than_its_image_is_refused_by_its_head(
    edges: tuple[ProjectFolder, Made], tmp_path: Path, name: str, declared: str
) -> None:
    project, made = edges
    folder = tmp_path / "given"
    path = folder / name
    path.parent.mkdir(parents=True)
    if "confidence" in name:
        shutil.copytree(made.labels / "depth", folder / "depth")
    cv2.imwrite(str(path), np.full((1200, 1000), 7, np.uint16))
    (folder / "supplier.toml").write_text(f"{declared}\n")
    with pytest.raises(ImportRefused, match="more than a label of its image can have"):
        give(project, folder)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_grades_become_labels_with_a_confidence(
    edges: tuple[ProjectFolder, Made], tmp_path: Path, dtype: type[np.generic]
) -> None:
    project, made = edges
    give(project, graded(tmp_path / "given", made, dtype))
    tasks = project.tasks()
    bound = bind_supplier(project, "moge", {"edges": 1.0, "depth": 1.0})
    shares = np.random.default_rng(3).random((32, 48)).astype(np.float32)
    found = {}
    for task in tasks.values():
        labels = supplied_labels(project, bound, task, usual=None, image_ids=made.names)
        found[task.name] = labels.label("0000.jpg", task)
    edge = found["edges"]
    assert edge is not None and edge.confidence is not None
    np.testing.assert_array_equal(edge.value[..., 0], np.rint(shares * 255) >= 127.5)
    np.testing.assert_allclose(edge.confidence, np.abs(2 * shares - 1), atol=0.01)
    depth = found["depth"]
    assert depth is not None and depth.confidence is not None
    assert 0 <= depth.confidence.min() < depth.confidence.max() <= 1
    assert labels.label("0001.jpg", tasks["depth"]).confidence is None  # type: ignore[union-attr]
    assert not verify(project, Silent()).faults


def test_another_confidence_of_the_same_label_is_kept(
    edges: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    project, made = edges
    folder = graded(tmp_path / "given", made, np.uint8)
    give(project, folder)
    before = snapshot(project)
    give(project, folder)
    assert snapshot(project) == before
    np.save(folder / "depth.confidence/0000.npy", np.full((32, 48), 0.25, np.float32))
    give(project, folder)
    entry = read_index(project, "moge").labels["depth"]["0000.jpg"]
    stored = cv2.imread(str(project.inside(entry.confidence)), cv2.IMREAD_UNCHANGED)
    assert set(stored.ravel().tolist()) == {64}


@pytest.mark.parametrize(
    ("confidence", "message"),
    [
        (np.full((32, 47), 0.5, np.float32), "The confidence map is 32x47.*the label is 32x48"),
        (np.full((32, 48), 1.5, np.float32), "numbers from 0 to 1"),
        (np.full((32, 48), np.nan, np.float32), "numbers from 0 to 1"),
    ],
)
def test_a_wrong_confidence_refuses_the_import(
    edges: tuple[ProjectFolder, Made], tmp_path: Path, confidence: np.ndarray, message: str
) -> None:
    project, made = edges
    folder = graded(tmp_path / "given", made, np.uint8)
    np.save(folder / "depth.confidence/0000.npy", confidence)
    before = snapshot(project)
    with pytest.raises(ImportRefused, match=message):
        give(project, folder)
    assert snapshot(project) == before


def test_maps_of_another_sort_than_earlier_ones_that_stay_are_refused(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    give(project, data.labels)
    before = snapshot(project)
    (tmp_path / "new/depth").mkdir(parents=True)
    shutil.copy(data.label("0000.jpg", "depth"), tmp_path / "new/depth")
    (tmp_path / "new/supplier.toml").write_text('up_to = "scale"\n')
    with pytest.raises(LabelError, match="earlier labels of 'depth' by 'moge' would be read as"):
        give(project, tmp_path / "new")
    assert snapshot(project) == before
    shutil.copytree(data.labels / "depth", tmp_path / "new/depth", dirs_exist_ok=True)
    give(project, tmp_path / "new")  # none is left of the other sort


@pytest.mark.parametrize("up_to", ["scale", "scale-shift"])
def test_numbers_of_maps_up_to_something_come_into_the_range_of_the_task(
    project: ProjectFolder, tmp_path: Path, up_to: str
) -> None:
    change_task(project, "depth", TaskChange({"maximum": 10.0}), Silent())
    folder = tmp_path / "given"
    (folder / "depth").mkdir(parents=True)
    given = np.linspace(-40.0, 60.0, 16 * 24, dtype=np.float32).reshape(16, 24)
    given[3, 4:6] = 0.0, np.nan
    np.save(folder / "depth/0000.npy", given)
    whole = np.linspace(1.0, 9.0, 16 * 24, dtype=np.float32).reshape(16, 24)
    np.save(folder / "depth/0001.npy", whole)
    (folder / "supplier.toml").write_text(f'up_to = "{up_to}"\n')
    give(project, folder)
    paths = {row.cell.image_id: project.inside(row.path) for row in supplied_rows(project)}
    label = project.tasks()["depth"].read(paths["0000.jpg"])
    np.testing.assert_array_equal(np.load(paths["0001.jpg"]), whole)
    measured = np.isfinite(given) if up_to == "scale-shift" else given > 0
    np.testing.assert_array_equal(label.valid, measured)
    values = label.value[..., 0][measured].astype(np.float64)
    assert values.min() > 0 and values.max() <= 10
    columns = [given[measured]]
    if up_to == "scale-shift":
        columns.append(np.ones(measured.sum()))
    _, misfit, *_ = np.linalg.lstsq(np.stack(columns, 1), values, rcond=None)
    assert misfit.item() < 1e-8


def test_maps_of_8_bits_up_to_a_scale_need_no_declared_step(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    (tmp_path / "given/depth").mkdir(parents=True)
    pixels = np.arange(16 * 24, dtype=np.uint32).reshape(16, 24).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "given/depth/0000.png"), pixels)
    with pytest.raises(ImportRefused, match="its scale is not declared"):
        give(project, tmp_path / "given")
    (tmp_path / "given/supplier.toml").write_text('up_to = "scale-shift"\n')
    give(project, tmp_path / "given")
    (row,) = supplied_rows(project)
    label = project.tasks()["depth"].read(project.inside(row.path))
    np.testing.assert_array_equal(label.valid, pixels > 0)  # 0 is "not measured" in whole numbers
    np.testing.assert_array_equal(label.value[..., 0], pixels)


def test_a_mask_of_0_and_1_is_no_confidence_unless_a_maker_wrote_it(
    edges: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    project, made = edges
    folder = graded(tmp_path / "given", made, np.uint8)
    mask = np.arange(32 * 48).reshape(32, 48) % 2
    cv2.imwrite(str(folder / "edges/0001.png"), mask.astype(np.uint8))
    with pytest.raises(ImportRefused, match="holds only 0 and 1, of 255"):
        give(project, folder)
    with (folder / "supplier.toml").open("a") as file:
        file.write('settings = { maker = "onnx" }\n')
    assert give(project, folder).tasks["edges"] == Tally(new=3)


def test_verify_reads_the_confidence(edges: tuple[ProjectFolder, Made], tmp_path: Path) -> None:
    project, made = edges
    give(project, graded(tmp_path / "given", made, np.uint8))
    entry = read_index(project, "moge").labels["depth"]["0000.jpg"]
    project.inside(entry.confidence).write_bytes(b"other")
    assert [fault.where for fault in verify(project, Silent()).faults] == [entry.confidence]
