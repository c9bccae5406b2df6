import sys
import sysconfig
from importlib.metadata import Distribution
from importlib.util import cache_from_source
from pathlib import Path
from zipfile import ZipFile

from tests.docs import preloaded
from tools import wheel
from tools.wheel import COMMANDS, SCORED, failures, link, prepare, required


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_command_that_fails_and_a_developers_tool_are_named(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "work").mkdir()
    program(programs / "python", "exit 0")  # imports whatever it is asked for
    program(programs / "labelgrid", '[ "$1" != status ] || { echo no ledger >&2; exit 3; }')
    assert failures(programs, tmp_path / "work") == [
        "the environment has pytest, a developers' tool",
        "`labelgrid status project --json` exits with 3: no ledger",
    ]


def test_the_commands_work_with_the_code_as_it_is(tmp_path, monkeypatch):
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "work").mkdir()
    python = str(preloaded.folder() / "python")
    program(programs / "python", "exit 1")
    program(programs / "labelgrid", f'exec {python} -m labelgrid "$@"')
    monkeypatch.setattr(sys, "executable", python)
    monkeypatch.setenv(preloaded.LOADS_LABELGRID, "yes")
    prepare(tmp_path / "work")
    assert failures(programs, tmp_path / "work") == []
    assert failures(programs, tmp_path / "work", SCORED) == []
    assert (tmp_path / "work/report.html").stat().st_size > 1000
    assert (tmp_path / "work/scored.html").stat().st_size > 1000
    assert len(COMMANDS) == 9 and len(SCORED) == 2


def test_a_command_gets_modules_that_the_environment_lacks(tmp_path):
    program(tmp_path / "python", "exit 1")
    program(tmp_path / "labelgrid", f'[ "$PYTHONPATH" = {tmp_path}/more ]')
    assert failures(tmp_path, tmp_path, ["list"], modules=tmp_path / "more") == []
    assert len(failures(tmp_path, tmp_path, ["list"])) == 1


def test_megabytes_are_those_of_the_disk_with_all_modules_compiled(tmp_path, monkeypatch):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/a.so").write_bytes(b"a" * 2**21)
    assert wheel.megabytes(tmp_path) == 2
    (tmp_path / "lib/a.py").write_bytes(b"a" * 2**20)
    (tmp_path / "lib/a.pyc").write_bytes(b"a" * 2**20)
    (tmp_path / "lib64").symlink_to("lib")
    assert wheel.megabytes(tmp_path) == 5  # 2 + 1 * 2.3, rounded up
    monkeypatch.setattr(wheel.extras, "LOADS", {"x": "", "lib": ""})
    assert wheel.sizes(5, tmp_path).endswith(
        "has 5 MB, without pip; extras add, in MB: [lib] 5, [x] 0."
    )


def test_a_base_install_beyond_the_bar_is_a_fault():
    assert wheel.too_large(wheel.LARGEST) == []
    (fault,) = wheel.too_large(790)
    assert fault.startswith("the base install has 790 MB, more than 650")


def test_the_newest_wheel_is_returned(tmp_path, monkeypatch):
    def fake(command, cwd, check):
        (Path(command[-1]) / "labelgrid-0.1.0-py3-none-any.whl").touch()

    monkeypatch.setattr(wheel.subprocess, "run", fake)
    assert wheel.build(tmp_path).name == "labelgrid-0.1.0-py3-none-any.whl"


def test_what_a_wheel_asks_for_is_found_without_its_extras_and_what_is_not_installed(tmp_path):
    lines = ("packaging>=20", "no-such-package-anywhere", 'pytest; extra == "dev"')
    asked = "".join(f"Requires-Dist: {line}\n" for line in lines)
    with ZipFile(tmp_path / "a-1-py3-none-any.whl", "w") as file:
        file.writestr("a-1.dist-info/METADATA", f"Metadata-Version: 2.1\nName: a\n{asked}")
    found = required(tmp_path / "a-1-py3-none-any.whl")
    assert [package.name for package in found] == ["packaging"]


def test_an_extra_that_a_package_asks_for_counts(tmp_path):
    line = 'Requires-Dist: iniconfig; extra == "sorted"'
    (tmp_path / "b-1.dist-info").mkdir()
    (tmp_path / "b-1.dist-info/METADATA").write_text(f"Metadata-Version: 2.1\nName: b\n{line}\n")
    package = Distribution.at(tmp_path / "b-1.dist-info")
    assert not list(wheel.asked(package, set()))
    assert [asked.name for asked in wheel.asked(package, {"sorted"})] == ["iniconfig"]


def test_a_package_is_linked_without_its_programs(plant, tmp_path):
    names = ("c/__init__.py", "../bin/c", "c-1.dist-info/METADATA")
    plant({f"from/lib/{name}": name for name in names})
    compiled = Path(cache_from_source(str(tmp_path / "from/lib/c/__init__.py")))
    plant({compiled: "compiled"})
    (tmp_path / "from/lib/c-1.dist-info/RECORD").write_text(
        "".join(f"{name},,\n" for name in names)
    )
    link(Distribution.at(tmp_path / "from/lib/c-1.dist-info"), tmp_path / "to")
    base = {"base": str(tmp_path / "to"), "platbase": str(tmp_path / "to")}
    modules = Path(sysconfig.get_path("purelib", "venv", base))
    assert (modules / "c/__init__.py").samefile(tmp_path / "from/lib/c/__init__.py")
    files = {file.name for file in (tmp_path / "to").rglob("*") if file.is_file()}
    assert files == {"__init__.py", compiled.name, "METADATA"}
    assert (modules / "c/__pycache__" / compiled.name).samefile(compiled)


def test_an_extra_is_tried_with_what_it_asks_for_alone(plant, tmp_path, monkeypatch):
    for name in ("base_of_it", "first_more", "second_more"):
        about = f"here/{name}-1.dist-info"
        files = (f"{name}.py", f"{name}-1.dist-info/METADATA", f"{name}-1.dist-info/RECORD")
        record = "".join(f"{file},,\n" for file in files)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
        plant({f"here/{name}.py": "", f"{about}/METADATA": metadata, f"{about}/RECORD": record})
    monkeypatch.syspath_prepend(tmp_path / "here")
    lines = ["Metadata-Version: 2.1", "Name: a", "Version: 1", "Requires-Dist: base_of_it"]
    lines += ["Provides-Extra: x", "Requires-Dist: first_more; extra == 'x'"]
    lines += ["Provides-Extra: y", "Requires-Dist: second_more; extra == 'y'"]
    with ZipFile(tmp_path / "a-1-py3-none-any.whl", "w") as file:
        file.writestr("a-1.dist-info/METADATA", "\n".join(lines) + "\n")
    (tmp_path / "bin").mkdir()
    program(tmp_path / "bin/python", f'exec {sys.executable} -S "$@"')  # has no packages itself
    loads = {"x": "import first_more", "y": "import second_more, first_more"}
    monkeypatch.setattr(wheel.extras, "LOADS", loads)
    path = tmp_path / "a-1-py3-none-any.whl"
    (fault,) = wheel.unloaded(path, tmp_path / "bin", tmp_path, more=tmp_path / "alone")
    assert fault.startswith("with the extra 'y' alone") and fault.endswith("'first_more'")
    assert not list((tmp_path / "alone").rglob("base_of_it.py"))  # the environment has it
