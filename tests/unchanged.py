"""Shows that two revisions pick the same cells and train the same weights, to the last bit.

    python -m tests.unchanged REVISION [OTHER]

A study, a live campaign and a training run by commands alone, first with the code of REVISION, then
with that of OTHER (without it: the working tree). Both see the same images and labels. Compared are
the picks of every round with their scores, and all numbers of every checkpoint.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support import CLASSES, make_dataset
from tools.source import ROOT

MAIN = "import sys; from labelgrid.cli import main; sys.exit(main())"
RECIPE = """\
[data]
size = [32, 64]
zoom = [1.0, 1.2]
jitter = 0.1
[backbone]
name = "test_efficientnet"
pretrained = false
fused = 8
[network]
name = "pad_net"
options = { width = 8 }
[train]
epochs = 2
batch = 4
workers = 0
[score.dropout]
passes = 3
"""
#: Everything that a step can hold: a term with views, one with pairs of tasks, learned weights.
LEARNING = """
[terms.crop]
[terms.mtpsl]
[balance]
name = "uncertainty"
"""
STUDY = """
[simulate]
data = "folder"
initial = 4
budget = 6
rounds = 2
seeds = 1
full = true
strategies = ["random_cells", "random_images", "partal", "core_set", "rbal"]
[simulate.tasks]
semseg = { classes = %s }
depth = {}
normals = {}
"""
TASKS = ("semseg", "depth", "normals")
TRAIN = 16


def make_inputs(folder: Path) -> None:
    """Write images, labels, splits, classes and recipes."""
    data = folder / "data"
    names = make_dataset(data, n=TRAIN + 4, size=[(32, 64), (48, 40)], tasks=TASKS).names
    (data / "splits").mkdir()
    for split, part in (("train", names[:TRAIN]), ("test", names[TRAIN:])):
        lines = [f"{name}\n" for name in part]
        (data / f"splits/{split}.txt").write_text("".join(lines))
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    (folder / "plain.toml").write_text(RECIPE)
    (folder / "learning.toml").write_text(RECIPE + LEARNING)
    classes = json.dumps(list(CLASSES))
    (folder / "study.toml").write_text(RECIPE + STUDY % classes)


def run(source: Path, folder: Path, words: str) -> None:
    """Run a command of a revision's code in a folder.

    Raises:
        SystemExit: it failed.
    """
    environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MAIN, *words.split()]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, check=False, text=True
    )
    if done.returncode:
        raise SystemExit(f"`labelgrid {words}` failed with {source}:\n{done.stderr}")


def run_all(source: Path, folder: Path) -> None:
    """A study, a live campaign and a training with terms, in a folder with the inputs."""
    run(source, folder, "simulate study.toml --data data --out study --jobs 1")
    tasks = "--task semseg:classes.txt --task depth --task normals"
    start = f"--images data/images {tasks} --holdout 3 --seed 1"
    run(source, folder, f"init live {start} --recipe plain.toml --strategy partal")
    run(source, folder, "import live data/labels --limit 8 --seed 1")
    for number, budget in enumerate((6, 5), start=1):
        run(source, folder, "fit live")
        run(source, folder, f"query live --budget {budget} --strategy partal")
        answer(source, folder, f"request{number}")
    run(source, folder, "fit live")
    run(source, folder, f"init trained {start} --recipe learning.toml --strategy random_cells")
    run(source, folder, "import trained data/labels --limit 9 --seed 2")
    run(source, folder, "fit trained")


def answer(source: Path, folder: Path, name: str) -> None:
    """Answer the open requests of the live campaign by the labels of the data."""
    run(source, folder, f"export live --out {name}")
    for row in json.loads((folder / name / "manifest.json").read_text()):
        label = folder / name / row["path"]
        label.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "data" / row["path"], label)
    run(source, folder, f"import live {name}")


def found(folder: Path) -> dict[str, Any]:
    """The picks and the digests of all tensors, by the files that hold them."""
    values: dict[str, Any] = {}
    for path in sorted(folder.rglob("picks.json")):
        values[str(path.relative_to(folder))] = [
            _pick(pick) for pick in json.loads(path.read_text())
        ]
    for path in sorted(folder.rglob("*.ckpt")):
        values[str(path.relative_to(folder))] = tensor_digest(path)
    return values


def _pick(pick: dict[str, Any]) -> list[Any]:
    return [pick.get(key) for key in ("image", "task", "score", "weight", "terms")]


def tensor_digest(path: Path) -> str:
    """A digest of all tensors of a checkpoint, whatever their names and order."""
    import torch

    from labelgrid.train.checkpoint import load

    digests = []
    for tensor in _tensors(vars(load(path))):
        content = tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        digests.append(hashlib.blake2b(content + str(tensor.dtype).encode()).hexdigest())
    return hashlib.blake2b("".join(sorted(digests)).encode(), digest_size=8).hexdigest()


def _tensors(value: Any) -> Iterator[Any]:
    if hasattr(value, "detach"):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors(inner)


def main(revisions: list[str]) -> int:
    """Compare two revisions; returns the exit status."""
    results = []
    with tempfile.TemporaryDirectory() as place:
        for number, revision in enumerate([*revisions, ""][:2]):
            source = _checkout(Path(place) / f"code{number}", revision)
            folder = Path(place) / f"run{number}"
            folder.mkdir()
            make_inputs(folder)
            run_all(source, folder)
            results.append(found(folder))
    before, after = results
    different = [
        name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)
    ]
    for name in different:
        print(f"{name} differs: {str(before.get(name))[:200]} | {str(after.get(name))[:200]}")
    picks = sum(len(value) for name, value in before.items() if name.endswith("picks.json"))
    checkpoints = sum(name.endswith(".ckpt") for name in before)
    if not different:
        print(f"The same to the last bit: {picks} picks and {checkpoints} checkpoints.")
    return 1 if different or not picks else 0


def _checkout(place: Path, revision: str) -> Path:
    """The folder of the code of a revision; of the working tree if it is ""."""
    if not revision:
        return ROOT / "src"
    place.mkdir()
    archive = subprocess.run(
        ["git", "archive", revision, "src"], cwd=ROOT, capture_output=True, check=True
    )
    subprocess.run(["tar", "-x", "-C", str(place)], input=archive.stdout, check=True)
    return place / "src"


if __name__ == "__main__":
    if not sys.argv[1:]:
        raise SystemExit(__doc__)
    raise SystemExit(main(sys.argv[1:]))
