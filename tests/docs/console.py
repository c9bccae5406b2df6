"""How the examples of a page are run: the commands of a `console` block, what they print and how they end."""

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

from tests.docs import preloaded
from tests.laboratory import skip_without

#: Commands that change the checkout or reach for the network are shown, not run.
NOT_RUN = ("./dev", "git ", "pip ", "uv ", "cd ")
LOOSELY = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples_of(page: Path) -> Iterator[Example]:
    """The `python` and `console` blocks of a page in their order, to be evaluated in the current folder."""
    parsers = [PythonCodeBlockParser(), CodeBlockParser("console", run_block), SkipParser()]
    return iter(Sybil(parsers).parse(page).examples())


def run_block(example: Example) -> str | None:
    """What is wrong with a block: a command that fails, or one that prints something else than is shown.

    `...` stands for any text and white space does not count; a command without output shown may
    print anything. A refusal is shown with `$ echo $?` after it.

    Where the laboratory is left out, a block whose command needs it skips the test.
    """
    path = (str(preloaded.folder()), str(Path(sys.executable).parent), os.environ["PATH"])
    status = 0
    steps = list(commands(str(example.parsed)))
    for place, (command, shown) in enumerate(steps):
        if command.startswith(NOT_RUN):
            continue
        done = subprocess.run(
            ["sh", "-c", f"(exit {status}); {command}"],
            env=os.environ | {"PATH": os.pathsep.join(path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
        )
        status = done.returncode
        asked = place + 1 < len(steps) and steps[place + 1][0] == "echo $?"
        skip_without(done.stdout)
        if status and not asked:
            return f"`{command}` exits with {status}:\n{done.stdout}"
        if shown and not doctest.OutputChecker().check_output(shown, done.stdout, LOOSELY):
            return f"`{command}` prints:\n{done.stdout}\ninstead of:\n{shown}"
    return None


def commands(block: str) -> Iterator[tuple[str, str]]:
    r"""The commands of a block, with the lines that a \ or << END continues, and the output shown below each.

    Example:
        >>> list(commands("$ ls \\\n  -l\na.txt\n$ cat << END\na\nEND\n"))
        [('ls \\\n  -l', 'a.txt\n'), ('cat << END\na\nEND', '')]
    """
    command, shown = "", ""
    for line in block.splitlines():
        if not shown and (command.endswith("\\") or _is_open(command)):
            command += f"\n{line}"
        elif line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line[2:], ""
        else:
            shown += f"{line}\n"
    if command:
        yield command, shown


def _is_open(command: str) -> bool:
    """Whether a text that << END begins has not come to its END yet."""
    first, _, text = command.partition("\n")
    end = re.search(r"<< ?'?(\w+)", first)
    return end is not None and end[1] not in text.splitlines()
