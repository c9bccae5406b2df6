import sys
import tomllib
from zipfile import ZipFile

import pytest

from tools import extras


def report(**releases):
    rows = [{"metadata": {"name": name, "version": release}} for name, release in releases.items()]
    return {"install": rows}


@pytest.fixture
def wheel(tmp_path):
    """A wheel with two extras."""
    path = tmp_path / "a-1-py3-none-any.whl"
    lines = ["Metadata-Version: 2.1", "Name: a", "Version: 1", "Provides-Extra: x"]
    lines += ["Provides-Extra: y", "Requires-Dist: iniconfig; extra == 'y'"]
    with ZipFile(path, "w") as file:
        file.writestr("a-1.dist-info/METADATA", "\n".join(lines) + "\n")
        file.writestr("a-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr("a-1.dist-info/RECORD", "")
    return path


def test_the_extras_of_a_wheel_are_read(wheel):
    assert extras.extras_of(wheel) == ["x", "y"]


def test_what_would_be_installed_in_another_release_than_pinned_is_named():
    pins = extras.pins("# pins\na-b==1.0\nC_d==2\n")
    assert pins == {"a-b": "1.0", "c-d": "2"}
    assert extras.unpinned(report(A_b="1.0", **{"c.d": "2"}, labelgrid="9"), pins) == []
    assert extras.unpinned(report(a_b="0.9", e="1"), pins) == [
        "a-b 0.9 is asked for and not pinned in constraints.txt",
        "e 1 is asked for and not pinned in constraints.txt",
    ]


def test_pip_is_asked_for_all_extras_and_a_conflict_is_said(wheel, tmp_path, monkeypatch):
    program = tmp_path / "pip.py"
    pip = [sys.executable, str(program)]
    program.write_text(
        "import sys\n"
        "assert sys.argv[-1].endswith('.whl[x,y]') and '--dry-run' in sys.argv\n"
        'print(\'{"install": [{"metadata": {"name": "new", "version": "1"}}]}\')\n'
    )
    assert extras.conflicts(pip, wheel) == ["new 1 is asked for and not pinned in constraints.txt"]
    program.write_text("raise SystemExit('ResolutionImpossible')")
    (fault,) = extras.conflicts(pip, wheel)
    assert fault.endswith("do not go together: ResolutionImpossible")
    monkeypatch.setattr(extras, "LONGEST", 1)
    program.write_text("import time\ntime.sleep(60)")
    (fault,) = extras.conflicts(pip, wheel)
    assert fault.endswith("pip found no way in 1 s")


def test_a_command_that_does_not_name_its_extra_is_told(tmp_path):
    program = tmp_path / "labelgrid"
    names = " ".join(extra for extra in extras.USES if extra != "lab")
    program.write_text(
        "#!/bin/sh\n[ $1 = scenes ] && exit 0\n"
        f"for name in {names}; do echo \"pip install 'labelgrid[$name]'\" >&2; done\nexit 1\n"
    )
    program.chmod(0o755)
    (fault,) = extras.unsaid(tmp_path, tmp_path)
    assert fault.startswith("`labelgrid scenes rooms --count 1` does not name the extra 'lab'")


def test_an_extra_of_which_nobody_says_what_it_loads_is_named(wheel, monkeypatch):
    monkeypatch.setattr(extras, "LOADS", {"x": ""})
    assert extras.untried(wheel) == ["tools/extras.py does not say what the extra 'y' loads"]
    monkeypatch.setattr(extras, "DEVELOPERS", ("y",))
    assert extras.untried(wheel) == []


def test_every_extra_for_users_is_tried_without_and_alone():
    table = tomllib.loads((extras.ROOT / "pyproject.toml").read_text())
    users = set(table["project"]["optional-dependencies"]) - set(extras.DEVELOPERS)
    assert set(extras.LOADS) == users and set(extras.USES) <= users


def test_what_an_extra_cannot_load_from_its_own_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "LOADS", {"x": "import found_here_alone; open('found')"})
    (tmp_path / "python").symlink_to(sys.executable)

    def faults():
        return extras.unloaded(tmp_path, tmp_path, "x", modules=tmp_path / "modules")

    (fault,) = faults()
    assert fault.startswith("with the extra 'x' alone, `import found_here_alone; open('found')`")
    assert fault.endswith("No module named 'found_here_alone'")
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/found_here_alone.py").touch()
    (fault,) = faults()
    assert fault.endswith("No such file or directory: 'found'")
    (tmp_path / "found").touch()
    assert faults() == []
