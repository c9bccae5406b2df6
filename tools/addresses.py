"""Checks that no tracked file contains the address of a package index or a path of one machine."""

import re
import subprocess
from pathlib import Path

from tools.source import ROOT, report

#: Forbidden patterns, with the reasons.
PATTERNS = {
    re.compile(
        r"pypi\.org|pythonhosted\.org|download\.pytorch\.org|anaconda\.org|registry\.npmjs\.org"
        r"|index-ur[l]|find-link[s]"
    ): "an address of a package index: the user's pip knows where its packages come from",
    re.compile(r"(?<![\w.~-])/(?:home|Users|root|work|opt)/\w|\b[A-Z]:\\Users\\"): (
        "a path of one machine: use a path below the repository or an argument"
    ),
}


def faults(root: Path) -> list[str]:
    """The lines of tracked text files with such an address or path."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, check=False, text=True
    )
    if listed.returncode:
        return [f"git cannot list the tracked files of {root.name}: {listed.stderr.strip()}"]
    lines = []
    for name in filter(None, listed.stdout.split("\0")):
        lines += _faults_of(root / name, name)
    return lines


def _faults_of(file: Path, name: str) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (
        UnicodeDecodeError,
        FileNotFoundError,
    ):  # a picture, or a deleted file that is not committed yet
        return []
    return [
        f"{name}:{number}: '{match[0]}' is {why}"
        for number, line in enumerate(lines, 1)
        for pattern, why in PATTERNS.items()
        if (match := pattern.search(line))
    ]


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
