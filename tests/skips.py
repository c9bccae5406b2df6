"""Says at the end of a run which tests were skipped, and which command installs what they need.

`--only-known-skips`: a run fails if a test was skipped for a reason that is not in the list here.

A test that is skipped for another reason, such as a package that is not installed, looks like one that passed.
"""

import re
from collections.abc import Generator, Sequence

import pytest

from labelgrid.basics.words import count_text

#: What `./dev servers` installs, as the reasons of skipped tests say it, and the command for it alone.
INSTALLED = {
    "Label Studio is not installed": "./dev label-studio",
    "the object store is not installed": "./dev object-store",
    "the tools' own libraries are not installed": "./dev oracles",
    "Chromium is not installed": "./dev browser",
    "PostgreSQL is not installed": "./dev postgres",
}
ALL = "./dev test --with servers"
#: What a machine may lack, or have, as the reasons of skipped tests say it.
KNOWN = (
    *INSTALLED,
    "the real NYUv2 frames are not in",
    "the real networks are not in",
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


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(config: pytest.Config) -> Generator[None, None, None]:
    """Say last what was skipped, what installs that, and why the run failed."""
    yield
    for line in advice(skipped(config)):
        config.get_terminal_writer().line(line)
    for reason in unknown(config):
        config.get_terminal_writer().line(f"Failed: no test may be skipped for '{reason}'.")


def unknown(config: pytest.Config) -> list[str]:
    """The reasons of the skipped tests that are not known; none without the option."""
    if not config.getoption("--only-known-skips"):
        return []
    known = re.compile("|".join(KNOWN))
    return sorted({reason for reason in skipped(config) if not known.search(reason)})


def skipped(config: pytest.Config) -> list[str]:
    """The reasons of the skipped tests, one each."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return []
    return [report.longrepr[2] for report in reporter.stats.get("skipped", ())]


def advice(reasons: Sequence[str]) -> list[str]:
    """What was skipped for want of what can be installed, and the commands that do so."""
    lines = []
    for absent, command in INSTALLED.items():
        count = sum(absent in reason for reason in reasons)
        if count:
            lines.append(f"Skipped: {count_text(count, 'test')}, as {absent}: {command}")
    if lines:
        lines.append(f"All of these: {ALL}")
    return lines
