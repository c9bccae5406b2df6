"""Every benchmark runs to its end at a tiny size and shows its figures beside its bars.

These are not judged here.
"""

import importlib
import io
import json
import re
import subprocess
import sys
from contextlib import redirect_stdout

import pytest
import torch

from labelgrid.basics.progress import Silent
from labelgrid.rounds import fit, query
from labelgrid.select.strategy import Budget
from tests.docs import preloaded
from tests.projects import answer, make_project
from tools.bench import benchmarks
from tools.source import ROOT

TINY = {
    "advice": ["--studies", "restarts", "learning-loss-weights", "task-gains-120"],
    "audit": ["--scenes", "0", "--nyuv2", "nowhere"],
    "balancers": ["--images", "4", "--size", "24", "32", "--repeats", "1"],
    "epoch": ["--images", "8", "--size", "24", "32", "--repeats", "1", "--tiny"],
    "few": ["--tiny", "--photographs", "2"],
    "intervals": ["--draws", "5"],
    "rounds": ["--rounds", "2", "--repeats", "1"],
    "two_rounds": ["--images", "400", "--width", "4", "--labelled", "5", "--picks", "20"],
    "supply": ["--images", "2", "--repeats", "1", "--width", "2", "--layers", "2"],
    "shards": ["--images", "12", "--size", "24", "32", "--shard", "8", "--repeats", "1"],
    "checking": [
        "--images",
        "2",
        "--size",
        "24",
        "32",
        "--repeats",
        "1",
        "--flips",
        "2",
        "--zeroed",
        "2",
    ],
    "agreement": [],
    "partitions": ["--size", "24", "32", "--repeats", "1"],
    "busy_machine": ["--repeats", "1", "--seconds", "0.1"],
    "brush_rle": ["--size", "9", "12", "--repeats", "1"],
    "boundaries": ["--height", "24", "--width", "32", "--repeats", "1"],
    "checking_images": ["--size", "24", "32", "--threads", "1", "--only", "PNG"],
    "small_images": ["--images", "2", "--size", "8", "9", "--repeats", "1"],
    "instant": [
        *("--labelled", "6", "--pool", "4", "--size", "24", "32", "--budget", "2"),
        *("--repeats", "1", "--tiny"),
    ],
    "importing": ["--small", "1", "--labels", "1", "--size", "24", "32", "--repeats", "1"],
    "k_centre": [
        "--images",
        "300",
        "--width",
        "4",
        "--labelled",
        "5",
        "--picks",
        "20",
        "--peer-picks",
        "10",
    ],
    "learning": [
        "--images",
        "3",
        "--size",
        "32",
        "32",
        "--repeats",
        "1",
        "--methods",
        "supervised",
        "crop",
        "mtpsl, light",
    ],
    "decoding": ["--labels", "1", "--size", "24", "32", "--repeats", "1"],
    "onnx_runtime": ["--networks", "shared_heads", "--images", "2", "--repeats", "1", "--tiny"],
    "label_ratio": ["--draws", "20", "--studies", "2"],
    "ledger": ["--images", "200", "--labelled", "20"],
    "memory": [
        "--passes",
        "2",
        "3",
        "--images",
        "2",
        "9",
        "--size",
        "12",
        "16",
        "--large",
        "24",
        "32",
    ],
    "million": ["--images", "500", "--budget", "10", "--holdout", "2"],
    "mtpsl": [
        "--batch",
        "2",
        "--size",
        "32",
        "32",
        "--width",
        "8",
        "--mapping",
        "light",
        "--tasks",
        "2",
        "--repeats",
        "1",
    ],
    "duplicates": ["--images", "300", "--measured", "20"],
    "nearest": ["--images", "40", "--width", "3", "--labelled", "9", "--repeats", "1"],
    "page": ["--images", "300", "--repeats", "1", "--load", "0.5"],
    "parts": ["--scenes", "0", "--nyuv2", "nowhere"],
    "plausibility": ["--scenes", "0", "--nyuv2", "nowhere"],
    "prediction": ["--size", "48", "64", "--repeats", "1"],
    "recipe_step": [
        "--tiny",
        "--recipes",
        "gpu",
        "--input",
        "32",
        "64",
        "--batch",
        "2",
        "--repeats",
        "1",
    ],
    "relations": ["--height", "24", "--width", "32", "--repeats", "1"],
    "relation_term": ["--images", "2", "--size", "32", "64", "--repeats", "1"],
    "round_cost": [
        "--batch",
        "2",
        "--original",
        "24",
        "32",
        "--images",
        "200",
        "--width",
        "8",
        "--labelled",
        "5",
        "--cells",
        "500",
        "--repeats",
        "1",
    ],
    "scenes": ["--count", "2", "--repeats", "1"],
    "scoring": [
        "--passes",
        "2",
        "--batch",
        "1",
        "--images",
        "2",
        "--original",
        "24",
        "32",
        "--large",
        "48",
        "64",
        "--repeats",
        "1",
    ],
    "short_epochs": [
        "--images",
        "2",
        "--epochs",
        "2",
        "--size",
        "24",
        "32",
        "--workers",
        "0",
        "--repeats",
        "1",
    ],
    "selection": ["--images", "500", "--budget", "20", "--repeats", "1"],
    "startup": ["--repeats", "1"],
    "verdicts": ["--studies", "1", "--processes", "1"],
    "training_step": ["--images", "16", "--size", "24", "32", "--repeats", "1", "--workers", "0"],
    "wrong_kinds": ["--scenes", "0", "--nyuv2", "nowhere", "--sound", "0"],
}


@pytest.fixture(autouse=True)
def place(monkeypatch):
    """Benchmarks import each other's helpers from their own folder.

    They draw from torch's global generator. Their recipes have small networks.
    """
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    made = importlib.import_module("_made")
    monkeypatch.setitem(made.recipe.__kwdefaults__, "tiny", True)
    with torch.random.fork_rng():
        yield


def said(function, *arguments):
    """What a call prints."""
    with redirect_stdout(io.StringIO()) as text:
        function(*arguments)
    return text.getvalue()


def within(module, monkeypatch):
    """Let a benchmark do in this process what it does in processes of their own, which would load torch each time."""
    if module.__name__ == "ledger":
        monkeypatch.setattr(
            module, "run_isolated", lambda *words: json.loads(said(module.run_step, *words))
        )
    elif hasattr(module, "run_isolated"):
        monkeypatch.setattr(
            module,
            "run_isolated",
            lambda _, *words: json.loads(said(module.main, [*map(str, words)]).splitlines()[-1]),
        )


def command_line(monkeypatch):
    """Labelgrid's command line in this process, as `_measure.command` runs it in another."""
    from _measure import Measurement

    from labelgrid.cli import app

    def run(words, cwd):
        monkeypatch.chdir(cwd)
        assert words[:3] == [sys.executable, "-m", "labelgrid"]
        return Measurement(1.0, 1.0, 1.0, said(lambda: app(words[3:], standalone_mode=False)))

    return run


LOADS_TORCH = (
    "import torch",
    "import labelgrid.rounds.models, labelgrid.rounds.query, labelgrid.rounds.score",
)


def quick(monkeypatch):
    """`_measure.command`, but for the seconds that loading torch takes."""
    from _measure import Measurement, command

    return lambda words: (
        Measurement(9.0, 9.0, 9.0, "") if words[-1] in LOADS_TORCH else command(words)
    )


NARROW = ("embedding", {"width": 4})
#: What no option of a benchmark makes small: attributes, or entries of tables, of its module; a function is called for it.
SMALL = {
    # A fork of a process that has loaded torch.
    "busy_machine": {"PROGRAMS": 1, "PYTHON": lambda: str(preloaded.folder() / "python")},
    "scenes": {"SIZE": (24, 32)},
    "round_cost": {"SCORED": {"embedding, recipe small": NARROW, "embedding, paper": NARROW}},
}


def small(module, monkeypatch):
    """Make small what no option of a benchmark does."""
    for name, value in SMALL.get(module.__name__, {}).items():
        if callable(value):
            value = value()
        if isinstance(value, dict):
            value = getattr(module, name) | value
        monkeypatch.setattr(module, name, value)


#: They read records of the repository or real frames, which have one size, or are tried elsewhere.
WITHOUT_TINY = {"interpolation", "report", "recipe_step", "supplier_trust"}
#: They start servers, or processes which they kill: the tests of what they measure do the same.
WITH_SERVERS = {"migrating", "object_store", "postgres", "several_processes", "worker_deaths"}
WITH_TESTS = [
    path.stem for path in ROOT.glob("benchmarks/*.py") if "\nfrom tests" in path.read_text()
]


def test_every_benchmark_has_a_tiny_size():
    assert set(benchmarks(ROOT)) == set(TINY) | WITHOUT_TINY | WITH_SERVERS


@pytest.mark.parametrize("name", sorted(TINY))
def test_a_benchmark_runs_to_its_end(name, monkeypatch, capsys):
    module = importlib.import_module(name)
    within(module, monkeypatch)
    small(module, monkeypatch)
    if name in ("million", "startup"):
        monkeypatch.setattr(
            module, "command", {"million": command_line, "startup": quick}[name](monkeypatch)
        )
    monkeypatch.setattr(sys, "argv", [name, *TINY[name]])
    assert module.main() in (0, 1)
    assert "hold" in capsys.readouterr().out.lower()


def test_commands_in_the_documentation_have_options_that_the_benchmarks_have():
    known = benchmarks(ROOT)
    unknown = []
    for page in (ROOT / "docs").rglob("*.md"):
        for name, words in re.findall(r"\b(\w+)\.py ([^`|]*)`", page.read_text()):
            options = re.findall(r"--[a-z-]+", words) if name in known else []
            text = known[name].read_text() if options else ""
            unknown += [(page.name, name, each) for each in options if f'"{each}"' not in text]
    assert not unknown


@pytest.mark.parametrize("name", WITH_TESTS)
def test_a_benchmark_that_shares_code_with_the_tests_finds_it_without_settings(name, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    command = [sys.executable, ROOT / f"benchmarks/{name}.py", "--help"]
    assert "usage" in subprocess.run(command, capture_output=True, check=True, text=True).stdout


def test_the_bare_loop_and_the_trainer_are_told_apart(monkeypatch, tmp_path):
    module = importlib.import_module("training_step")
    monkeypatch.setitem(module.WEIGHTS, "depth", 1.0)
    source = importlib.import_module("_made").make_files(tmp_path, 2, (24, 32))
    (batch,) = module.train_batches(
        source,
        module.task_definitions(),
        source.images(),
        module.recipe().data,
        batch=2,
        seed=0,
        epoch=0,
    )
    module.check_equal(source, batch)
    monkeypatch.setattr(
        module.Bare, "error", lambda self, name, raw, value: (raw - value).square().mean(1, True)
    )
    with pytest.raises(AssertionError):
        module.check_equal(source, batch)


def test_the_agreement_of_scores_is_measured_on_a_trained_project(tmp_path, capsys):
    project, made = make_project(tmp_path, n=8, holdout=0, tasks=("semseg", "depth"))
    with project:
        query.query(project, Budget(3, "images"), Silent())
        answer(project, made)
        fit.fit(project, Silent(), changes={"train": {"epochs": 1}})
    assert importlib.import_module("agreement").main([str(project.folder), "--images", "4"]) in (
        0,
        1,
    )
    said = capsys.readouterr().out
    assert "4 images, 8 missing cells" in said and "'half' with 'original', bar >= 0.99" in said


def test_methods_of_learning_are_measured_beside_supervised_learning(monkeypatch, capsys):
    module = importlib.import_module("learning")
    within(module, monkeypatch)
    methods = ["--methods", "mtpsl, light", "one_task"]
    assert module.main(["--images", "2", "--size", "32", "32", "--repeats", "1", *methods]) == 0
    said = capsys.readouterr().out
    assert (
        "mtpsl, light" in said
        and "one_task" in said
        and "supervised  " in said
        and "crop" not in said
    )
