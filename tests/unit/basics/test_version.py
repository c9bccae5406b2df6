"""The version stands in two files, which say the same."""

import tomllib

import labelgrid
from labelgrid.basics.version import __version__
from tools.source import ROOT


def test_the_package_and_the_wheel_have_one_version() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert labelgrid.__version__ == __version__ == declared
