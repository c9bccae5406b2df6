"""Does jobs in a process of Ray.

Such a process is kept between jobs, since loading torch takes longer than many of them.
"""

import os
import pickle
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from labelgrid.basics.processes import PAGE_TOKEN, die_with_parent, set_up_process
from labelgrid.basics.progress import Silent
from labelgrid.basics.version import __version__
from labelgrid.executors.job import JobEnd, JobFolder, end_by, record_job

#: The number of OpenMP's threads; Ray sets it in its workers.
THREADS = "OMP_NUM_THREADS"
#: How the variables begin that a job takes along.
OWN = "LABELGRID_"


@dataclass(frozen=True, kw_only=True)
class RayCall:
    """A job as it is sent to a worker.

    Args:
        folder: the absolute path of the job's folder.
        working_folder: its absolute path, to which paths in the arguments may be relative.
        variables: environment variables of the command that wants the job.
        work: the function, by the name of its module, and the arguments before the progress:
            pickled, so that the driver need not import the job's modules.
        version: the version of labelgrid on the machine that sent the job.
    """

    folder: str
    working_folder: str
    variables: Mapping[str, str]
    work: bytes
    version: str = __version__

    @classmethod
    def of(cls, folder: Path, function: Callable[..., None], arguments: Sequence[Any]) -> "RayCall":
        """The call of a job, with the working folder and the variables of this process."""
        return cls(
            folder=str(folder.absolute()),
            working_folder=str(Path.cwd()),
            variables=_own_variables(),
            work=pickle.dumps((function, tuple(arguments))),
        )


@dataclass
class RayWorker:
    """The actor that does jobs, after loading a module.

    Args:
        preload: the module that is loaded at first.
        threads: OpenMP's threads as the user set them, "" if he did not.
    """

    preload: str
    threads: str
    _fault: str = field(init=False, default="")

    def __post_init__(self) -> None:
        die_with_parent()  # Ray's own process, so that no job outlives its cluster
        if self.threads:
            os.environ[THREADS] = self.threads
        else:
            os.environ.pop(THREADS, None)
        set_up_process()
        try:
            import_module(self.preload)
        except Exception as error:  # noqa: BLE001 (a broken installation may raise anything)
            self._fault = f"labelgrid cannot be loaded on {socket.gethostname()}: {error}."

    def load(self) -> None:
        """Return when the worker is ready for jobs."""

    def carry_out(self, call: RayCall) -> JobEnd:
        """Do a job in the job's folder, and return how it ended."""
        fault = self._fault or _unfit(call)
        if fault:
            return JobEnd("failed", fault)
        for name in _own_variables():
            del os.environ[name]
        os.environ.update(call.variables)
        os.chdir(call.working_folder)
        folder = Path(call.folder)
        try:
            with record_job(folder, Silent()) as job:
                job.begin()
                function, arguments = pickle.loads(call.work)  # noqa: S301 (of whoever wants the job)
                function(*arguments, job)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (its folder has it)
            return JobFolder(folder).end or end_by(error, folder)
        return JobEnd("ended")


def _own_variables() -> dict[str, str]:
    variables = {name: text for name, text in os.environ.items() if name.startswith(OWN)}
    variables.pop(PAGE_TOKEN, None)
    return variables


def _unfit(call: RayCall) -> str:
    """The reason why this machine cannot do a job; "" if there is none."""
    host = socket.gethostname()
    if call.version != __version__:
        return f"labelgrid is {call.version} here, and {__version__} on {host}: install one."
    for path in (call.working_folder, call.folder):
        if not Path(path).is_dir():
            return (
                f"{path} is not there on {host}: keep images, project and results on disks that "
                "all machines have at the same place."
            )
    return ""
