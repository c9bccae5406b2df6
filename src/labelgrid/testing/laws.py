"""Holds a plug-in to the laws of its sort, and reports the outcome of each law."""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from labelgrid.basics import plugins
from labelgrid.basics.errors import LabelgridError, PluginError, UsageError
from labelgrid.basics.files import of_system

Law = Callable[[Any], None]
#: Blocks imports of torch and records attempts, even if the caller catches the error.
WATCH = """
import importlib, sys
class Watch:
    blocked = ("torch",)
    asked = ""
    def find_spec(self, name, path=None, target=None):
        package = name.partition(".")[0]
        if package in Watch.blocked:
            Watch.asked = package
            raise ImportError(f"{package} is not for here")
sys.meta_path.insert(0, Watch())
"""
#: Prints the options of a plug-in, which are found where torch cannot be imported.
OPTIONS_ALONE = f"""{WATCH}
import json
from labelgrid.basics import plugins
from labelgrid.testing.laws import shown_options
print(json.dumps(shown_options(plugins.options_class(*sys.argv[1:]))))
sys.exit("torch was asked for" if Watch.asked else 0)
"""
#: The sorts whose plug-ins are built from options.
WITH_OPTIONS = (
    *("relations", "networks", "balance", "terms", "statistics", "strategies", "makers"),
    *("partitions", "analyses"),
)


class NotForItError(Exception):
    """A law does not apply to a plug-in; the message says why."""


class UntoldError(PluginError):
    """The laws lack a value that only the plug-in's author knows."""


@dataclass(frozen=True)
class Subject:
    """A plug-in that is held to laws.

    Args:
        folder: the sort, such as "strategies".
        name: the plug-in's name, or "package.module:object".
        told: a module that tells the laws what the plug-in does not say, such as how somebody
            answers a request; None: the plug-in's own.
    """

    folder: str
    name: str
    told: object = None

    def says(self, attribute: str, default: Any = None) -> Any:
        """What the author tells the laws under a name."""
        source = self.told or plugins.module(self.folder, self.name)
        return getattr(source, attribute, default)

    def demand(self, attribute: str, why: str) -> Any:
        """Return what the laws cannot do without.

        Raises:
            UntoldError: nobody says it.
        """
        value = self.says(attribute)
        if value is None:
            raise UntoldError(
                f"No law can hold for '{self.name}': its module has no `{attribute}`, {why}.",
                next_step="Write it there, or in a module that --with names; see "
                "docs/how-to/own-plugin.md.",
                unchanged="Nothing was checked.",
            )
        return value


@dataclass(frozen=True)
class LawOutcome:
    """Whether a plug-in keeps a law.

    Args:
        law: its name, a sentence with underscores.
        state: "idle": the law says nothing about this plug-in.
        message: what was expected and found, or why the law is idle; "" if it passed.
    """

    law: str
    state: Literal["passed", "failed", "idle"]
    message: str = ""


def expect(condition: object, message: str) -> None:
    """Raise AssertionError with what was expected of the plug-in's author."""
    if not condition:
        raise AssertionError(message)


def shown_options(options: type[Any]) -> list[list[str]]:
    """The fields of options with their types and defaults."""
    is_frozen = is_dataclass(options) and vars(options)["__dataclass_params__"].frozen
    expect(
        is_frozen,
        f"`Options` must be a frozen dataclass, empty if need be; it is {options!r}.",
    )
    return [[field.name, str(field.type), repr(_default(field))] for field in fields(options)]


def _default(field: "Field[Any]") -> object:
    """The default, of whichever sort; the marker of a missing one has another address each time."""
    if field.default_factory is not MISSING:
        return field.default_factory()
    return "none" if field.default is MISSING else field.default


def run_alone(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run code in a separate Python process with the same import path."""
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        check=False,
        text=True,
    )


def a_list_can_say_what_it_is(subject: Subject) -> None:
    text = plugins.module(subject.folder, subject.name).__doc__ or ""
    expect(
        text.strip().partition("\n")[0].endswith("."),
        f"The module of '{subject.name}' must begin with a docstring whose first line is a "
        f"sentence, which `labelgrid list` shows; it begins with {text[:60]!r}.",
    )


def its_options_need_no_torch(subject: Subject) -> None:
    if subject.folder not in WITH_OPTIONS:
        raise NotForItError("this sort takes no table of options")
    ended = run_alone(OPTIONS_ALONE, subject.folder, subject.name)
    expect(
        ended.returncode == 0,
        f"The `Options` of '{subject.name}' must be found without torch, since commands check "
        f"them first; that ended with {ended.returncode}: {ended.stderr.strip()[-400:]} Move "
        "what `Options` uses out of reach of torch.",
    )
    alone = json.loads(ended.stdout)
    whole = shown_options(plugins.module(subject.folder, subject.name).Options)
    expect(
        alone == whole,
        f"The `Options` of '{subject.name}' must be the same whether its whole module runs or "
        f"what they refer to alone; they are {whole} and {alone}. Do not change at import what "
        "they use.",
    )


#: The laws of every sort.
OF_ALL: tuple[Law, ...] = (a_list_can_say_what_it_is, its_options_need_no_torch)


def laws_of(folder: str) -> list[Law]:
    """The laws of a sort of plug-ins: functions of a case, which raise AssertionError if broken.

    Raises:
        PluginError: the extra `testing` is not installed.
        UsageError: Python leaves assertions out.
    """
    if not __debug__:
        raise UsageError(
            "Python leaves assertions out here, and laws are assertions: none could fail.",
            next_step="Run it without -O, and without PYTHONOPTIMIZE in the environment.",
            unchanged="Nothing was checked.",
        )
    try:
        sort_laws = importlib.import_module(f"labelgrid.testing.{folder}").LAWS
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise PluginError(
            f"The laws of {folder} need hypothesis, which is not installed.",
            next_step="Install it: pip install 'labelgrid[testing]'",
            unchanged="Nothing was checked.",
        ) from error
    return [*sort_laws, *OF_ALL]


def subject_of(folder: str, name: str, told: str = "") -> Subject:
    """The plug-in that a user names, and the module with further declarations, if named.

    Raises:
        UsageError: there is no such sort.
        PluginError: there is no such plug-in or module, or its code is not trusted.
    """
    if folder not in plugins.FOLDERS:
        raise UsageError(
            f"There is no sort of plug-ins '{folder}'.",
            next_step=f"There are: {', '.join(plugins.FOLDERS)}.",
            unchanged="Nothing was checked.",
        )
    find = plugins.resolve if plugins.is_own(folder, name) else plugins.module
    find(folder, name)
    teller = plugins.module(folder, f"{told}:laws") if told else None
    return Subject(folder, name, teller)


def hold(law: Law, subject: Subject, place: Path) -> None:
    """Hold a plug-in to a law.

    Args:
        law: one of its sort's.
        subject: the plug-in.
        place: an empty folder.

    Raises:
        AssertionError: it breaks the law.
        NotForItError: the law says nothing about it.
        UntoldError: the laws need something that neither the plug-in nor `--with` declares.
    """
    if law in OF_ALL:
        law(subject)
    else:
        law(importlib.import_module(f"labelgrid.testing.{subject.folder}").case_of(subject, place))


def outcomes(subject: Subject) -> Iterator[LawOutcome]:
    """Check a plug-in against each law of its sort.

    Raises:
        PluginError: the extra `testing` is not installed.
        UsageError: Python leaves assertions out.
        UntoldError: the laws need something that neither the plug-in nor `--with` declares.
    """
    laws = laws_of(subject.folder)
    with tempfile.TemporaryDirectory(prefix="labelgrid-laws-") as kept, _hypothesis_keeps_in(kept):
        for law in laws:
            with tempfile.TemporaryDirectory(prefix="labelgrid-laws-") as place:
                yield _outcome(law, subject, Path(place))


@contextmanager
def _hypothesis_keeps_in(folder: str) -> Iterator[None]:
    """Let hypothesis keep its files in a folder, unless the user names another.

    Otherwise Hypothesis would keep examples in the current folder.
    """
    configuration = sys.modules.get("hypothesis.configuration")
    if configuration is None or "HYPOTHESIS_STORAGE_DIRECTORY" in os.environ:
        yield
        return
    configuration.set_hypothesis_home_dir(folder)
    try:
        yield
    finally:
        configuration.set_hypothesis_home_dir(None)


def _outcome(law: Law, subject: Subject, place: Path) -> LawOutcome:
    name = law.__name__
    try:
        hold(law, subject, place)
    except NotForItError as reason:
        return LawOutcome(name, "idle", f"{reason}.")
    except UntoldError:
        raise
    except (Exception, SystemExit) as error:  # a plug-in may raise anything
        wrong = of_system(error)
        if wrong and not isinstance(error, OSError):
            raise wrong from error
        return LawOutcome(name, "failed", _message(error))
    return LawOutcome(name, "passed")


def _message(error: BaseException) -> str:
    """What was expected and found, and where: the innermost line of a law and of the plug-in."""
    text = str(error)
    if not isinstance(error, AssertionError | LabelgridError):
        text = f"it raised {type(error).__name__}: {text}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _tells(frame)]
    if not text and frames:
        text = f"`{frames[-1].line}` must hold, and does not"
    of_laws = [frame for frame in frames if Path(frame.filename).parent == Path(__file__).parent]
    places = dict.fromkeys(f"{one.filename}:{one.lineno}" for one in (*of_laws[-1:], *frames[-1:]))
    return "\n".join([text, *getattr(error, "__notes__", ()), f"At {', '.join(places)}."])


def _tells(frame: traceback.FrameSummary) -> bool:
    """Whether a line is of a law or a plug-in, and not of this module."""
    return frame.filename != __file__
