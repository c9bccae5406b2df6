"""Laws of the count of modules that a cell passes."""

import subprocess
import sys

from tools.source import ROOT

# In a process of its own, as the tool runs: a debugger or another profile function would take the place of its own.
CODE = """
from labelgrid import plugins
from labelgrid.streams import seed_of
from tools.passes import passed
from tools.source import ROOT
package = ROOT / "src" / "labelgrid"
with passed(package) as modules:
    seed_of(0, "a")
print(*sorted(modules))
with passed(package) as modules:
    plugins.names("select")
    seed_of(0, "a")
print(*sorted(modules))
"""


def test_the_modules_in_which_a_function_runs_are_noted_and_no_others() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, check=True, text=True)
    assert done.stdout.splitlines() == ["streams.py", "plugins.py streams.py"]
