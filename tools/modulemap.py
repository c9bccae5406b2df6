"""Checks the list of modules in ARCHITECTURE.md, which shows the first docstring line of each.

`--write` updates it.
"""

import ast
import sys
from pathlib import Path

from tools.source import ROOT, modules, report

BEGIN = "<!-- modules: ./dev check modulemap, python -m tools.modulemap --write -->"
END = "<!-- end of modules -->"
PAGE = "ARCHITECTURE.md"


def lines(root: Path) -> str:
    """The list, one line per module, folder by folder, with the first lines of the docstrings."""
    found = []
    for module in modules(root, "src"):
        if "migrations" in module.path.parts:
            continue
        first = (ast.get_docstring(module.tree) or "").partition("\n")[0]
        place = module.path.relative_to("src/labelgrid").as_posix()
        if module.path.name == "__init__.py":
            folder = place.removesuffix("__init__.py") or "labelgrid/"
            found.append(f"\n**{folder}** {first}\n")
        else:
            found.append(f"- `{place}`: {first}")
    return "\n".join(found).strip() + "\n"


def faults(root: Path) -> list[str]:
    """Whether the list in the page differs from the modules."""
    _, _, rest = (root / PAGE).read_text(encoding="utf-8").partition(BEGIN)
    inside, end, _ = rest.partition(END)
    if not end:
        return [f"{PAGE} has no list of modules: put '{BEGIN}' and '{END}' where it belongs"]
    if inside.strip() != lines(root).strip():
        return [
            f"the list of modules in {PAGE} is out of date: run `.venv/bin/python -m tools.modulemap --write`"
        ]
    return []


def write(root: Path) -> None:
    """Write the list between the marks."""
    page = root / PAGE
    head, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    page.write_text(
        f"{head}{BEGIN}\n\n{lines(root)}\n{END}{rest.partition(END)[2]}", encoding="utf-8"
    )


if __name__ == "__main__":
    if "--write" in sys.argv:
        write(ROOT)
    raise SystemExit(report(faults(ROOT)))
