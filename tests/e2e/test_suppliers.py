"""Labels of a supplier, from the command line: imported, killed, shown, trained on, verified."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.e2e.commands import cells, done, held_out, refused, status
from tests.e2e.killing import command
from tests.support import Made

Copy = Callable[[str], Path]


def given(folder: Path, data: Made, factor: int) -> Path:
    """Depth that is too far by a factor, as files of millimetres."""
    (folder / "depth").mkdir(parents=True)
    for image_id in data.names:
        pixels = cv2.imread(str(data.label(image_id, "depth")), cv2.IMREAD_UNCHANGED)
        pixels = np.minimum(pixels.astype(np.uint32) * factor, 65535).astype(np.uint16)
        cv2.imwrite(str(folder / "depth" / f"{Path(image_id).stem}.png"), pixels)
    (folder / "supplier.toml").write_text(f'origin = "a bad ruler"\nrevision = "{factor}"\n')
    return folder


def supplied(project: Path) -> Any:
    """The supplier's labels, as the index lists them."""
    return json.loads((project / "supplied/ruler/index.json").read_text())["labels"]["depth"]


def test_a_supplier_is_imported_shown_trusted_and_verified(
    project: Copy, data: Made, tmp_path: Path
) -> None:
    flat = project("fitted")
    settings = flat / "labelgrid.toml"
    settings.write_text(settings.read_text() + '\n[changes.train]\nimages = "all"\n')
    done("fit", flat)
    record = flat / "rounds/0002/fit.json"
    untrusted = json.loads(record.read_text())
    before = cells(flat, "labelled")
    words = ("--supplier", "ruler", "--cost", 0.01)
    out = done("import", flat, given(tmp_path / "given", data, 2), *words).out
    assert "depth: 8 new" in out and "Left out: 2 labels are of held-out" in out
    assert cells(flat, "labelled") == before
    assert not set(supplied(flat)) & held_out(flat)
    trust = "\n[changes.suppliers.ruler]\ntasks = { depth = 0.25 }\n"
    settings.write_text(settings.read_text() + trust)
    values = status(flat)
    assert values["suppliers"]["ruler"] == {
        "labels": {"depth": 8},
        "cost": 0.01,
        "trust": {"depth": 0.25},
        "measured": {},
        "earlier_rule": [],
        "derives": {},
        "origin": "a bad ruler",
        "licence": "",
    }
    (row,) = [line for line in done("status", flat).out.splitlines() if "ruler" in line]
    assert row.split("│")[1:-1] and "0.08" in row and "0.25" in row
    done("fit", flat)
    trusted = json.loads(record.read_text())
    assert trusted["model"] != untrusted["model"]
    assert trusted["labels"] == untrusted["labels"] and trusted["spent"] == untrusted["spent"]
    assert "8 labels of suppliers: 0 faults" in done("verify", flat).out


def test_trust_is_measured_on_cells_that_were_drawn_and_bought_for_it(
    project: Copy, data: Made, tmp_path: Path
) -> None:
    flat = project("new")
    assert "nothing to audit" in refused(flat, "query", flat, "--audit", 3, "--budget", 9)
    folder = given(tmp_path / "given", data, 1)
    for path in (folder / "depth").iterdir():
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), pixels + (pixels // 20))  # 5 % too far
    done("import", flat, folder, "--supplier", "ruler")
    lacking = done("relate", flat).out
    assert f"labelgrid query {flat} --audit 10 --budget 10" in lacking
    words = ("query", flat, "--audit", 3, "--strategy", "random_cells")
    assert "3 labels to audit suppliers" in refused(flat, *words, "--budget", 2)
    out = done(*words, "--budget", 5)
    assert "Drawn at random to audit suppliers: 3 depth of ruler" in out.err + out.out
    audited = set()
    for pick in json.loads((flat / "rounds/0001/picks.json").read_text()):
        if pick["why"] == "random (audit)":
            audited.add((pick["image"], pick["task"]))
    assert len(audited) == 3 and {task for _, task in audited} == {"depth"}
    assert f"labelgrid query {flat} --audit 7 --budget 7" in done("relate", flat).out
    done("import", flat, data.labels, "--accept")
    related = json.loads(done("relate", flat, "--json").out)
    (row,) = related["suppliers"]
    assert row["sample"] == "8 images imported, not picked" or "3 images" in row["sample"]
    assert row["trust"] is None and "at least 10" in row["remark"]  # test_free_labels has more


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9, 1.0])
def test_an_import_that_is_killed_leaves_the_earlier_labels_or_the_new_ones(
    project: Copy, data: Made, tmp_path: Path, share: float
) -> None:
    flat = project("new")
    done("import", flat, given(tmp_path / "first", data, 2), "--supplier", "ruler")
    twin = Path(shutil.copytree(flat, tmp_path / "twin"))
    second = given(tmp_path / "second", data, 3)
    old = supplied(flat)
    moments = command("import", twin, second, "--supplier", "ruler")
    new = supplied(twin)
    assert new != old
    moment = 1 + round(share * (len(moments) - 1))
    assert not command("import", flat, second, "--supplier", "ruler", die=moment)
    assert supplied(flat) in (old, new)
    assert "8 labels of suppliers: 0 faults" in done("verify", flat).out
    done("import", flat, second, "--supplier", "ruler")
    assert supplied(flat) == new
    assert "8 labels of suppliers: 0 faults" in done("verify", flat).out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--cost", 1), "--cost needs --supplier"),
        (("--supplier", "../x"), "A supplier's name has letters"),
        (("--supplier", "x", "--split", "val"), "--supplier cannot be combined with --split"),
        (("--supplier", "x", "--replace"), "--supplier cannot be combined with --replace"),
        (("--supplier", "x", "--cost", -1), "--cost must be a finite number from 0 up"),
        (("--supplier", "x", "--cost", "nan"), "--cost must be a finite number from 0 up"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    project: Copy, data: Made, tmp_path: Path, words: tuple[object, ...], message: str
) -> None:
    flat = project("new")
    folder = given(tmp_path / "given", data, 2)
    assert message in refused(flat, "import", flat, folder, *words, code=2)


def test_a_dry_run_names_the_command_that_imports(
    project: Copy, data: Made, tmp_path: Path
) -> None:
    flat = project("new")
    folder = given(tmp_path / "given", data, 2)
    words = ("--supplier", "ruler", "--cost", 0.5)
    out = done("import", flat, folder, *words, "--dry-run").out
    assert "--supplier ruler --cost 0.5" in out and not (flat / "supplied").exists()
