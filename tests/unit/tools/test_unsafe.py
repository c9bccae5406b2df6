import pytest

from tools.unsafe import faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("eval('1')", "eval runs what it reads"),
        ("exec('1')", "exec runs what it reads"),
        ("import pickle as p\np.load(f)", "pickle.load runs what it reads"),
        ("from pickle import loads as read\nread(b)", "pickle.loads runs what it reads"),
        ("import yaml\nyaml.load(f)", "yaml.load runs what it reads"),
        ("import torch\ntorch.load(f)", "torch.load without weights_only=True runs what it reads"),
        (
            "import torch\ntorch.load(f, weights_only=False)",
            "weights_only of torch.load must be True",
        ),
        (
            "import torch\ntorch.load(f, weights_only=flag)",
            "weights_only of torch.load must be True",
        ),
        ("self.fabric.load(f)", "self.fabric.load without weights_only=True runs what it reads"),
        (
            "import numpy as np\nnp.load(f, allow_pickle=True)",
            "allow_pickle of numpy.load must be False",
        ),
    ],
)
def test_a_call_that_runs_what_it_reads_is_found(plant, text, fault):
    root = plant({"src/a.py": text + "\n"})
    assert [found.partition(": ")[2] for found in faults(root)] == [fault]


@pytest.mark.parametrize(
    "text",
    [
        "import torch\ntorch.load(f, weights_only=True)",
        "fabric.load(f, weights_only=True)",
        "model.eval()",
        "import numpy as np\nnp.load(f, allow_pickle=False)",
        "import json\njson.load(f)",
        "store.load(f)",
    ],
)
def test_calls_that_only_read_are_none(plant, text):
    assert faults(plant({"src/a.py": text + "\n"})) == []
