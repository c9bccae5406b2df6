import subprocess

import pytest

from tools.addresses import faults


@pytest.fixture
def track(plant):
    def track(files):
        root = plant(files)
        for words in (["init", "-q"], ["add", "."]):
            subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)
        return root

    return track


@pytest.mark.parametrize(
    "line",
    [
        "pip install --index" + "-url x",
        "see " + "pypi" + ".org",
        "PIP_FIND" + "_LINKS --find" + "-links=x",
    ],
)
def test_an_address_of_a_package_index_is_found(track, line):
    found = faults(track({"dev": f"#!/bin/sh\n{line}\n"}))
    assert len(found) == 1
    assert found[0].startswith("dev:2: ")
    assert "package index" in found[0]


@pytest.mark.parametrize(
    "path", ["/ho" + "me/ada/data", "/ro" + "ot/x", "/wo" + "rk/x", "C:" + "\\Users\\ada"]
)
def test_a_path_of_one_machine_is_found(track, path):
    found = faults(track({"docs/a.md": f"Look into {path}.\n"}))
    assert len(found) == 1
    assert "path of one machine" in found[0]


def test_paths_below_the_repository_and_beside_it_are_none(track):
    assert faults(track({"a.md": "../wo" + "rk/x and src/ho" + "me/x and ~/ho" + "me/x\n"})) == []


def test_untracked_files_and_pictures_are_not_read(track):
    root = track({"a.md": "fine\n"})
    (root / "notes.md").write_text("/ro" + "ot/x")
    (root / "picture.png").write_bytes(b"\x89PNG\xff\xfe/ro" + b"ot/x")
    subprocess.run(["git", "add", "picture.png"], cwd=root, check=True)
    assert faults(root) == []


def test_a_folder_that_is_no_checkout_is_a_fault(plant, tmp_path):
    found = faults(plant({"a.md": "fine\n"}))
    assert len(found) == 1
    assert found[0].startswith(f"git cannot list the tracked files of {tmp_path.name}: ")
