"""Laws of the packages that `./dev wheel --try` installs: there is one of each sort, and pip installs it."""

import subprocess
import sys

from labelgrid.basics import plugins
from tests.docs import preloaded
from tools import own_plugins
from tools.own_plugins import OWN, broken
from tools.source import ROOT


def test_there_is_a_plug_in_of_each_sort_and_it_is_none_of_the_package() -> None:
    assert list(OWN) == list(plugins.FOLDERS)
    for folder, own in OWN.items():
        assert own.name not in plugins.names(folder)
        for path in (own.path, own.told):
            assert (ROOT / path).exists()


def test_an_installed_package_is_listed_refused_without_trust_and_held_to_its_laws(
    tmp_path, monkeypatch
) -> None:
    few = {folder: OWN[folder] for folder in ("formats", "layouts")}
    monkeypatch.setattr(own_plugins, "OWN", few)
    modules = tmp_path / "modules"
    monkeypatch.setenv("PYTHONPATH", str(modules))
    monkeypatch.setenv(preloaded.LOADS_LABELGRID, "yes")
    pip = [sys.executable, "-m", "pip"]
    packages = [str(own.write(folder, tmp_path / "packages")) for folder, own in few.items()]
    words = ["install", "-q", "--no-deps", "--no-build-isolation", "--target", str(modules)]
    subprocess.run([*pip, *words, *packages], check=True)
    python = preloaded.folder() / "python"
    (tmp_path / "labelgrid").write_text(f'#!/bin/sh\nexec {python} -m labelgrid "$@"\n')
    (tmp_path / "labelgrid").chmod(0o755)
    assert broken(tmp_path, tmp_path) == []
    (modules / "optical_flow.py").write_text("import no_such_module\n")
    (fault,) = broken(tmp_path, tmp_path)
    assert "'optical_flow' cannot be imported: No module named 'no_such_module'" in fault
