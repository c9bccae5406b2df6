"""The network leaves as a file that says what it takes and gives; a wrong one never does."""

import json
import logging
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from labelgrid.basics.errors import ModelError, ProjectError, UsageError
from labelgrid.basics.progress import Silent
from labelgrid.exporting import onnx_file
from labelgrid.exporting.export_model import export_model
from labelgrid.exporting.onnx_file import read_description
from labelgrid.nets.network import Network
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds import fit, query
from labelgrid.select.strategy import Budget
from tests.projects import TASKS, answer, make_project

COVERS = ["labelgrid.exporting.onnx_file"]

ROBOT = Path(__file__).parents[3] / "examples/robot_loop.py"


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProjectFolder]:
    """A training of two tasks by the network of two stages, which takes known labels."""
    folder = tmp_path_factory.mktemp("exported")
    with trained(folder, "pad_net", ("semseg", "depth")) as project:
        (project.folder / "camera.toml").write_text("field_of_view = 60\n")
        yield project


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProjectFolder]:
    """A training by the network whose graph is recorded soonest."""
    with trained(tmp_path_factory.mktemp("plain"), "shared_heads") as project:
        yield project


@pytest.fixture(scope="module")
def exported(plain: ProjectFolder) -> Path:
    """The file of that training, which no test changes."""
    return export_model(plain, plain.folder / "model.onnx", [], Silent()).path


def trained(folder: Path, network: str, tasks: tuple[str, ...] = TASKS) -> ProjectFolder:
    project, made = make_project(folder, n=4, holdout=0, tasks=tasks)
    query.query(project, Budget(2, "images"), Silent(), strategy="random_images")
    answer(project, made)
    changes = {"network": {"name": network}, "train": {"epochs": 1}}
    fit.fit(project, Silent(), changes=changes)
    return project


def test_the_file_says_what_it_takes_and_gives(
    campaign: ProjectFolder, caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = export_model(campaign, campaign.folder / "model.onnx", ["depth"], Silent())
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert done.tasks == ("semseg", "depth") and done.known == ("depth",)
    assert done.differences.keys() == set(done.tasks)
    assert max(done.differences.values()) <= 1e-4
    about = read_description(done.path)
    assert about["round"] == done.round and about["camera"] == {"field_of_view": 60}
    assert about["input"]["formula"] == "(pixel / 255 - mean) / std"
    assert about["known"] == {"depth": ["known_depth", "known_depth_valid"]}
    assert list(about["outputs"]) == list(done.tasks)
    assert about["outputs"]["semseg"]["classes"] == ["wall", "floor", "box", "ball"]
    assert "metres" in about["outputs"]["depth"]["meaning"]
    inputs = onnxruntime.InferenceSession(done.path).get_inputs()
    assert [one.name for one in inputs] == ["image", "known_depth", "known_depth_valid"]
    assert inputs[0].shape == ["batch", 3, "height", "width"]


def test_other_warnings_of_the_exporter_are_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Stopped(Exception):
        """Ends the export."""

    def export(*_: object, **__: object) -> None:
        warnings.warn("A thing is not what it seems.", stacklevel=1)
        logging.getLogger(onnx_file.FOLDING).warning("Evaluation failed: no number")
        raise Stopped

    monkeypatch.setattr(torch.onnx, "export", export)
    network = SimpleNamespace(tasks={}, predicted=())
    with pytest.warns(UserWarning, match="is not what it seems"), pytest.raises(Stopped):
        onnx_file.write_onnx(network, tmp_path / "model.onnx", [], {})  # type: ignore[arg-type]
    assert caplog.messages == ["Evaluation failed: no number"]


def test_a_robot_predicts_without_labelgrid_or_torch(plain: ProjectFolder, exported: Path) -> None:
    photos = plain.folder.parent / "made/images"
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "assert not {'torch', 'labelgrid'} & sys.modules.keys()"
    )
    words = [sys.executable, "-c", code, str(ROBOT), str(exported), str(photos)]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    assert [line.partition(",")[0] for line in told] == [f"{n:04d}.jpg" for n in range(4)]
    for line in told:
        assert re.fullmatch(r".*semseg 0\.\d+ to [01]\.\d+, depth .*, normals -.*", line), line


def test_the_robot_says_in_one_sentence_that_it_feeds_in_no_labels(
    exported: Path, tmp_path: Path
) -> None:
    model = onnx.load(exported)
    about = {**read_description(exported), "known": {"depth": ["known_depth", "valid"]}}
    onnx.helper.set_model_props(model, {"labelgrid": json.dumps(about)})
    path = tmp_path / "known.onnx"
    onnx.save(model, path)
    words = [sys.executable, str(ROBOT), str(path), str(tmp_path)]
    ended = subprocess.run(words, check=False, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr == f"{path} needs labels, too: depth. Export it without --known.\n"


def change_a_weight(path: Path, changed: Path) -> None:
    """Write another ONNX file, in which the weights of one convolution are a hundredth larger."""
    model = onnx.load(path)
    weights = next(one for one in model.graph.initializer if len(one.dims) == 4)
    larger = onnx.numpy_helper.to_array(weights) * np.float32(1.01)
    weights.CopyFrom(onnx.numpy_helper.from_array(larger, weights.name))
    onnx.save(model, changed)


def test_a_file_that_computes_something_else_is_not_kept(
    plain: ProjectFolder, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the one before")

    def write_something_else(_network: object, path: Path, *_rest: object) -> None:
        change_a_weight(exported, path)

    monkeypatch.setattr(onnx_file, "write_onnx", write_something_else)
    with pytest.raises(ModelError, match=r"other predictions of (semseg|depth|normals)") as caught:
        export_model(plain, path, [], Silent())
    assert caught.value.unchanged == "Nothing was written."
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]
    assert path.read_bytes() == b"the one before"


def test_what_cannot_leave_is_refused_before_anything_is_built(
    campaign: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="no task 'dept'"):
        export_model(campaign, tmp_path / "model.onnx", ["dept"], Silent())
    with monkeypatch.context() as patch:
        patch.setattr(Network, "unportable", "is not what it seems")
        with pytest.raises(UsageError, match="is not what it seems"):
            export_model(campaign, tmp_path / "model.onnx", [], Silent())
    empty, _ = make_project(tmp_path / "new", n=2, holdout=0)
    with empty, pytest.raises(ProjectError, match="There is no model yet"):
        export_model(empty, tmp_path / "model.onnx", [], Silent())
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UsageError, match=r"onnxscript is missing"):
        export_model(campaign, tmp_path / "model.onnx", [], Silent())
    assert not (tmp_path / "model.onnx").exists()
