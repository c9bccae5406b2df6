"""`--only-known-skips`: a run fails if a test was skipped for a reason that is not in the list here.

A test that is skipped for another reason, such as a package that is not installed, looks like one that passed.
"""

import re

import pytest

#: What a machine may lack, or have, as the reasons of skipped tests say it.
KNOWN = (
    "the real NYUv2 frames are not in",
    "Label Studio is not installed",
    "the object store is not installed",
    "the tools' own libraries are not installed",
    "Chromium is not installed",
    "PostgreSQL is not installed",
    "Ray is not installed",
    "this file system takes Unicode names alone",
    "this system does not allow a test to mount a disk",
    "root cannot drop its capability",
    "named pipes",
    "measures peak memory with Linux's /proc",
    "peak memory is read from /proc",
    "there is such a device here",
    "files cannot be kept in memory",
    "there is a GPU",
    "got empty parameter set for",  # a law of plug-ins of a sort that the package has none of
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    text = "fail if a test is skipped for a reason that tests/skips.py does not know"
    parser.addoption("--only-known-skips", action="store_true", help=text)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run."""
    if unknown(session.config) and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(config: pytest.Config) -> None:
    """Say why the run failed."""
    for reason in unknown(config):
        config.get_terminal_writer().line(f"Failed: no test may be skipped for '{reason}'.")


def unknown(config: pytest.Config) -> list[str]:
    """The reasons of the skipped tests that are not known; none without the option."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not config.getoption("--only-known-skips"):
        return []
    reasons = {report.longrepr[2] for report in reporter.stats.get("skipped", ())}
    return sorted(reason for reason in reasons if not re.search("|".join(KNOWN), reason))
