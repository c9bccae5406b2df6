"""Loads what commands use of labelgrid, in processes of which commands are forks. Imports none of it before."""

import importlib
from contextlib import suppress

#: What most commands use.
MODULES = (
    "labelgrid.cli",
    "labelgrid.api.project",
    "labelgrid.api.study",
    "labelgrid.operations.export",
    "labelgrid.imports.import_labels",
    "labelgrid.report.write_report",
    "labelgrid.advice.advice_sentence",
    "labelgrid.audit.label_shards",
    "labelgrid.rounds.predict",
    "labelgrid.rounds.query",
    "labelgrid.rounds.score",
    "labelgrid.suppliers.trust_jobs",
)
#: What studies use beside it.
LABORATORY = ("labelgrid.lab.simulation.campaign", "labelgrid.lab.simulation.run_study")


def load_commands() -> None:
    """Load what most commands use, and every plug-in; make what each command would make for itself."""
    for name in MODULES:
        importlib.import_module(name)
    with suppress(ModuleNotFoundError):  # the laboratory can be left out
        for name in LABORATORY:
            importlib.import_module(name)
    plugins = importlib.import_module("labelgrid.basics.plugins")
    for key, folder in plugins.FOLDERS.items():
        for name in plugins.names(key):
            importlib.import_module(f"labelgrid.{folder.package}.{name}")
    made_once = importlib.import_module("tests.made_once")
    made_once.make_once()
    made_once.parser_of(importlib.import_module("labelgrid.cli").app)
