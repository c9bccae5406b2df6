"""The folder is the registry."""

import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

from labelgrid.basics import plugins
from labelgrid.basics.config import parse
from labelgrid.basics.errors import PluginError
from labelgrid.recipes.resolve import shipped_recipes
from tests.laboratory import need_laboratory
from tools.source import ROOT


@pytest.mark.parametrize("folder", list(plugins.FOLDERS))
def test_every_plug_in_of_a_folder_is_found_described_and_built_from_its_file(folder):
    described = plugins.describe(folder)
    assert list(described) == plugins.names(folder)
    for name, line in described.items():
        assert line
        module = plugins.module(folder, name)
        is_plug_in = all(hasattr(module, member) for member in plugins.FOLDERS[folder].members)
        assert is_plug_in or callable(plugins.resolve(folder, name))


def test_a_new_file_is_a_plug_in_at_once(tmp_path, monkeypatch):
    import labelgrid.select.strategies as package

    (tmp_path / "surprise.py").write_text(
        '"""What is new."""\n\n\ndef build(options):\n    return options\n'
    )
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    assert "surprise" in plugins.names("strategies")
    assert plugins.resolve("strategies", "surprise")(3) == 3


def test_an_unknown_name_lists_the_folder_and_the_nearest_match():
    with pytest.raises(PluginError) as caught:
        plugins.resolve("strategies", "randm_cells")
    assert "There is no strategy 'randm_cells'" in str(caught.value)
    assert "Did you mean 'random_cells'?" in str(caught.value) and "partal" in str(caught.value)


def test_a_folder_is_empty_only_where_the_whole_laboratory_is_left_out(monkeypatch):
    need_laboratory()
    for package in ("lab.simulation.no_such_folder", "label_folder"):
        monkeypatch.setitem(plugins.FOLDERS, "lacking", plugins.Folder(package, "thing", ()))
        with pytest.raises(ModuleNotFoundError, match=package.replace(".", r"\.")):
            plugins.names("lacking")
    assert plugins.names("analyses")
    for name in [name for name in sys.modules if name.startswith("labelgrid.lab.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "labelgrid.lab", None)
    assert plugins.names("analyses") == [] and plugins.describe("analyses") == {}


def test_outside_code_goes_by_module_and_object(tmp_path, monkeypatch):
    (tmp_path / "mine_of_a_test.py").write_text("class Thing:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LABELGRID_TRUST", "mine_of_a_test,no_such_module_at_all")
    assert plugins.resolve("networks", "mine_of_a_test:Thing").__name__ == "Thing"
    for name in ("mine_of_a_test:Nothing", "no_such_module_at_all:build"):
        with pytest.raises(PluginError, match="cannot be imported"):
            plugins.resolve("networks", name)


def test_every_shipped_recipe_has_a_first_line():
    files = Path(plugins.__file__).parents[1].glob("recipes/**/*.toml")
    assert shipped_recipes().keys() == {path.stem for path in files}
    assert all(line[0] != "#" and line[-1] == "." for line in shipped_recipes().values())


HEAVY = '''\
"""A network of one's own."""
from __future__ import annotations

import math, decimal as exact
from dataclasses import dataclass
from a_heavy_library_of_nobody import Layer
from json import dumps as text, loads

LIMIT: int = math.ceil(3.5)
Rate = float


def build(tasks, encoder, options):
    return Layer(options, check)


def check(rate: Rate) -> str:
    return text(rate)


@dataclass(frozen=True)
class Options:
    rate: Rate = LIMIT * 1.0

    def __post_init__(self):
        check(self.rate)
'''


def test_options_are_had_without_the_rest_of_their_file(tmp_path, monkeypatch):
    (tmp_path / "package_of_a_test").mkdir()
    (tmp_path / "package_of_a_test" / "__init__.py").write_text("")
    (tmp_path / "package_of_a_test" / "heavy.py").write_text(HEAVY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LABELGRID_TRUST", "package_of_a_test")
    name = "package_of_a_test.heavy:build"
    options = plugins.options_class("networks", name)
    assert options().rate == 4.0 and parse(options, {"rate": 0.5}, "here").rate == 0.5
    loaded = vars(sys.modules[options.__module__])
    assert {"math", "text", "LIMIT", "check"} <= loaded.keys() and not {
        "exact",
        "loads",
        "Layer",
        "build",
    } & loaded.keys()
    assert "package_of_a_test.heavy" not in sys.modules
    with pytest.raises(
        PluginError, match="cannot be imported: No module named 'a_heavy_library_of_nobody'"
    ):
        plugins.resolve("networks", name)


@pytest.mark.parametrize("of_laboratory", [False, True])
def test_a_plugin_of_an_older_version_is_told_where_a_module_is_now(
    tmp_path, monkeypatch, of_laboratory
):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LABELGRID_TRUST", "of_older_version")
    moved = (
        ("labelgrid.errors", "labelgrid.basics.errors"),
        ("labelgrid.project.create", "labelgrid.operations.create"),
        ("labelgrid.train.own_optimisers", "labelgrid.train.active_terms"),
        ("labelgrid.pixel.matching", "labelgrid.pixel.boundaries"),
        ("labelgrid.train.options", "labelgrid.train.train_options"),
    )
    if of_laboratory:
        need_laboratory()
        moved = [("labelgrid.simulation", "labelgrid.lab.simulation")]
    for before, now in moved:
        (tmp_path / "of_older_version.py").write_text(f"import {before}\n")
        with pytest.raises(PluginError) as caught:
            plugins.resolve("networks", "of_older_version:build")
        assert caught.value.next_step == f"In this version of labelgrid that module is `{now}`."
    (tmp_path / "of_older_version.py").write_text("import labelgrid.never_was\n")
    with pytest.raises(PluginError, match="Check the spelling"):
        plugins.resolve("networks", "of_older_version:build")


def test_options_are_loaded_once_and_again_after_a_change_of_the_file(tmp_path, monkeypatch):
    text = "from dataclasses import dataclass\n\n\n@dataclass(frozen=True)\nclass Options:\n    rate = {}\n"
    file = tmp_path / "changed_options.py"
    file.write_text(text.format(1))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LABELGRID_TRUST", "changed_options")
    first = plugins.options_class("networks", "changed_options:build")
    assert plugins.options_class("networks", "changed_options:build") is first
    file.write_text(text.format(2))
    later = file.stat().st_mtime_ns + 10**9
    os.utime(file, ns=(later, later))
    assert plugins.options_class("networks", "changed_options:build").rate == 2
    file.write_text(text.format(3))
    os.utime(file, ns=(later, later))  # as a copy that keeps the time
    assert plugins.options_class("networks", "changed_options:build").rate == 3


def test_options_of_a_loaded_module_and_those_of_another_file_are_the_module_s_own(
    tmp_path, monkeypatch
):
    import labelgrid.nets.networks.pad_net as loaded

    assert plugins.options_class("networks", "pad_net") is loaded.Options
    (tmp_path / "borrowed_options.py").write_text(
        "from labelgrid.nets.networks.pad_net import Options\nimport nothing_at_all\n"
    )
    (tmp_path / "made_options.py").write_text(
        "import labelgrid.nets.networks.pad_net as other\nglobals()['Options'] = other.Options\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LABELGRID_TRUST", "borrowed_options,made_options")
    for name in ("borrowed_options:build", "made_options:build"):
        assert plugins.options_class("networks", name) is loaded.Options


def test_options_of_what_has_none_or_is_not_there_are_refused(monkeypatch):
    monkeypatch.setenv("LABELGRID_TRUST", "no_such_module_at_all")
    for name, fault in (
        ("no_such_module_at_all:build", "cannot be imported"),
        ("pad_nt", "Did you mean 'pad_net'"),
    ):
        with pytest.raises(PluginError, match=fault):
            plugins.options_class("networks", name)
    with pytest.raises(PluginError, match="The data set layout 'nyud' takes no options"):
        plugins.options_class("layouts", "nyud")


def test_every_module_of_the_table_of_moves_is_told_at_its_new_place() -> None:
    text = (ROOT / "docs/decisions/021-rooms.md").read_text()
    moves = re.findall(r"^\| `([\w.]+)` \| `([\w.]+)` \|$", text, flags=re.MULTILINE)
    assert len(moves) > 50
    for before, now in moves:
        assert plugins._new_module(f"labelgrid.{before}") == f"labelgrid.{now}", before
        assert importlib.util.find_spec(f"labelgrid.{now}"), now
