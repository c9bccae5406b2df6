"""Laws of trust: no code outside the package runs unless its module was named, and only if it is a plug-in."""

import os
import subprocess
import sys

import pytest

from labelgrid import trust
from labelgrid.basics import plugins
from labelgrid.basics.errors import LabelgridError, PluginError, RecipeError, UsageError
from labelgrid.basics.trusted_code import VARIABLE, check_trusted, is_trusted
from labelgrid.recipes.resolve import load_recipe
from labelgrid.tasks.task import spec_of

NOT_NAMES = [
    ":",
    "a:",
    ":b",
    "a b:c",
    "a:b:c",
    "..a:b",
    "a..b:c",
    "a\0:b",
    "a/b:c",
    "",
    "../x",
    "os.path",
    "1a:b",
    "a:b.c",
]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module `own_of_a_test` that leaves a file behind when it is imported.

    Nothing is trusted.
    """
    text = f"open({str(tmp_path / 'ran')!r}, 'w').close()\nfrom os import system\n\n\ndef build(*a):\n    return 3\n"
    (tmp_path / "own_of_a_test.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(VARIABLE, "")
    yield tmp_path / "ran"
    sys.modules.pop("own_of_a_test", None)


@pytest.mark.parametrize("folder", list(plugins.FOLDERS))
def test_untrusted_code_is_refused_before_it_is_imported(folder, own):
    for way in (plugins.resolve, plugins.options_class, plugins.module):
        with pytest.raises(
            PluginError,
            match=r"outside labelgrid(.|\n)*`--trust own_of_a_test`(.|\n)*It was not run",
        ):
            way(folder, "own_of_a_test:build")
    assert not own.exists()


def test_a_trusted_module_runs_and_what_it_builds_must_be_a_plug_in(own, monkeypatch):
    monkeypatch.setenv(VARIABLE, "other, own_of_a_test")
    for name in ("build", "system"):
        with pytest.raises(PluginError, match="is no data set layout"):
            plugins.create("layouts", f"own_of_a_test:{name}", "true")
    assert own.exists()
    with pytest.raises(PluginError, match="SPEC"):
        spec_of("own_of_a_test:build")


@pytest.mark.parametrize("name", NOT_NAMES)
def test_what_is_no_name_of_a_plug_in_is_refused(name, monkeypatch):
    monkeypatch.setenv(VARIABLE, "a,os")
    for way in (plugins.resolve, plugins.options_class, lambda folder, name: spec_of(name)):
        with pytest.raises(PluginError):
            way("kinds", name)


def test_python_s_own_modules_are_never_plug_ins(monkeypatch):
    monkeypatch.setenv(VARIABLE, "os,subprocess")
    assert not is_trusted("os.path")
    with pytest.raises(PluginError, match="Python's own"):
        check_trusted("os:system")
    for wrong in ("os", "a b", "", "a:b", "../x"):
        with pytest.raises(UsageError, match="cannot be trusted"):
            trust([wrong])


def test_labelgrid_s_own_plug_ins_go_by_their_plain_names(monkeypatch):
    for trusted in ("", "labelgrid"):
        monkeypatch.setenv(VARIABLE, trusted)
        with pytest.raises(
            PluginError, match=r"the module is labelgrid's(.|\n)*without its module: 'random_cells'"
        ):
            plugins.resolve("strategies", "labelgrid.select.strategies.random_cells:build")
    for wrong in ("labelgrid", "labelgrid.select"):
        with pytest.raises(UsageError, match="cannot be trusted"):
            trust([wrong])
    trust(["labelgrids"])


def test_trust_is_of_whole_packages_and_reaches_the_processes_that_are_started(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    trust(["mine", "a.b,c"])
    assert [
        is_trusted(name) for name in ("mine", "mine.sub", "minesweeper", "a.b.c", "a", "c")
    ] == [
        *(True, True, False, True, False, True),
    ]
    code = "from labelgrid.basics.trusted_code import is_trusted; print(is_trusted('mine.sub'))"
    started = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert started.stdout == "True\n"


@pytest.mark.parametrize("name", ["hf-hub:timm/resnet18", "hf_hub:a/b", "local-dir:/tmp/x"])
def test_a_backbone_with_a_source_is_used_only_if_the_source_is_trusted(name, monkeypatch):
    with pytest.raises(RecipeError, match="only if you trust it"):
        load_recipe("small", {"backbone": {"name": name}})
    monkeypatch.setenv(VARIABLE, name.partition(":")[0].replace("_", "-"))
    assert load_recipe("small", {"backbone": {"name": name}}).backbone.name == name


def test_the_refusals_are_errors_for_users():
    assert issubclass(PluginError, LabelgridError) and issubclass(UsageError, LabelgridError)
