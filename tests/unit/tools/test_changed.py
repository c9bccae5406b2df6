import subprocess
from pathlib import Path

import pytest

from tools import changed
from tools.changed import ALL, changed_files, main
from tools.source import ROOT

FILES = {
    "src/labelgrid/__init__.py": '_NAMES = {"Low": "labelgrid.basics.low"}\n',
    "src/labelgrid/basics/__init__.py": "",
    "src/labelgrid/basics/low.py": "VALUE = 1\n",
    "src/labelgrid/basics/plugins.py": "",
    "src/labelgrid/middle.py": "def f():\n    from labelgrid.basics import low\n    return low\n",
    "src/labelgrid/page.html": "",
    "src/labelgrid/ledger/migrations/versions/0001_first.py": "",
    "src/labelgrid/apart.py": '"""Says nothing of labelgrid.middle."""\n',
    "src/labelgrid/cli.py": "import labelgrid.middle\n",
    "src/labelgrid/select/strategies/margin.py": "",
    "src/labelgrid/select/strategies/entropy.py": "",
    "src/labelgrid/nets/networks/deep.py": "",
    "src/labelgrid/recipes/small.toml": 'network = "deep"\n[simulate]\nstrategy = "margin"\n',
    "src/labelgrid/recipes/resolve.py": "",
    "tests/conftest.py": "import pytest\nfrom tests.made import make\n@pytest.fixture\ndef made():\n    return make()\n",
    "tests/made.py": "",
    "tests/helper.py": "from labelgrid.middle import f\n",
    "tests/unit/conftest.py": "import pytest\n@pytest.fixture\ndef page():\n    from labelgrid import middle\n    return middle\n",
    "tests/unit/test_low.py": "from labelgrid.basics.low import VALUE\n",
    "tests/unit/test_middle.py": "from tests.helper import f\n",
    "tests/unit/test_apart.py": "import labelgrid.apart\n",
    "tests/unit/test_face.py": "import labelgrid\n",
    "tests/unit/test_code.py": 'RUN = "from labelgrid.middle import f; f()"\n',
    "tests/unit/test_command.py": 'WORDS = ["-m", "labelgrid", "init"]\n',
    "tests/unit/test_fixture.py": "def test_a(page):\n    assert page\n",
    "tests/unit/test_margin.py": 'LINE = "query project --strategy margin"\n',
    "tests/unit/test_resolve.py": "from labelgrid.recipes import resolve\n",
    "tests/unit/test_whole.py": "from tools.source import ROOT\nprint(list(ROOT))\n".replace("list(ROOT)", "f(ROOT)"),
    "tests/unit/test_place.py": "from tools.source import ROOT\nrun(['python'], cwd=ROOT)\n",
    "tests/unit/test_labels_page.py": 'from tools.source import ROOT\nTEXT = (ROOT / "docs/labels.md").read_text()\n',
    "tests/unit/data.toml": "",
    "tests/contracts/test_strategies.py": "",
    "tests/docs/test_markdown.py": "",
    "tests/browser/test_site.py": "from tools.source import ROOT\nbuild(cwd=ROOT)\n",
    "tools/source.py": "",
    "docs/labels.md": "",
    "docs/other.md": "",
    "pyproject.toml": "",
    "dev": "",
}  # fmt: skip


@pytest.fixture
def broken(plant):
    """Which of the tests above can a change of a file break, without the folder and `test_`?"""
    root = plant(FILES)

    def broken(*files: str) -> set[str]:
        return {Path(name).stem.removeprefix("test_") for name in changed.tests_of(root, files)}

    return broken


#: The tests that depend on every module: they read the whole repository.
WHOLE = {"whole"}


def test_a_module_breaks_what_imports_it_directly_later_or_through_others(broken) -> None:
    assert broken("src/labelgrid/middle.py") == {
        *("middle", "code", "command", "fixture"),
        *WHOLE,
    }
    assert broken("src/labelgrid/apart.py") == {"apart"} | WHOLE
    assert broken("tests/helper.py") == {"middle"} | WHOLE
    assert broken("tests/unit/test_low.py") == {"low"} | WHOLE


def test_a_module_below_breaks_what_takes_it_from_the_public_face(broken) -> None:
    assert broken("src/labelgrid/basics/low.py") == {
        *("low", "middle", "code", "command", "fixture", "face"),
        *WHOLE,
    }


def test_a_package_breaks_what_imports_any_of_its_modules(broken) -> None:
    assert "low" in broken("src/labelgrid/basics/__init__.py")
    assert broken("src/labelgrid/__init__.py") >= {"low", "middle", "apart", "face"}


def test_a_plug_in_breaks_what_names_it_and_its_contract(broken) -> None:
    assert broken("src/labelgrid/select/strategies/margin.py") == {
        *("margin", "strategies"),
        *WHOLE,
    }
    assert broken("src/labelgrid/nets/networks/deep.py") == {"resolve", "strategies"} | WHOLE
    assert broken("src/labelgrid/select/strategies/entropy.py") == {"strategies"} | WHOLE


def test_a_migration_breaks_all_since_it_is_found_by_its_path(plant) -> None:
    root = plant(FILES)
    assert changed.tests_of(root, ["src/labelgrid/ledger/migrations/versions/0001_first.py"]) == ALL


def test_a_file_of_data_breaks_what_its_package_breaks(broken) -> None:
    assert broken("src/labelgrid/recipes/small.toml") == {"resolve"} | WHOLE
    assert broken("src/labelgrid/page.html") >= {"middle", "apart"}
    assert "low" in broken("tests/unit/data.toml")


def test_a_page_breaks_the_examples_the_site_and_who_reads_it(broken) -> None:
    assert broken("docs/labels.md") == {"markdown", "site", "labels_page"} | WHOLE
    assert broken("docs/other.md") == {"markdown", "site"} | WHOLE


def test_who_only_runs_in_the_repository_s_folder_does_not_read_all_of_it(broken) -> None:
    assert broken("tests/unit/test_place.py") == {"place"} | WHOLE
    assert "place" not in broken("docs/other.md")


def test_the_nearest_tests_come_first(plant) -> None:
    found = changed.tests_of(plant(FILES), ["src/labelgrid/basics/low.py"])
    assert found[0] == "tests/unit/test_low.py"
    assert found.index("tests/unit/test_code.py") < found.index("tests/unit/test_middle.py")


def test_those_that_import_it_come_before_those_of_its_folder(plant) -> None:
    found = changed.tests_of(plant(FILES), ["src/labelgrid/select/strategies/margin.py"])
    assert found[0] == "tests/unit/test_margin.py"


@pytest.mark.parametrize(
    "file",
    [
        *("tests/conftest.py", "tests/made.py", "tools/source.py", "pyproject.toml", "dev"),
        *("constraints.txt", "tests/unit/conftest.py", ".ci/run"),
    ],
)
def test_what_all_tests_stand_on_breaks_them_all(plant, file) -> None:
    assert changed.tests_of(plant(FILES), [file]) == ALL


def test_a_module_that_is_gone_breaks_what_imported_it(plant) -> None:
    root = plant(FILES)
    (root / "src/labelgrid/apart.py").unlink()
    assert "tests/unit/test_apart.py" in changed.tests_of(root, ["src/labelgrid/apart.py"])
    (root / "tests/unit/test_low.py").unlink()
    assert "tests/unit/test_low.py" not in changed.tests_of(root, ["tests/unit/test_low.py"])


def git(root: Path, *words: str) -> None:
    name = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *name, *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def repository(plant) -> Path:
    root = plant(FILES)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-qm", "a")
    return root


def test_what_changed_is_in_commits_of_the_branch_and_in_files_that_are_in_none(
    repository: Path,
) -> None:
    assert changed_files(repository) == []
    git(repository, "checkout", "-qb", "branch")
    (repository / "src/labelgrid/apart.py").write_text("A = 1\n")
    git(repository, "commit", "-qam", "b")
    git(repository, "checkout", "-q", "main")
    (repository / "src/labelgrid/cli.py").write_text("")  # main went on
    git(repository, "commit", "-qam", "c")
    git(repository, "checkout", "-q", "branch")
    (repository / "src/labelgrid/middle.py").unlink()
    (repository / "new file.py").write_text("")
    assert changed_files(repository) == [
        *("new file.py", "src/labelgrid/apart.py", "src/labelgrid/middle.py"),
    ]


def test_a_branch_without_main_says_so(repository: Path) -> None:
    git(repository, "branch", "-m", "trunk")
    with pytest.raises(SystemExit, match=r"no branch 'main'.*\n.*git fetch origin main"):
        changed_files(repository)


def test_the_test_files_are_printed_and_counted(repository: Path, capsys) -> None:
    assert main(repository) == 0
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err == "Nothing changed since the branch left main.\n"
    (repository / "src/labelgrid/apart.py").write_text("A = 1\n")
    assert main(repository) == 0
    printed = capsys.readouterr()
    assert printed.out.split() == ["tests/unit/test_apart.py", "tests/unit/test_whole.py"]
    assert printed.err == "A change of 1 file can break 2 of 15 test files.\n"
    (repository / "pyproject.toml").write_text("a = 1\n")
    assert main(repository) == 0
    printed = capsys.readouterr()
    assert printed.out == "tests\n" and "can break every test" in printed.err


def test_of_this_repository_a_module_breaks_its_own_tests_and_not_all() -> None:
    uses = changed.Uses(ROOT)
    found = uses.broken({"src/labelgrid/drawings/dots.py"})
    assert "tests/unit/drawings/test_dots.py" in found
    assert "tests/unit/annotate/test_manifest.py" not in found
    found = uses.broken({"src/labelgrid/ledger/moves.py"})
    assert {"tests/unit/ledger/test_moves.py", "tests/e2e/test_live.py"} <= found.keys()
    assert "tests/unit/pixel/test_losses.py" not in found
