"""Libraries that do not match this machine or each other are named in a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import torchvision

from tests.support import make_dataset


def test_a_torchvision_of_another_build_is_named(tmp_path: Path) -> None:
    """Its own functions are missing then, as in this copy without its compiled library."""
    whole = Path(torchvision.__file__).parent
    copy = tmp_path / "libraries/torchvision"
    copy.mkdir(parents=True)
    for each in whole.iterdir():
        if each.suffix != ".so":
            (copy / each.name).symlink_to(each)
    made = make_dataset(tmp_path / "data", n=6, size=(32, 64), tasks=("depth",))
    environment = {**os.environ, "PYTHONPATH": str(copy.parent)}

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "labelgrid", *map(str, words)]
        return subprocess.run(line, capture_output=True, check=False, text=True, env=environment)

    flat = tmp_path / "flat"
    options = ["--images", made.root / "images", "--task", "depth", "--holdout", "2"]
    assert run("init", flat, *options).returncode == 0
    assert run("import", flat, made.root / "labels").returncode == 0
    ended = run("fit", flat)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "torch and torchvision do not match" in ended.stderr
    assert "Install both from one index" in ended.stderr
