import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tools.extras import pins

ROOT = Path(__file__).resolve().parents[3]
NEEDED = (*("sh", "cat", "cksum", "cp", "dirname", "env", "head", "mkdir", "mktemp", "nice", "rm"),)

OTHERS = ("label-studio", "object-store", "oracles")

#: Stands for python3 and uv: notes each call, and fails at what the variable FAIL names.
FAKE = """#!/bin/sh
echo "${0##*/} $*" >>"$LOG"
case "$*" in *"$FAIL"*) exit 1 ;; esac
for last; do :; done
case "$*" in "-m venv "* | "venv "*) mkdir -p "$last/bin" && cp "$SELF" "$last/bin/python" ;; esac
"""


@pytest.fixture
def dev(plant, tmp_path):
    """Run ./dev in a folder where python3 and git are stand-ins and nothing else is installed."""
    root = plant(
        {"repo/pyproject.toml": "x = 1\n", "repo/constraints.txt": "a==1\n", "bin/python3": FAKE}
    )
    plant({"bin/git": FAKE})
    plant({f"repo/tests/environments/{name}.txt": "b==1\n" for name in OTHERS})
    shutil.copy(ROOT / "dev", root / "repo/dev")
    for name in NEEDED:
        (root / "bin" / name).symlink_to(shutil.which(name))
    for fake in ("python3", "git"):
        (root / "bin" / fake).chmod(0o755)

    def dev(*words, fail="nothing", folder="repo"):
        log = tmp_path / "log"
        log.write_text("")
        environment = {
            "PATH": str(root / "bin"),
            "LOG": str(log),
            "FAIL": fail,
            "SELF": str(root / "bin/python3"),
        }
        command = [str(root / folder / "dev"), *words]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, check=False, text=True
        )
        return done.returncode, done.stderr, log.read_text().splitlines()

    return dev


NEWEST_PIP = "python -m pip install --disable-pip-version-check -q --upgrade pip -c constraints.txt"
TEST = "pytest -n 2 --dist loadfile --no-loadscope-reorder"
INSTALL = (
    "python -m pip install --disable-pip-version-check --no-compile -e .[dev] -c constraints.txt"
)
UPDATE = (
    "python -m pip install --disable-pip-version-check --no-compile -q -e .[dev] -c constraints.txt"
)


def test_the_first_use_makes_the_venv_installs_and_runs(dev):
    status, _, calls = dev("test", "-n0", "tests/unit")
    assert status == 0
    start = calls.index("python3 -m venv .venv")
    assert calls[start : start + 3] == ["python3 -m venv .venv", NEWEST_PIP, INSTALL]
    assert calls[-1] == f"python -m {TEST} -n0 tests/unit"


def test_an_old_pip_does_where_there_is_no_newer_one(dev):
    assert dev("install", fail="--upgrade pip")[0] == 0


def test_the_second_use_starts_at_once(dev):
    dev("test")
    assert dev("check", "ruff") == (0, "", ["python -m tools.check ruff"])


@pytest.mark.parametrize("file", ["pyproject.toml", "constraints.txt"])
def test_a_changed_dependency_is_installed_into_the_same_venv(dev, tmp_path, file):
    dev("test")
    with (tmp_path / "repo" / file).open("a") as changed:
        changed.write("more\n")
    calls = dev("test")[2]
    assert UPDATE in calls
    assert "python3 -m venv .venv" not in calls


def test_a_venv_of_another_folder_is_made_anew(dev, tmp_path):
    dev("test")
    (tmp_path / "repo").rename(tmp_path / "moved")
    assert "python3 -m venv .venv" in dev("test", folder="moved")[2]


@pytest.mark.parametrize(
    ("fail", "sentence"),
    [
        ("version_info", "No Python 3.11 or newer was found: install one"),
        ("ensurepip", "python3 has no venv module: install it"),
        ("pip install", "The installation into .venv failed, see above"),
        ("torchvision", "The torch and torchvision in .venv do not match"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence_and_tried_again_next_time(dev, fail, sentence):
    status, said, _ = dev("test", fail=fail)
    assert status == 1
    assert said.splitlines()[-1].startswith(sentence)
    assert {INSTALL, UPDATE} & set(dev("test")[2])


def test_without_git_nothing_is_made(dev, tmp_path):
    (tmp_path / "bin/git").unlink()
    assert dev("test") == (1, "git was not found: install it and run ./dev again.\n", [])


def test_uv_is_used_where_it_is_installed(dev, tmp_path):
    shutil.copy(tmp_path / "bin/git", tmp_path / "bin/uv")
    calls = dev("test")[2]
    assert calls[:2] == [
        "uv venv --python >=3.11 .venv",
        "uv pip install --python .venv/bin/python -e .[dev] pip -c constraints.txt",
    ]


def test_mutmut_is_installed_when_mutants_are_first_tested(dev):
    install = (
        "python -m pip install --disable-pip-version-check -q -e .[mutation] -c constraints.txt"
    )
    assert dev("mutants", "labelgrid.select", fail="import mutmut")[2][-2:] == [
        install,
        "python -m tools.mutants labelgrid.select",
    ]
    assert install not in dev("mutants")[2]


def test_the_venv_can_be_made_alone(dev):
    status, _, calls = dev("install")
    assert (status, calls[-1]) == (0, "python -c import torchvision")
    assert dev("install") == (0, "", [])


def made(name):
    """The calls that make an environment."""
    return [
        f"python3 -m venv .venv-{name}",
        NEWEST_PIP,
        "python -m pip install --disable-pip-version-check -q --no-compile "
        f"--no-deps -r tests/environments/{name}.txt",
    ]


SERVER = "python -m tests.servers"


def test_label_studio_is_installed_once_and_its_data_are_migrated(dev):
    assert dev("label-studio")[2][-4:] == [*made("label-studio"), SERVER]
    assert dev("label-studio")[2] == [SERVER]


@pytest.mark.parametrize("name", ["object-store", "oracles"])
def test_other_environments_are_made_again_where_their_lists_change(dev, tmp_path, name):
    assert dev(name)[2][-3:] == made(name)
    assert dev(name) == (0, "", [])
    (tmp_path / f"repo/tests/environments/{name}.txt").write_text("b==2\n")
    assert dev(name)[2][-3:] == made(name)


@pytest.mark.parametrize("name", OTHERS)
def test_an_environment_whose_installation_failed_is_made_anew(dev, name):
    status, said, calls = dev(name, fail="--no-deps")
    assert status == 1
    assert f"The installation into .venv-{name} failed, see above" in said
    assert SERVER not in calls
    assert set(made(name)) <= set(dev(name)[2])


def test_uv_makes_the_other_environments_where_it_is_installed(dev, tmp_path):
    shutil.copy(tmp_path / "bin/git", tmp_path / "bin/uv")
    assert dev("oracles")[2] == [
        "uv venv --python >=3.11 .venv-oracles",
        "uv pip install --python .venv-oracles/bin/python --no-deps "
        "-r tests/environments/oracles.txt",
    ]


def test_the_other_environments_need_no_venv(dev, tmp_path):
    """So the gate makes them beside it."""
    assert [dev(name)[0] for name in OTHERS] == [0, 0, 0]
    assert not (tmp_path / "repo/.venv").exists()


@pytest.fixture
def gate(plant, tmp_path):
    """Run .ci/run beside a ./dev that fails in the named commands."""
    dev = '#!/bin/sh\necho "$*"\ncase " $FAIL " in *" $1 "*) exit 1 ;; esac\n'
    plant({"dev": dev, ".ci/run": (ROOT / ".ci/run").read_text()})
    (tmp_path / "dev").chmod(0o755)

    def gate(fail):
        command = ["bash", str(tmp_path / ".ci/run")]
        environment = {**os.environ, "FAIL": fail}
        done = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
        return done.returncode, done.stdout.splitlines()

    return gate


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="files cannot be kept in memory")
@pytest.mark.parametrize(
    ("room", "unused", "used"),
    [(5_000_000, 9_000_000, True), (5_000_000, 7_000_000, False), (3_000_000, 9_000_000, False)],
)
def test_the_gate_checks_and_tests_with_files_in_memory_where_there_is_room_and_removes_them(
    plant, tmp_path, monkeypatch, room, unused, used
):
    monkeypatch.delenv("TMPDIR", raising=False)
    plant({"bin/df": f"#!/bin/sh\necho {room}\n", "bin/awk": f"#!/bin/sh\necho {unused}\n"})
    for name in ("df", "awk"):
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    dev = '#!/bin/sh\necho "$1 ${TMPDIR-}"\n[ -z "${TMPDIR-}" ] || stat -c "mode %a" "$TMPDIR"\n'
    plant({"dev": dev, ".ci/run": (ROOT / ".ci/run").read_text()})
    (tmp_path / "dev").chmod(0o755)
    command = ["bash", str(tmp_path / ".ci/run")]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    places = dict(line.split(" ", 1) for line in said)
    assert places["test"] == places["check"] and not places["install"]
    if not used:
        assert not places["test"]
        return
    assert places["test"].startswith("/dev/shm/")
    assert places["mode"] == "1777"  # as /tmp: the database's servers run as another user
    assert not Path(places["test"]).exists()


@pytest.mark.parametrize("fail", ["", "check", "wheel", "test", "check test"])
def test_the_gate_runs_all_parts_with_the_tests_last_and_fails_when_one_does(gate, fail):
    tests = "test --with servers -n 3 --only-known-skips --ignore=tests/docs"
    parts = ["install", "check", "servers", "wheel --try", tests]
    assert gate(fail) == (int(bool(fail)), parts)


def test_the_tests_of_the_gate_wait_for_servers_and_not_for_the_checks(plant, tmp_path):
    dev = """#!/bin/sh
case $1 in
    servers) sleep 0.5; touch installed ;;
    check) until [ -e tested ]; do sleep 0.1; done; echo checked ;;
    test) [ -e installed ] && touch tested && echo tested ;;
esac
"""
    plant({"dev": dev, ".ci/run": (ROOT / ".ci/run").read_text()})
    (tmp_path / "dev").chmod(0o755)
    command = ["bash", str(tmp_path / ".ci/run")]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["checked", "tested"]


#: What the stand-ins fail at, and what is said then.
UNINSTALLED = {
    ".venv-label-studio": "Label Studio could not be installed: the tests that need it are skipped.",
    ".venv-object-store": "The object store could not be installed: the tests that need it are skipped.",
    ".venv-oracles": "The tools' own libraries could not be installed: the tests that need them are skipped.",
    "chromium": "Chromium could not be installed: the tests that drive it are skipped.",
}


@pytest.fixture
def with_apt(plant, tmp_path):
    """A stand-in for apt-get; what it installs is never there."""
    plant({"bin/apt-get": FAKE, "bin/ls": "#!/bin/sh\nexit 1\n"})
    for name in ("apt-get", "ls"):
        (tmp_path / "bin" / name).chmod(0o755)


def test_tests_with_servers_install_them_all_first(dev, with_apt):
    status, _, calls = dev("test", "--with", "servers", "-n0", "tests/unit")
    assert status == 0
    for name in OTHERS:
        assert set(made(name)) <= set(calls)
    for package in ("chromium", "postgresql"):
        assert f"apt-get install -y --no-install-recommends {package}" in calls
    assert calls[-1] == f"python -m {TEST} -n0 tests/unit"
    again = dev("test", "--with", "servers")[2]
    assert not [call for call in again if "venv" in call]  # what is there is kept


@pytest.mark.parametrize("fail", UNINSTALLED)
def test_tests_with_servers_go_on_where_one_cannot_be_installed(dev, with_apt, fail):
    status, said, calls = dev("test", "--with", "servers", fail=fail)
    assert (status, calls[-1]) == (0, f"python -m {TEST}")
    assert UNINSTALLED[fail] in said


#: Stands for the environment's Python: prints what `tools.changed` would, and notes pytest's words.
CHOOSING = """#!/bin/sh
case "$*" in
    "-m tools.changed") [ -z "$FAIL" ] || exit 3; printf '%s\\n' $CHOSEN ;;
    *) echo "$*" >>"$LOG" ;;
esac
"""


@pytest.mark.parametrize(
    ("chosen", "fail", "status", "calls"),
    [
        ("tests/a.py tests/b.py", "", 0, [f"-m {TEST} tests/a.py tests/b.py -x"]),
        ("", "", 0, []),
        ("", "x", 3, []),
    ],
)
def test_the_tests_that_a_change_can_break_are_run(dev, tmp_path, chosen, fail, status, calls):
    dev("install")
    (tmp_path / "repo/.venv/bin/python").write_text(CHOOSING)
    log = tmp_path / "log"
    log.write_text("")
    environment = {
        "PATH": str(tmp_path / "bin"),
        "LOG": str(log),
        "FAIL": fail,
        "CHOSEN": chosen,
    }
    command = [str(tmp_path / "repo/dev"), "test", "--changed", "-x"]
    done = subprocess.run(command, env=environment, check=False)
    assert done.returncode == status
    assert log.read_text().splitlines() == calls


def test_there_are_tests_with_servers_alone(dev):
    assert dev("test", "--with", "mirrors") == (1, "There is only ./dev test --with servers.\n", [])


def test_the_gate_ends_when_the_installation_fails(gate):
    assert gate("install") == (1, ["install"])


@pytest.mark.parametrize("words", [(), ("demolish",)])
def test_wrong_usage_shows_the_usage_and_installs_nothing(dev, words):
    status, said, calls = dev(*words)
    assert status == 2
    assert "usage: ./dev COMMAND" in said
    assert calls == []


def test_the_script_is_plain_sh_and_executable():
    assert (ROOT / "dev").read_text().startswith("#!/bin/sh\n")
    assert os.access(ROOT / "dev", os.X_OK)
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_the_constraints_name_one_release_of_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {
        re.match(r"[\w.-]+", text)[0]
        for text in (*project["dependencies"], *extras["dev"], *extras["mutation"])
    }
    known = pins((ROOT / "constraints.txt").read_text()).keys()
    assert {canonicalize_name(name) for name in wanted} - {"labelgrid"} <= known


def test_the_wheel_that_users_install_is_built_or_tried(dev):
    assert dev("wheel")[2][-1] == "python -m tools.wheel"
    assert dev("wheel", "--try")[2][-1] == "python -m tools.wheel --try"
