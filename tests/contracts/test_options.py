"""Laws of every plug-in's options: they are the same without torch, and checking them does not import torch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labelgrid.basics import plugins
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.testing.laws import WATCH, shown_options

ROOT = Path(__file__).parents[2]
#: Prints the options of plug-ins, checked where torch cannot be imported, and all shipped recipes
#: that are right.
ALONE = f"""{WATCH}
import json, os
from labelgrid.basics import plugins
from labelgrid.recipes.resolve import load_recipe
from labelgrid.recipes.resolve import shipped_recipes
from labelgrid.recipes.resolve import check_recipe
from labelgrid.recipes.resolve import shipped_recipes
from labelgrid.testing.laws import shown_options
print(json.dumps({{name: shown_options(plugins.options_class(*name.split(" "))) for name in sys.argv[1:]}}))
for name in shipped_recipes():
    check_recipe(load_recipe(name))
sys.exit("torch was asked for" if Watch.asked else 0)
"""
#: Folders whose plug-ins are built from options.
FOLDERS = ("relations", "networks", "balance", "terms", "statistics", "strategies")
EVERY = [f"{folder} {name}" for folder in FOLDERS for name in plugins.names(folder)]
TORCH = """
import torch

RATES = torch.linspace(0, 1, 3).tolist()
"""
CHANGED = """
RATES = [0.0, 0.5]
RATES[1] = 0.7
"""
OPTIONS = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Options:
    rate: float = RATES[1]

def build(tasks, encoder, options):
    return options
"""


def alone(*names, place=ROOT):
    """The options of plug-ins (`FOLDER NAME`) in a process without torch.

    Its exit status shows if torch was needed.
    """
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", ROOT, place)))
    }
    command = [sys.executable, "-c", ALONE, *names]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def assert_light(*names, place=ROOT):
    """The law: options without torch are those of the plug-in's module."""
    ended = alone(*names, place=place)
    assert ended.returncode == 0, ended.stderr
    own = {name: shown_options(plugins.module(*name.split(" ")).Options) for name in names}
    assert json.loads(ended.stdout) == own


def test_options_of_every_plug_in_and_every_shipped_recipe_are_checked_without_torch():
    assert_light(*EVERY)


@pytest.mark.parametrize(("start", "fault"), [(TORCH, "torch"), (CHANGED, "0.7")])
def test_options_that_are_others_without_torch_break_the_law(tmp_path, monkeypatch, start, fault):
    name = f"wrong_options_{fault.replace('.', '_')}"
    (tmp_path / f"{name}.py").write_text(start + OPTIONS)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AssertionError, match=fault):
        assert_light(f"nets {name}:build", place=tmp_path)


@pytest.mark.parametrize("name", EVERY)
def test_a_plug_in_is_built_from_the_options_that_its_own_module_knows(name):
    from labelgrid.recipes.resolve import check_options

    module = plugins.module(*name.split(" "))
    folder, plugin = name.split(" ")
    assert isinstance(check_options(folder, PluginChoice(plugin)), module.Options)
