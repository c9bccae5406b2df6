"""Installing is finding: the plug-ins of packages, of which none runs that is not trusted."""

import subprocess
import sys
from importlib import metadata

import pytest

from labelgrid.basics import entry_points, plugins
from labelgrid.basics.entry_points import installed_plugins
from labelgrid.basics.errors import LabelError, PluginError, UsageError
from labelgrid.basics.trusted_code import VARIABLE
from labelgrid.cli import exchange
from labelgrid.executors.workplace import executor_at
from labelgrid.lab.simulation.plugin_code import changed_plugins, digests
from tests.commands import run
from tests.packages import install
from tests.support import make_dataset
from tools.source import ROOT

CHEAPEST = '''"""The cheapest cells first."""
from dataclasses import dataclass

from labelgrid.select.parts import AsIs, ComposedStrategy, ScorerResult, draw_cells


@dataclass(frozen=True)
class Options:
    rate: float = 1.0


def cheap(pool):
    return ScorerResult(draw_cells(pool.grid, pool.seed) - pool.grid.cost)


def build(options):
    return ComposedStrategy(
        needs=frozenset(), scorer=cheap, normaliser=AsIs(), unit="cells", why="cheapest"
    )
'''
STRATEGY = {"cheapest": "of_package.cheapest:build"}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder on Python's path; nothing is trusted."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(VARIABLE, "")
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith(("of_package", "of_other"))]:
        del sys.modules[name]


def install_cheapest(place, files=None):
    texts = {"of_package/__init__.py": "", "of_package/cheapest.py": CHEAPEST} | (files or {})
    install(place, "of-package", texts, {"strategies": STRATEGY})


def test_packages_are_looked_through_once_for_all_sorts_of_plug_ins(place, monkeypatch):
    install_cheapest(place)
    scans = []

    def count(**wanted):
        scans.append(wanted)
        return metadata.entry_points(**wanted)

    monkeypatch.setattr(entry_points, "entry_points", count)
    assert [*installed_plugins("strategies")] == ["cheapest"]
    assert not installed_plugins("networks") and not installed_plugins("terms")
    assert len(scans) == 1


def test_a_plug_in_of_a_package_is_found_and_runs_once_it_is_trusted(place, monkeypatch):
    install_cheapest(place)
    with pytest.raises(
        PluginError, match=r"'cheapest' of the package of-package 1.0 .*code from"
    ) as caught:
        plugins.options_class("strategies", "cheapest")
    assert "--trust of_package" in str(caught.value) and "It was not run." in str(caught.value)
    assert not any(name.startswith("of_package") for name in sys.modules)
    monkeypatch.setenv(VARIABLE, "of_package")
    assert plugins.options_class("strategies", "cheapest")().rate == 1.0
    built = plugins.create("strategies", "cheapest", None)
    assert built.unit == "cells"
    assert plugins.is_own("strategies", "cheapest") and not plugins.is_own("strategies", "margin")


def test_the_list_shows_what_is_installed_and_imports_none_of_it(place, monkeypatch):
    fails = {"of_package/cheapest.py": '"""The cheapest."""\nimport no_such_module\n'}
    install_cheapest(place, fails)
    monkeypatch.setenv(VARIABLE, "of_package")
    line = plugins.describe("strategies")["cheapest"]
    assert line == "The cheapest. From the package of-package 1.0: of_package.cheapest:build."
    monkeypatch.setenv(VARIABLE, "")
    assert plugins.describe("strategies")["cheapest"].endswith("; runs with --trust of_package.")
    assert list(plugins.describe("networks")) == plugins.names("networks")
    assert not any(name.startswith("of_package") for name in sys.modules)


@pytest.mark.parametrize("text", ["import (", None, '"""\N{LATIN SMALL LETTER E WITH ACUTE}"""'])
def test_a_package_that_cannot_be_imported_is_listed_and_breaks_nothing_else(
    place, monkeypatch, text
):
    install_cheapest(place)
    monkeypatch.setenv(VARIABLE, "of_package")
    file = place / "of_package/cheapest.py"
    if text is None:
        file.unlink()
    else:
        file.write_bytes(text.encode("latin-1"))
    assert "of_package.cheapest:build" in plugins.describe("strategies")["cheapest"]
    assert callable(plugins.resolve("strategies", "margin"))
    with pytest.raises(PluginError, match="'cheapest' cannot be imported"):
        plugins.resolve("strategies", "cheapest")


def test_two_packages_with_one_name_are_refused_by_their_names(place, monkeypatch):
    install_cheapest(place)
    install(place, "of-other", {}, {"strategies": {"cheapest": "of_other:build"}})
    monkeypatch.setenv(VARIABLE, "of_package,of_other")
    with pytest.raises(PluginError, match="Two packages bring the strategy 'cheapest'") as caught:
        plugins.resolve("strategies", "cheapest")
    for word in (
        "of-package 1.0",
        "of-other 1.0",
        "'of_package.cheapest:build'",
        "'of_other:build'",
    ):
        assert word in str(caught.value)
    assert "two packages" in plugins.describe("strategies")["cheapest"]
    assert callable(plugins.resolve("strategies", "margin"))


def test_a_package_never_takes_the_name_of_a_shipped_plug_in(place, monkeypatch):
    install(place, "of-other", {}, {"strategies": {"margin": "of_other:build"}})
    monkeypatch.setenv(VARIABLE, "of_other")
    assert plugins.module("strategies", "margin").__name__ == "labelgrid.select.strategies.margin"
    line = plugins.describe("strategies")["margin"]
    assert "of-other 1.0" in line and "of_other:build" in line


def test_an_unknown_name_lists_what_is_installed_too(place):
    install_cheapest(place)
    with pytest.raises(PluginError, match=r"Did you mean 'cheapest'\?"):
        plugins.resolve("strategies", "cheapst")


CODE = "of_package.cheapest:build"


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("cheapest", "os:system"),
        ("cheapest", "labelgrid.select.strategies.margin:build"),
        ("cheapest", "of_package.cheapest"),
        ("cheapest", f"{CODE} [extra]"),
        ("cheapest", "of_package.cheapest:Options.build"),
        ("cheapest", "of_package/../b:c"),
        ("cheap:est", CODE),
        ("../cheapest", CODE),
        ("[red]cheapest", CODE),
    ],
)
def test_an_entry_point_that_nobody_can_use_is_listed_so_and_refused(
    place, monkeypatch, name, target
):
    install_cheapest(place)
    install(place, "of-other", {}, {"networks": {name: target}})
    monkeypatch.setenv(VARIABLE, "of_package")
    line = plugins.describe("networks")[name]
    sentence, _, rest = line.partition(" From the package of-other 1.0: ")
    assert sentence.startswith("It cannot be used: ") and "--trust" not in line
    assert sentence.endswith("; its package's author must mend the entry point.")
    assert rest == f"{target}."
    for find in (plugins.resolve, plugins.options_class):
        with pytest.raises(PluginError) as refused:
            find("networks", name)
        assert refused.value.what == f"'{name}' of the package of-other 1.0" + sentence[2:]
    with pytest.raises(PluginError) as unknown:
        plugins.resolve("networks", "cheapst")
    assert name not in str(unknown.value)


def test_shipped_plug_ins_and_own_code_read_no_package_s_metadata():
    code = (
        "import sys; import labelgrid.cli; from labelgrid.basics import plugins; "
        "plugins.resolve('strategies', 'margin'); print('importlib.metadata' in sys.modules, "
        "'labelgrid.basics.entry_points' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "False"


def test_a_project_takes_a_kind_a_strategy_and_a_format_of_a_package(place, monkeypatch):
    kind = (ROOT / "examples/inverse_depth_task.py").read_text()
    kind = kind.replace("inverse_depth_task:build", "near").replace('codec="depth"', 'codec="far"')
    form = "from labelgrid.formats.codecs import depth as Format\n"
    texts = {"of_package/near.py": kind, "of_package/far.py": form}
    install_cheapest(place, texts)
    targets = {
        "kinds": {"near": "of_package.near:build"},
        "formats": {"far": "of_package.far:Format"},
    }
    install(place, "of-other", {}, targets)
    made = make_dataset(place / "made", n=3, size=(8, 12), tasks=("depth",))
    start = ("init", place / "flat", "--images", made.images, "--task", "depth", "--task", "near")
    with pytest.raises(PluginError, match="'near' of the package of-other"):
        run(*start, "--strategy", "cheapest")
    run(*start, "--strategy", "cheapest", "--trust", "of_package")
    said = run("query", place / "flat", "--budget", 3, "--trust", "of_package")
    assert "Round 1 (cheapest) requested 1 depth, 2 near: cost 3." in said
    monkeypatch.setenv(VARIABLE, "")
    assert '"near"' in run("list", "kinds", "--json")


PLACE = (
    "class There:\n"
    "    share = workers = None\n"
    "    def __init__(self, *said): self.said = said\n"
    "    def start(self): ...\n"
    "    wait = stop = start\n"
)


def test_a_place_of_a_package_may_have_an_address(place, monkeypatch):
    text = PLACE + "def build(*said): return There(*said)\n"
    targets = {"executors": {"of_other": "of_other:build"}}
    install(place, "of-other", {"of_other.py": text}, targets)
    monkeypatch.setenv(VARIABLE, "of_other")
    for on, address in (("of_other", ""), ("of_other:build", ""), ("of_other:there", "there")):
        assert executor_at(on, 1, "labelgrid.basics.errors").said[2] == address


def test_trusted_code_goes_before_a_place_of_another_package(place, monkeypatch):
    targets = {"executors": {"of_package": "of_other.places:build"}}
    own = PLACE + "def build(*said): return There('own', *said)\n"
    texts = {
        "of_other/__init__.py": "",
        "of_other/places.py": PLACE + "def build(*said): return There(*said)\n",
        "of_package.py": own,
    }
    install(place, "of-other", texts, targets)
    monkeypatch.setenv(VARIABLE, "of_other")
    assert executor_at("of_package:build", 1, "labelgrid").said[2] == "build"
    monkeypatch.setenv(VARIABLE, "of_other,of_package")
    assert executor_at("of_package:build", 1, "labelgrid").said[0] == "own"
    assert executor_at("of_package", 1, "labelgrid").said[2] == ""
    assert executor_at("of_package:10.0.0.1:80", 1, "labelgrid").said[2] == "10.0.0.1:80"


def test_a_place_that_two_packages_bring_is_named_by_its_code(place, monkeypatch):
    text = PLACE + "def build(*said): return There(*said)\n"
    for package in ("of_other", "of_package"):
        targets = {"executors": {"of_other": f"{package}:build"}}
        install(place, package, {f"{package}.py": text}, targets)
    monkeypatch.setenv(VARIABLE, "of_other,of_package")
    with pytest.raises(PluginError, match="Two packages bring"):
        executor_at("of_other", 1, "labelgrid")
    for on in ("of_other:build", "of_package:build"):
        assert executor_at(on, 1, "labelgrid").said[2] == ""


TOOL = '''"""A tool that answers nothing."""
from labelgrid.annotate.answers import Answers


class Silent:
    def receive(self, *said):
        return Answers()


def build():
    return Silent()
'''


def test_a_tool_of_a_package_may_have_a_hyphen_and_takes_no_shipped_name(place, monkeypatch):
    targets = dict.fromkeys(("my-tool", "label-studio"), "of_other:build")
    install(place, "of-other", {"of_other.py": TOOL}, {"tools": targets})
    monkeypatch.setenv(VARIABLE, "of_other")
    made = make_dataset(place / "made", n=1, size=(8, 12), tasks=("depth",))
    run("init", place / "flat", "--images", made.images, "--task", "depth")
    with pytest.raises(LabelError, match="There are no labels"):  # the tool has read none
        run("import", place / "flat", made.root, "--format", "my-tool")
    run("query", place / "flat", "--budget", 1)
    with pytest.raises(UsageError, match="'my-tool' only receives labels"):
        run("export", place / "flat", "--to", "my-tool", "--out", place / "out")
    assert plugins.target_of("tools", exchange._plugin_name("label-studio", "tools")) == (
        "labelgrid.annotate.tools.label_studio:build"
    )


def test_a_study_notices_that_a_package_s_code_has_changed(place):
    install_cheapest(place)
    before = digests({"strategies": ["cheapest", "margin"]})
    assert list(before) == ["cheapest"]
    (place / "of_package/cheapest.py").write_text(CHEAPEST + "# changed\n")
    assert changed_plugins(before, digests(["cheapest"])) == ["cheapest"]
