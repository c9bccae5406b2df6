"""The script for a GPU runs each of its parts on a CPU, and says when there is no GPU."""

import os
import subprocess

import pytest
import torch

from tests.docs import preloaded
from tests.laboratory import need_laboratory
from tools.source import ROOT

SCRIPT = ROOT / "benchmarks" / "gpu.sh"


def run_script(*words, **variables):
    """Run the script with this Python, which has loaded torch."""
    environment = {**os.environ, **variables, "PYTHON": str(preloaded.folder() / "python")}
    command = ["sh", str(SCRIPT), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.timeout(1500)
def test_every_part_of_the_script_for_a_gpu_adds_rows_to_its_table_on_a_cpu():
    need_laboratory()  # it has the published recipes
    done = run_script("--tiny")
    assert done.returncode == 0, done.stderr
    table = done.stdout
    assert "these figures say nothing" in table and "part of the script" not in table
    parts = ("an epoch from files", "the loop / ours", "`gpu`, bf16 / 32 bits", "`gpu-convnext`")
    for part in (
        *parts,
        "`partal-nyud`",
        "`mtpsl-released`",
        "`mtan-nyuv2`",
        "channels-last",
        "`few`",
    ):
        assert part in table, part


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_script_measures_nothing_and_says_so():
    for done in (run_script(), run_script("--few", "a.safetensors", NYUV2="nyuv2")):
        assert done.returncode == 1 and done.stdout == ""
        assert "torch finds no GPU here" in done.stderr


def test_an_unknown_argument_of_the_script_is_wrong_usage_and_few_needs_weights_and_photographs():
    without = (run_script("--few", NYUV2="nyuv2"), run_script("--few", "a.safetensors", NYUV2=""))
    for done in (run_script("--small"), *without):
        assert done.returncode == 2 and "usage: benchmarks/gpu.sh" in done.stderr
        assert "--tiny" in done.stderr
