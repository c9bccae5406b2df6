"""Skips the tests of the laboratory where it is left out; `python -m tools.without_lab` runs the others."""

import importlib
import sys
from importlib.util import find_spec

import pytest

from labelgrid import __file__ as package

LABORATORY = "labelgrid.lab"


class LeftOut:
    """Finds no laboratory: a test that imports it is skipped, and the package gets its ImportError.

    tests/skips.py does not know the reason: a run of the whole tree must have the laboratory.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Skip the test that imports the laboratory."""
        if name == LABORATORY and not _importer().startswith(package.removesuffix("__init__.py")):
            _forget_importers()
            pytest.skip("the laboratory is left out", allow_module_level=True)


def pytest_configure() -> None:
    """Look whether the laboratory is there; git leaves a folder of compiled files where it was."""
    spec = find_spec(LABORATORY)
    if spec is None or spec.origin is None:
        sys.meta_path.insert(0, LeftOut())


def need_laboratory() -> None:
    """Skip a test that runs the laboratory's commands, where it is left out."""
    importlib.import_module(LABORATORY)


def skip_without(said: str) -> None:
    """Skip a test whose command says that there is no laboratory, where it is left out."""
    if "has no laboratory" in said:
        need_laboratory()


def _importer() -> str:
    """The file that imports."""
    frame = sys._getframe(2)
    while frame.f_back and "importlib" in frame.f_code.co_filename:
        frame = frame.f_back
    return frame.f_code.co_filename


def _forget_importers() -> None:
    """Remove the modules that are half imported, which pytest leaves where others would find them."""
    frame = sys._getframe(2)
    while frame:
        name = frame.f_globals.get("__name__", "")
        if frame.f_code.co_name == "<module>" and name != "__main__":
            sys.modules.pop(name, None)
        frame = frame.f_back
