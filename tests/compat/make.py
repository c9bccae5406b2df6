"""Makes the folders that later versions have to open, by commands alone, with the version that is on PYTHONPATH.

    PYTHONPATH=OTHER/src:. python -m tests.compat.make /data tests/compat/before_issue_c.zip

or what they give on a machine that rounds differently:

    PYTHONPATH=OTHER/src:. python -m tests.compat.make ARCHIVE.zip ARCHIVE.NAME.json

The folder ends up in the archive's paths, so it should be nobody's; see README.md.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import timm
import torch

from labelgrid.processes import cores
from tests.support import CLASSES, make_dataset, make_scene

#: Runs `labelgrid WORDS` and returns what it prints.
Command = Callable[..., str]
SIZES = [(32, 64), (48, 40)]
TRAIN, TEST = 9, 3
#: The smallest backbone of timm: its checkpoint is most of the archive.
SMALL = """\
extends = "small"
[data]
size = [32, 64]
zoom = [1.0, 1.2]
jitter = 0.1
[backbone]
name = "test_efficientnet"
pretrained = false
fused = 8
[network]
options = { width = 8 }
[train]
epochs = 2
batch = 4
steps = 0
workers = 0
[score.dropout]
passes = 4
"""
#: That of the live campaign, which leaves no folder.
LIVE = (
    SMALL.replace("test_efficientnet", "mobilenetv2_035").replace("8", "16") + 'at = "original"\n'
)
DEPTH = "scale = 0.002, coarser = 2"
STUDY = f"""{SMALL}
[simulate]
data = "folder"
initial = 2
budget = 6
rounds = 1
seeds = 1
full = false
strategies = ["random_cells", "random_images"]
[simulate.tasks]
semseg = {{ classes = {str(list(CLASSES)).replace("'", '"')} }}
depth = {{ {DEPTH} }}
normals = {{}}
"""


def machine() -> dict[str, str]:
    """What a machine is known by: those that agree in this round alike."""
    found = {
        "torch": torch.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "kernels": kernels(),
    }
    return found | {"threads": str(torch.get_num_threads())}


def kernels() -> str:
    """A digest of a small network's gradients, which differ between processors that round differently."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model("test_efficientnet", num_classes=16).to(
            memory_format=torch.channels_last
        )
        images = torch.randn(4, 3, 64, 96).to(memory_format=torch.channels_last)
        network(images).square().sum().backward()
    digest = hashlib.blake2b(digest_size=8)
    for parameter in network.parameters():
        digest.update(parameter.grad.contiguous().numpy().tobytes())
    return digest.hexdigest()


def make_data(folder: Path) -> None:
    """Images, labels and splits below data/, and the recipes.

    Depth is of half the size, in steps of 2 mm.
    """
    data, count = folder / "data", TRAIN + TEST
    names = make_dataset(data, n=count, size=SIZES, tasks=("semseg", "normals")).names
    (data / "labels/depth").mkdir()
    for i in range(count):
        depth = make_scene(np.random.default_rng([0, i]), SIZES[i % 2]).depth[::2, ::2]
        assert cv2.imwrite(
            str(data / f"labels/depth/{i:04d}.png"), np.rint(depth * 500).astype(np.uint16)
        )
    (data / "splits").mkdir()
    for split, part in (("train", names[:TRAIN]), ("test", names[TRAIN:])):
        (data / f"splits/{split}.txt").write_text("".join(f"{name}\n" for name in part))
    for name, text in (
        ("small", SMALL),
        ("live", LIVE),
        ("study", STUDY),
        ("classes", "\n".join(CLASSES)),
    ):
        (folder / f"{name}.{'txt' if name == 'classes' else 'toml'}").write_text(text)


def make_project(run: Command, folder: Path, name: str, recipe: str) -> Path:
    """A project with held-out labels and a first round's, nothing trained."""
    project = folder / name
    tasks = (
        f"semseg:{folder / 'classes.txt'},cost=10",
        f"depth:{DEPTH.replace(' ', '')},cost=2",
        "normals",
    )
    words = [word for task in tasks for word in ("--task", task)]
    words += ["--strategy", "partal"]
    run(
        "init",
        project,
        "--images",
        folder / "data/images",
        *words,
        "--holdout",
        2,
        "--recipe",
        folder / recipe,
    )
    run("query", project, "--budget", 3, "--unit", "images")
    answer(run, project, folder / "data")
    return project


def answer(run: Command, project: Path, data: Path) -> None:
    """Answer all that is asked for."""
    request = project.with_name(f"{project.name}-request")
    run("export", project, "--out", request)
    for row in json.loads((request / "manifest.json").read_text()):
        target = request / row["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(
            data / "labels" / row["task"] / Path(row["image"]).with_suffix(".png"), target
        )
    run("import", project, request)
    shutil.rmtree(request)


def campaign(run: Command, folder: Path) -> list[dict[str, Any]]:
    """Two rounds of a live campaign: what was trained, measured and picked."""
    project, rounds = make_project(run, folder, "live", "live.toml"), []
    for _ in range(2):
        fit = json.loads(run("fit", project, "--json"))
        found = json.loads(run("query", project, "--budget", 6, "--json"))
        heldout = json.loads((project / f"rounds/{fit['round']:04d}/heldout.json").read_text())
        rounds.append(
            {
                "model": fit["model"],
                "labels": fit["labels"],
                "heldout": heldout,
                "picks": found["picks"],
            }
        )
        answer(run, project, folder / "data")
    return rounds


def later(run: Command, project: Path, data: Path) -> dict[str, Any]:
    """The status of an opened project, and the results of its next steps."""
    said = {
        "status": json.loads(run("status", project, "--json")),
        "report": json.loads(
            run("report", project, "--out", project.with_suffix(".html"), "--json")
        ),
        "evaluate": json.loads(run("evaluate", project, "--json")),
        "query": json.loads(run("query", project, "--budget", 5, "--json")),
    }
    answer(run, project, data)
    return said | {"fit": json.loads(run("fit", project, "--json"))}


def study(run: Command, folder: Path, rounds: int) -> str:
    """The figures of a study after it was run so far, each run on one core."""
    words = (
        "--data",
        folder / "data",
        "--out",
        folder / "study",
        "--rounds",
        rounds,
        "--jobs",
        cores(),
    )
    run("simulate", folder / "study.toml", *words)
    return (folder / "study/outcomes.csv").read_text()


def make(run: Command, folder: Path, archive: Path) -> None:
    """Make it all in a folder, which is removed again, and keep it in an archive."""
    folder.mkdir(parents=True)
    make_data(folder)
    project = make_project(run, folder, "project", "small.toml")
    run("fit", project)
    run("score", project)
    study(run, folder, rounds=1)
    run("predict", project, folder / "data/images", "--out", folder / "predictions")
    kept = {
        path: path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and _is_kept(path)
    }
    expected = {
        "folder": str(folder),
        "machine": machine(),
        "later": later(run, project, folder / "data"),
    }
    expected |= {"outcomes": study(run, folder, rounds=2), "live": campaign(run, folder)}
    kept[folder / "expected.json"] = (json.dumps(expected, indent=1) + "\n").encode()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for path, content in kept.items():
            file.writestr(
                zipfile.ZipInfo(path.relative_to(folder).as_posix()), content, zipfile.ZIP_DEFLATED
            )
    shutil.rmtree(folder)


def anew(run: Command, archive: Path, figures: Path) -> None:
    """Write what an archive's project and a live campaign give on this machine, which rounds differently."""
    with zipfile.ZipFile(archive) as file:
        folder = Path(json.loads(file.read("expected.json"))["folder"])
        file.extractall(folder)
    found = {"machine": machine(), "later": later(run, folder / "project", folder / "data")}
    shutil.rmtree(folder)
    folder.mkdir()
    make_data(folder)
    figures.write_text(json.dumps(found | {"live": campaign(run, folder)}, indent=1) + "\n")
    shutil.rmtree(folder)


def _is_kept(path: Path) -> bool:
    """All but the networks of the study, which nothing reads again."""
    return not ("study" in path.parts and path.suffix == ".ckpt")


def run_apart(*words: object) -> str:
    """The command in a process of its own, on one core."""
    command = [sys.executable, "-m", "labelgrid", *map(str, words)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=environment
    ).stdout


if __name__ == "__main__":
    first, second = map(Path, sys.argv[1:])
    if first.suffix == ".zip":
        anew(run_apart, first, second)
    else:
        make(run_apart, first, second)
