"""Prints the test files that a change can break, for `./dev test --changed`.

The change is that of the branch since it left main, with the files that no commit has. A test file
uses the modules that it imports, anywhere in its code and in the code of its texts, what those use,
and the fixtures that it asks for. A plug-in is used by whoever names it, and by the contracts. No
run of before is needed. What all tests stand on breaks all of them: configuration, conftest files
and their helpers, tools.
"""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from labelgrid.basics.plugins import FOLDERS
from tools.source import ROOT, Module

#: The answer where a change can break each test.
ALL = ["tests"]
#: The folders of Python files, and a module of one of them in a text.
PLACES = ("src", "tests", "tools", "research", "examples", "benchmarks")
_DOTTED = re.compile(r"\b(?:labelgrid|tests|tools|research|examples|benchmarks)(?:\.\w+)+")
_IMPORTED = re.compile(r"^\s*(?:import|from) labelgrid\b(?!\.)", re.MULTILINE)
#: The public face: importing a module below it does not load what it offers.
FACE = "labelgrid"
_FACE_FILE = "src/labelgrid/__init__.py"
#: Files and folders that all tests stand on.
GROUND = (
    *("tools/", ".ci/", "dev", "pyproject.toml", "constraints.txt"),
    "src/labelgrid/testing/pytest_plugin.py",
    "src/labelgrid/ledger/migrations/",  # found by path, and every ledger passes them
)
#: The sorts of plug-ins that a recipe needs wherever it is used; others are for its study alone.
IN_RECIPES = ("networks", "balance", "terms", "statistics", "relations")
CONTRACTS = "tests/contracts/"
#: The tests of all pages: their examples, and their site.
EXAMPLES = ("tests/docs/", "tests/browser/test_site.py")
_EMPTY = ast.Module([], [])


class Reading(ast.NodeVisitor):
    """What a part of a file uses: modules, texts without docstrings, arguments and other names."""

    def __init__(self, *parts: ast.AST) -> None:
        self.modules: set[str] = set()
        self.dotted: set[str] = set()
        self.texts: set[str] = set()
        self.arguments: set[str] = set()
        self.names: set[str] = set()
        for part in parts:
            self.visit(part)
        for text in self.texts:
            self.dotted.update(_DOTTED.findall(text))
            if _IMPORTED.search(text):
                self.modules.add(FACE)

    def visit_If(self, node: ast.If) -> None:
        """Leave out what type checkers alone import."""
        is_for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for part in node.orelse if is_for_types else ast.iter_child_nodes(node):
            self.visit(part)

    def visit_Import(self, node: ast.Import) -> None:
        """Note the modules."""
        self.modules.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Note what is imported, which may be a module."""
        self.modules.update(f"{node.module}.{alias.name}" for alias in node.names)

    def visit_Expr(self, node: ast.Expr) -> None:
        """Leave out docstrings."""
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Note a text."""
        if isinstance(node.value, str):
            self.texts.add(node.value)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """Leave out the name ROOT before a path: the path says what is read."""
        is_path = isinstance(node.op, ast.Div) and isinstance(node.left, ast.Name)
        self.visit(node.right)
        if not is_path:
            self.visit(node.left)

    def visit_keyword(self, node: ast.keyword) -> None:
        """Leave out the name ROOT as the folder that a program runs in: what is read is said elsewhere."""
        if node.arg != "cwd" or not isinstance(node.value, ast.Name):
            self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        """Note a name that is read."""
        if isinstance(node.ctx, ast.Load):
            self.names.add(node.id)

    def visit_arg(self, node: ast.arg) -> None:
        """Note an argument, which may be a fixture."""
        self.arguments.add(node.arg)

    @property
    def fixtures(self) -> set[str]:
        """The names that may be those of fixtures."""
        return self.arguments | self.texts

    def words(self) -> set[str]:
        """The words of the texts."""
        found: set[str] = set()
        for text in self.texts:
            found.update(re.findall(r"\w+", text))
        return found


@dataclass
class Uses:
    """Which nodes use which: files by their paths, fixtures as `FILE::NAME`, and the public face.

    Args:
        root: of the repository.
        gone: files that are not there any more.
    """

    root: Path
    gone: Collection[str] = ()
    users: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        for path in self._readings:
            self._add(path)
        in_recipes = self._plugins_of(IN_RECIPES)
        for recipe in sorted((self.root / "src").rglob("*.toml")):
            words = set(re.findall(r"\w+", recipe.read_text(encoding="utf-8")))
            for module in _beside(self.root, recipe.relative_to(self.root).as_posix()):
                for name in in_recipes.keys() & words:
                    self._link(module, in_recipes[name])

    @cached_property
    def _readings(self) -> dict[str, Reading]:
        found = {}
        for folder in PLACES:
            for file in sorted((self.root / folder).rglob("*.py")):
                path = file.relative_to(self.root).as_posix()
                found[path] = Reading(self._tree(path))
        return found

    def _tree(self, path: str) -> ast.Module:
        """The syntax tree, which is not kept: to look among all of them for garbage takes long."""
        return ast.parse((self.root / path).read_text(encoding="utf-8"))

    @cached_property
    def _paths(self) -> dict[str, str]:
        """The path of each module by its name."""
        files = [*self._readings, *(path for path in self.gone if path.endswith(".py"))]
        return {Module(Path(path), "", _EMPTY).name: path for path in files}

    @cached_property
    def plugins(self) -> dict[str, list[str]]:
        """The paths of the plug-ins by their names."""
        return self._plugins_of(FOLDERS)

    def _plugins_of(self, sorts: Iterable[str]) -> dict[str, list[str]]:
        found = defaultdict(list)
        folders = {f"src/labelgrid/{FOLDERS[sort].package.replace('.', '/')}" for sort in sorts}
        for path in self._paths.values():
            place = PurePosixPath(path)
            if place.parent.as_posix() in folders and place.stem != "__init__":
                found[place.stem].append(path)
        return found

    @cached_property
    def tests(self) -> list[str]:
        """The test files."""
        return [path for path in self._readings if _is_test(path)]

    @cached_property
    def ground(self) -> set[str]:
        """The helpers of the conftest files."""
        waiting = [path for path in self._readings if _is_conftest(path)]
        found: set[str] = set()
        while waiting:
            tree = self._tree(waiting.pop())
            named = Reading(*(part for part in tree.body if not _is_definition(part))).modules
            for path in self._resolved(named):
                if path.startswith("tests/") and path not in found:
                    found.add(path)
                    waiting.append(path)
        return found

    def _add(self, path: str) -> None:
        reading = self._readings[path]
        user = FACE if path == _FACE_FILE else path
        if _is_conftest(path):
            self._add_fixtures(path)
        else:
            self._link(user, self._resolved(reading.modules))
        # A text may name a file, such as labelgrid.toml.
        self._link(user, [used for used in self._resolved(reading.dotted) if used != FACE])
        if user == FACE:
            self._link(FACE, [_FACE_FILE])
        is_test = path.startswith("tests/")
        if is_test:
            self._add_plugins(path, reading.words())
        elif FOLDERS.keys() & reading.texts:  # else such a word is the name of something else
            self._add_plugins(path, reading.texts)
        if is_test:
            self._link(path, self._fixtures(path, reading.fixtures))
            if FACE in reading.texts:  # `python -m labelgrid`
                self._link(path, [FACE, *self._resolved(["labelgrid.cli", "labelgrid.__main__"])])

    def _link(self, user: str, used: Iterable[str]) -> None:
        for path in used:
            self.users[path].add(user)

    def _add_plugins(self, user: str, words: Collection[str]) -> None:
        for name in self.plugins.keys() & words:
            self._link(user, self.plugins[name])

    def _resolved(self, names: Iterable[str]) -> Iterator[str]:
        """The nodes of modules, or of what is in them, with the packages that they are in."""
        for name in names:
            parts = name.split(".")
            prefixes = [".".join(parts[: count + 1]) for count in range(len(parts))]
            known = [prefix for prefix in prefixes if prefix in self._paths]
            for prefix in known:
                is_face = prefix == FACE and prefix == known[-1]
                yield FACE if is_face else self._paths[prefix]

    def _add_fixtures(self, conftest: str) -> None:
        """Link the fixtures of a conftest file, which few of its tests ask for, to what they use."""
        tree = self._tree(conftest)
        imported: dict[str, str] = {}
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        for name, module in imported.items():
            self._link(f"{conftest}::{name}", self._resolved([module]))
        for node in filter(_is_definition, tree.body):
            reading = Reading(node)
            fixture = f"{conftest}::{node.name}"  # type: ignore[attr-defined]
            self._link(fixture, self._resolved(reading.modules))
            self._link(fixture, [f"{conftest}::{name}" for name in reading.names])
            self._link(fixture, self._fixtures(conftest, reading.fixtures))

    def _fixtures(self, path: str, names: Iterable[str]) -> list[str]:
        """The nodes of fixtures that a file in this place may ask for."""
        above = [f"{folder}/conftest.py" for folder in PurePosixPath(path).parents]
        conftests = [conftest for conftest in above if conftest in self._readings]
        return [f"{conftest}::{name}" for conftest in conftests for name in names]

    def broken(self, changed: Iterable[str], later: Iterable[str] = ()) -> dict[str, int]:
        """The changed nodes with all that use them, and how many uses lie between.

        `later` are nodes that use the change in another way.
        """
        steps: dict[str, int] = {}
        nodes = set(changed)
        users = set(later)
        count = 0
        while nodes:
            steps |= dict.fromkeys(nodes, count)
            for node in nodes:
                users |= self.users.get(node, set())
            nodes = users - steps.keys()
            count += 1
        return steps

    def readers(self, name: str) -> Iterator[str]:
        """The tests that name a file, or read the whole repository."""
        for path in self.tests:
            reading = self._readings[path]
            is_named = any(name in text for text in reading.texts)
            if is_named or "ROOT" in reading.names:
                yield path


def _is_test(path: str) -> bool:
    return path.startswith("tests/") and PurePosixPath(path).name.startswith("test_")


def _is_conftest(path: str) -> bool:
    return PurePosixPath(path).name == "conftest.py"


def _is_definition(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def _beside(root: Path, data: str) -> list[str]:
    """The modules of the nearest folder above a file of data that has some."""
    for folder in list(PurePosixPath(data).parents)[:-1]:
        found = sorted((root / folder).glob("*.py"))
        if found:
            return [path.relative_to(root).as_posix() for path in found]
    return []


def tests_of(root: Path, changed: Sequence[str]) -> list[str]:
    """The test files that a change of these files can break, the nearest first; `ALL` where it can break each."""
    if any(path.startswith(GROUND) or _is_conftest(path) for path in changed):
        return ALL
    uses = Uses(root, [path for path in changed if not (root / path).is_file()])
    if uses.ground.intersection(changed):
        return ALL
    nodes: set[str] = set()
    for path in changed:
        nodes |= {*uses.readers(PurePosixPath(path).name)}
        if not path.endswith(".py"):
            nodes |= {*_beside(root, path)}
        if path.endswith(".md") or path.startswith("docs/"):
            nodes |= {test for test in uses.tests if test.startswith(EXAMPLES)}
        if path in uses.plugins.get(PurePosixPath(path).stem, ()):
            nodes |= {test for test in uses.tests if test.startswith(CONTRACTS)}
    steps = uses.broken(changed, nodes)
    broken = steps.keys() & {*uses.tests}
    return sorted(broken, key=lambda test: (steps[test], test in nodes, test))


def changed_files(root: Path) -> list[str]:
    """The files that differ from those of main when the branch left it, by their paths."""
    for main in ("main", "origin/main"):
        base = _git(root, f"merge-base HEAD {main}")
        if base is not None:
            break
    else:
        raise SystemExit(
            "There is no branch 'main' to compare with.\n"
            "  Fetch it by `git fetch origin main:main`, or run ./dev test without --changed."
        )
    differing = _git(root, f"diff --name-only --no-renames -z {base[0]}") or []
    new = _git(root, "ls-files --others --exclude-standard -z") or []
    return sorted({*differing, *new})


def _git(root: Path, line: str) -> list[str] | None:
    """The lines or, after `-z`, the paths that git prints; None if it fails."""
    run = subprocess.run(
        ["git", *line.split()], cwd=root, capture_output=True, text=True, check=False
    )
    return None if run.returncode else re.findall(r"[^\0\n]+", run.stdout)


def main(root: Path = ROOT) -> int:
    """Print the test files, and on the other stream their number; return the exit status."""
    changed = changed_files(root)
    if not changed:
        print("Nothing changed since the branch left main.", file=sys.stderr)
        return 0
    found = tests_of(root, changed)
    files = f"{len(changed)} file{'s' if len(changed) > 1 else ''}"
    total = sum(1 for path in (root / "tests").rglob("test_*.py"))
    few = "every test" if found == ALL else f"{len(found)} of {total} test files"
    print(f"A change of {files} can break {few}.", file=sys.stderr)
    print("\n".join(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
