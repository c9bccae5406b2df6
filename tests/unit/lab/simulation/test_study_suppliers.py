"""Laws of suppliers in studies: labels of the pool alone, from a folder, as far as they are trusted."""

import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.files import digest
from labelgrid.basics.progress import Silent
from labelgrid.formats.codec import UpTo
from labelgrid.lab.simulation.campaign import copy_run
from labelgrid.lab.simulation.run_identity import Identities, identities_of
from labelgrid.lab.simulation.run_jobs import settings_of
from labelgrid.lab.simulation.run_study import run_study
from labelgrid.lab.simulation.runs import Run, runs_of
from labelgrid.lab.simulation.study_plan import plan_study
from labelgrid.lab.simulation.study_request import StudyRequest
from labelgrid.lab.simulation.study_suppliers import take_labels
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import read_fit
from labelgrid.project.suppliers import read_index, supplied_rows, supplier_names
from labelgrid.rounds.context import context_of
from labelgrid.suppliers.supplied import (
    UsualValues,
    bind_supplier,
    pairs,
    supplied_labels,
)
from tests.studies import make_data, make_recipe, study_request
from tests.support import Made
from tests.unit.lab.simulation.test_campaign import (
    finish,
    finish_hidden,
    history,
    measured,
    start,
    study,
)

RANDOM = Run(kind="strategy", name="random_cells", seed=0)
TRUST = {"net": {"trust": 0.5, "folder": "supplied/net"}}
OFF = {"net": {"trust": 0.0, "folder": "supplied/net"}}


def supply(made: Made, folder: Path) -> Path:
    """Labels of a supplier for all images, of the test split, too: half the depth."""
    shutil.copytree(made.labels, folder)
    for path in (folder / "depth").iterdir():
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert pixels is not None
        cv2.imwrite(str(path), pixels // 2)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suppliers")
    made = make_data(folder / "data")
    supply(made, folder / "data/supplied/net")
    make_recipe(folder)
    return folder


def changed(suppliers: dict[str, Any]) -> dict[str, Any]:
    """Changes of all kinds of runs."""
    kinds = ("start", "strategy", "full", "single")
    return {"changes": {kind: {"suppliers": suppliers} for kind in kinds}}


def begun(place: Path, folder: Path, suppliers: dict[str, Any]) -> ProjectFolder:
    project = start(place, folder, RANDOM, **changed(suppliers))
    take_labels(project, Silent())
    return project


def test_a_run_has_the_labels_of_the_pool_as_after_an_import(place: Path, tmp_path: Path) -> None:
    with begun(place, tmp_path / "run", TRUST) as project:
        pool = {row.image_id for row in project.store.images(("train",))}
        found = {row.cell for row in supplied_rows(project)}
        assert found == {Cell(image_id, task) for image_id in pool for task in ("semseg", "depth")}
        assert all(digest(project.inside(row.path)) == row.digest for row in supplied_rows(project))
        before = read_index(project, "net")
        take_labels(project, Silent())
        assert read_index(project, "net") == before
        source = place / "data/supplied/net/depth/0000.png"
        (path,) = project.folder.glob("supplied/net/depth/0000.*")
        assert path.samefile(source)


def test_a_supplier_that_is_not_trusted_changes_no_bit(place: Path, tmp_path: Path) -> None:
    results = []
    for name, suppliers in (("without", {}), ("off", OFF), ("on", TRUST)):
        with begun(place, tmp_path / name, suppliers) as project:
            finish(project, RANDOM, study(place, rounds=1))
            assert supplier_names(project) == (["net"] if name == "on" else [])
            fits = [read_fit(path) for path in sorted(project.folder.glob("rounds/*"))]
            models = [fit.model for fit in fits if fit]
            assert len(models) == 2
            results.append((history(project), measured(project), models))
    assert results[0] == results[1]
    assert results[2][0] == results[0][0]  # the same labels are bought
    assert results[2][2][0] == results[0][2][0]  # whole images have no gap to fill
    assert results[2][2][1:] != results[0][2][1:]


def test_hidden_labels_stay_hidden_from_a_run_with_supplied_ones(
    place: Path, tmp_path: Path
) -> None:
    expected = []
    for name, end in (("plain", finish), ("guarded", finish_hidden)):
        with begun(place, tmp_path / name, TRUST) as project:
            end(project, RANDOM, study(place, rounds=1))
            expected.append((history(project), measured(project)))
    assert expected[0] == expected[1]


def test_a_run_that_goes_on_from_another_takes_its_own_labels(place: Path, tmp_path: Path) -> None:
    other = {"net": {"trust": 0.5, "folder": str(tmp_path / "other")}}
    shutil.copytree(place / "data/supplied/net/depth", tmp_path / "other/depth")
    with begun(place, tmp_path / "start", TRUST) as project:
        settings = project.settings
    recipe = str(place / "study.toml")
    of = study(place, **changed(other))
    settings = settings_of(RANDOM, recipe, weights="", study=of, root=place / "data")
    copy_run(tmp_path / "start", tmp_path / "run", settings)
    with ProjectFolder.open(tmp_path / "run") as project:
        assert not supplied_rows(project)
        take_labels(project, Silent())
        assert {row.cell.task for row in supplied_rows(project)} == {"depth"}


def test_classes_and_formats_are_those_that_an_import_reads(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    (folder / "depth").mkdir(parents=True)
    shutil.copytree(place / "data/supplied/net/semseg", folder / "semseg")
    names = ["wall", "sky", "box", "ball"]
    (folder / "supplier.toml").write_text(
        f'classes = {{ semseg = {names} }}\nmap = {{ sky = "ignore" }}\n'
    )
    np.save(folder / "depth/0001.npy", np.full((32, 64), 2.5, np.float32))
    suppliers = {"net": {"trust": 0.5, "folder": str(folder)}}
    with begun(place, tmp_path / "run", suppliers) as project:
        context = context_of(project)
        rows = {row.cell: row for row in supplied_rows(project)}
        assert {cell.image_id for cell in rows if cell.task == "depth"} == {"0001.jpg"}
        depth = context.definitions["depth"].read(
            project.inside(rows[Cell("0001.jpg", "depth")].path)
        )
        assert (depth.value == 2.5).all()
        semseg = context.definitions["semseg"]
        label = semseg.read(project.inside(rows[Cell("0001.jpg", "semseg")].path))
        truth = semseg.read(place / "data/labels/semseg/0001.png")
        assert label.annotated is not None
        assert label.annotated.tolist() == [True, False, True, True]
        assert not label.valid[truth.valid & (truth.value[..., 0] == 1)].any()
        image_ids = [row.image_id for row in project.store.images(("train",))]
        source = context.source
        assert not list(pairs(project, "net", semseg, source=source, image_ids=image_ids))


def test_grades_and_confidence_are_those_that_an_import_reads(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    (folder / "depth").mkdir(parents=True)
    (folder / "depth.confidence").mkdir()
    np.save(folder / "depth/0001.npy", np.full((32, 64), 2.5, np.float32))
    shares = np.random.default_rng(0).random((32, 64)).astype(np.float32)
    np.save(folder / "depth.confidence/0001.npy", shares)
    (folder / "supplier.toml").write_text('up_to = "scale"\nlarger_is_nearer = true\n')
    suppliers = {"net": {"trust": 0.5, "folder": str(folder)}}
    with begun(place, tmp_path / "run", suppliers) as project:
        task = context_of(project).definitions["depth"]
        bound = bind_supplier(project, "net", {"depth": 0.5})
        usual = UsualValues(1.0, 0.1)
        labels = supplied_labels(project, bound, task, usual=usual, image_ids=["0001.jpg"])
        label = labels.label("0001.jpg", task)
    assert label is not None and label.up_to == UpTo(False, True, 1.0, 0.1)
    np.testing.assert_allclose(label.confidence, shares, atol=0.003)


def request(
    folder: Path, suppliers: dict[str, Any], strategy: Any = "random_cells", **more: Any
) -> StudyRequest:
    """A study of an arm with suppliers and one without."""
    arms = {
        "with": {"strategy": strategy, "changes": {"suppliers": suppliers}},
        "without": {"strategy": "random_cells"},
    }
    return study_request(folder, arms=arms, strategies=list(arms), **more)


def test_the_labels_belong_to_the_identity_of_the_runs_that_trust_them(tmp_path: Path) -> None:
    made = make_data(tmp_path / "data")
    supply(made, tmp_path / "data/supplied/net")

    def identities(suppliers: dict[str, Any]) -> Identities:
        of = request(tmp_path, suppliers)
        return identities_of(of, runs_of(of.study))

    on, off = identities(TRUST), identities(OFF)
    assert off.runs["with-seed0"] == off.runs["without-seed0"]
    assert on.runs["without-seed0"] == off.runs["without-seed0"]
    assert on.runs["with-seed0"] != off.runs["with-seed0"]
    shutil.copytree(tmp_path / "data/supplied/net", tmp_path / "moved")
    moved = identities({"net": {"trust": 0.5, "folder": str(tmp_path / "moved")}})
    assert moved == on
    (tmp_path / "moved/notes.txt").write_text("not a label")
    assert identities({"net": {"trust": 0.5, "folder": str(tmp_path / "moved")}}) == on
    (tmp_path / "moved/depth/.DS_Store").write_text("not a label")
    test_label = Path(made.names[-1]).with_suffix(".png")
    shutil.copy(made.label(made.names[-1], "depth"), tmp_path / "moved/depth" / test_label)
    assert identities({"net": {"trust": 0.5, "folder": str(tmp_path / "moved")}}) == on
    shutil.copy(made.label(made.names[0], "depth"), tmp_path / "data/supplied/net/depth/0000.png")
    now = identities(TRUST)
    (change,) = on.changes("with-seed0", now)
    assert change.key == "suppliers.net.labels"
    assert not on.changes("without-seed0", now)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"trust": 0.5}, "A study needs the folder of a supplier's labels"),
        ({"trust": 0.5, "folder": "nowhere"}, "There is no folder '.*nowhere'"),
        ({"tasks": {"dept": 0.5}, "folder": "supplied/net"}, "names dept, which is not a task"),
        ({"trust": 0.5, "folder": "images"}, "'net' has no label of an image of the pool"),
        ({"trust": 0.5, "folder": "bad/size"}, "The label is 8x8, its image is 32x64"),
        ({"trust": 0.5, "folder": "bad/file"}, "0000.png"),
        ({"trust": 0.5, "folder": "bad/class"}, "'lamp': 'semseg' has no such class"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_run(
    tmp_path: Path, table: dict[str, Any], message: str
) -> None:
    made = make_data(tmp_path / "data")
    supply(made, tmp_path / "data/supplied/net")
    bad = tmp_path / "data/bad"
    for name in ("size", "file"):
        (bad / name / "depth").mkdir(parents=True)
    cv2.imwrite(str(bad / "size/depth/0000.png"), np.ones((8, 8), np.uint16))
    (bad / "file/depth/0000.png").write_bytes(b"no picture")
    shutil.copytree(made.labels, bad / "class")
    (bad / "class/supplier.toml").write_text('classes = { semseg = ["wall", "lamp"] }\n')
    of = request(tmp_path, {"net": table})
    with pytest.raises(LabelgridError, match=f"(?s){message}.*Nothing was run"):
        plan_study(of)
    assert not of.out.exists()


def test_files_that_are_as_before_are_not_read_again_for_their_study(tmp_path: Path) -> None:
    made = make_data(tmp_path / "data")
    folder = supply(made, tmp_path / "data/supplied/net")
    of = request(tmp_path, TRUST, rounds=0, full=False)
    first = plan_study(of)
    assert not run_study(of).failed
    path = folder / "depth/0000.png"
    times = path.stat()
    path.write_bytes(b"?" * times.st_size)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    again = plan_study(of)  # it looks the same, so nobody sees that it is none
    assert again.identities == first.identities
    assert not run_study(of).failed
    os.utime(path)
    with pytest.raises(LabelgridError, match=r"(?s)0000\.png.*Nothing was run"):
        plan_study(of)
    path.unlink()
    with pytest.raises(LabelgridError, match=r"suppliers\.net\.labels changed"):
        plan_study(of)


def test_a_statistic_of_suppliers_without_one_is_refused_before_anything_is_run(
    tmp_path: Path,
) -> None:
    made = make_data(tmp_path / "data")
    supply(made, tmp_path / "data/supplied/net")
    strategy = {"name": "partal", "options": {"statistic": "supplier_disagreement"}}
    for suppliers, message in ((OFF, "the recipe trusts none"), (TRUST, "")):
        arms = {"asks": {"strategy": strategy, "changes": {"suppliers": suppliers}}}
        of = study_request(tmp_path, arms=arms, strategies=["asks"])
        if not message:
            plan_study(of)
            continue
        with pytest.raises(LabelgridError, match=f"(?s){message}.*Nothing was"):
            plan_study(of)


def test_a_wrong_label_of_an_image_that_measures_is_not_even_read(tmp_path: Path) -> None:
    made = make_data(tmp_path / "data")
    folder = supply(made, tmp_path / "data/supplied/net")
    (folder / "depth" / f"{Path(made.names[-1]).stem}.png").write_bytes(b"no picture")
    plan_study(request(tmp_path, TRUST))


def test_a_study_of_arms_with_and_without_a_supplier_is_run(tmp_path: Path) -> None:
    made = make_data(tmp_path / "data")
    folder = supply(made, tmp_path / "data/supplied/net")
    shutil.rmtree(folder / "semseg")
    suppliers = {"net": {"tasks": {"depth": 0.5}, "folder": "supplied/net"}}
    changes = {"single": {"suppliers": suppliers}}
    of = request(
        tmp_path,
        suppliers,
        strategy={"name": "partal", "options": {"statistic": "supplier_disagreement"}},
        rounds=1,
        single=True,
        full=False,
        changes=changes,
    )
    result = run_study(of)
    assert not result.failed
    supplied = {path.parts[-3] for path in of.out.glob("runs/*/supplied/net")}
    assert supplied == {"with-seed0", "start.with-seed0", "single.depth-seed0"}
