"""What the process loads from which commands are forked: all that they use, so that new processes start fast."""

import atexit
import gc
import importlib

from labelgrid.basics.processes import look_rarely_for_garbage
from tests import new_ledgers
from tests.loaded_commands import load_commands

#: What else tests need.
LOADED = ("pytest", "alembic.command", "pydantic.main", "tests.e2e.commands")

gc.disable()
try:
    for name in LOADED:
        importlib.import_module(name)
    load_commands()
    # The ledgers of a study's runs; a command in a fork migrates its own, as `tests.e2e.killing` says.
    new_ledgers.make_all_fast()
finally:
    gc.enable()
# Forks share the memory of what is loaded until they touch it, as their collector would.
gc.collect()
gc.freeze()
look_rarely_for_garbage()
atexit.register(gc.unfreeze)
