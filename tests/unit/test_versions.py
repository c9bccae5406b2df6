"""The versions that figures depend on."""

from importlib.metadata import PackageNotFoundError

import pytest
import torch

from labelgrid import __version__, versions


def test_the_versions_are_those_that_are_installed() -> None:
    found = versions.installed_versions()
    assert found["labelgrid"] == __version__
    assert found["torch"].partition("+")[0] == torch.__version__.partition("+")[0]


def test_a_package_that_is_not_installed_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(versions, "version", version)
    assert versions.installed_versions()["torch"] == "not installed"
