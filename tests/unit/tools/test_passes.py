"""Laws of the count of modules that a cell passes."""

import os
import subprocess

from tests.docs import preloaded
from tools.passes import MOST
from tools.source import ROOT

# In a process of its own, as the tool runs, which has loaded the libraries: a debugger or another
# profile function would take the place of its own.
CODE = """
from pathlib import Path
import labelgrid
from labelgrid.basics import plugins
from labelgrid.basics.streams import seed_of
from tools.passes import passed
package = Path(labelgrid.__file__).parent
with passed(package) as modules:
    seed_of(0, "a")
print(*sorted(modules))
with passed(package) as modules:
    plugins.names("strategies")
    seed_of(0, "a")
print(*sorted(modules))
"""
#: Prints the modules that a query passes, and stops there.
QUERY = """
from pathlib import Path
import labelgrid
from tools.passes import counts
package = Path(labelgrid.__file__).parent
print(*next(modules for name, modules in counts(package) if name == "query"))
"""


def run(code: str) -> list[str]:
    done = subprocess.run(
        [str(preloaded.folder() / "python"), "-c", code],
        cwd=ROOT,
        env={**os.environ, preloaded.LOADS_LABELGRID: "yes"},
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout.splitlines()


def test_the_modules_in_which_a_function_runs_are_noted_and_no_others() -> None:
    assert run(CODE) == ["basics/streams.py", "basics/plugins.py basics/streams.py"]


def test_a_query_passes_half_of_the_modules_that_it_once_passed_and_six() -> None:
    modules = run(QUERY)[0].split()
    assert "select/budget.py" in modules and len(modules) <= MOST["query"] == 58 // 2 + 6, modules
