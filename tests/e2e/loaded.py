"""What the process loads from which commands are forked: all that they use, so that new processes start fast."""

import atexit
import gc
import importlib

from labelgrid import plugins
from labelgrid.processes import look_rarely_for_garbage

LOADED = (
    "pytest",
    "alembic.command",
    "labelgrid.api.project",
    "labelgrid.api.study",
    "labelgrid.project.export",
    "labelgrid.project.import_labels",
    "labelgrid.report.write",
    "labelgrid.rounds.advice_sentence",
    "labelgrid.rounds.label_shards",
    "labelgrid.rounds.predict",
    "labelgrid.rounds.query",
    "labelgrid.rounds.score",
    "labelgrid.simulation.campaign",
    "labelgrid.simulation.run_study",
    "pydantic.main",
    "tests.e2e.commands",
)

gc.disable()
try:
    for name in LOADED:
        importlib.import_module(name)
    for key, folder in plugins.FOLDERS.items():
        for name in plugins.names(key):
            importlib.import_module(f"labelgrid.{folder.package}.{name}")
finally:
    gc.enable()
# Forks share the memory of what is loaded until they touch it, as their collector would.
gc.collect()
gc.freeze()
look_rarely_for_garbage()
atexit.register(gc.unfreeze)
