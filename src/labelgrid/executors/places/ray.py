"""Runs jobs on Ray: on this machine, or on a running cluster (`ray:ADDRESS`).

Workers are loaded once and then do one job after another. A process that dies is replaced, and
whoever ordered its job begins the job again. Needs the extra `ray`. A cluster of this machine
listens on loopback alone, and ends with the process that started it. Who can reach a cluster's
ports can run any code on it: see the page on security.
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from labelgrid.basics.errors import ProjectError, UsageError
from labelgrid.executors.job import END, STOPPED, JobEnd, JobFolder
from labelgrid.executors.ray_driver import RayReply, RayRequest, last_line
from labelgrid.executors.ray_worker import RayCall
from labelgrid.executors.share import EVERYTHING, Share

#: How often a job is given to another worker after one that died before it began.
UNBEGUN = 3
#: Seconds until Ray has ended.
PATIENCE = 60.0
#: What the process runs that speaks with Ray.
DRIVER = "from labelgrid.executors.ray_driver import main; main()"
#: What Ray is told: no statistics over the network, and devices as the machine has them.
VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
#: Of a cluster of this machine: loopback is its address, as it is on macOS without this.
ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


def own_cluster() -> dict[str, str]:
    """The variables of a cluster on this machine, closed to the processes of everybody else.

    Ray would otherwise keep one token for all clusters, in a file below the home folder.
    """
    return {**ON_LOOPBACK, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


@dataclass
class RayDriver:
    """The process that speaks with Ray; see `labelgrid.executors.ray_driver`."""

    request: RayRequest

    def __post_init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="labelgrid-ray-"))
        self.connection, theirs = Pipe()
        variables = dict(VARIABLES)
        if not self.request.address:
            variables |= own_cluster()
        paths = [path or str(Path.cwd()) for path in sys.path]  # workers find modules as we do
        with (self._folder / "log.txt").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", DRIVER, str(theirs.fileno())],
                cwd=self._folder,
                env={**variables, **os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for this process alone
            )
        theirs.close()
        self.send(self.request)

    def send(self, asked: object) -> None:
        """Send a request, a job, or None, which is the end."""
        with suppress(OSError):  # it has ended, which the next look notices
            self.connection.send(asked)

    def stop(self) -> None:
        """End the driver with everything started by it."""
        self.send(None)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def said(self) -> str:
        """The last line of the driver's output."""
        text = (self._folder / "log.txt").read_text(encoding="utf-8", errors="replace")
        return last_line(RuntimeError(text))


@dataclass
class Ray:
    """An executor that gives jobs to workers of a cluster; see `Executor`.

    Args:
        preload: the module that workers load before their first job.
        workers: their number.
        address: the address of a running cluster, as Ray takes it; "" starts one on this machine.
        share: the jobs that are started here.
    """

    preload: str
    workers: int
    address: str = ""
    share: Share = EVERYTHING

    def __post_init__(self) -> None:
        self._jobs: dict[int, tuple[Path, RayCall]] = {}
        self._unbegun = Counter[int]()
        self._number = 0
        self._driver: RayDriver | None = None

    def start(self, folder: Path, function: Callable[..., None], *arguments: Any) -> None:
        """Start a job, as `Executor.start` documents."""
        JobFolder(folder).renew()
        folder.mkdir(parents=True, exist_ok=True)
        self._number += 1
        self._jobs[self._number] = folder, RayCall.of(folder, function, arguments)
        self._give(self._number)

    def _give(self, number: int) -> None:
        if self._driver is None:
            self._driver = RayDriver(
                RayRequest(preload=self.preload, workers=self.workers, address=self.address)
            )
        self._driver.send((number, self._jobs[number][1]))

    def wait(self, seconds: float) -> Mapping[Path, JobEnd]:
        """Wait for jobs to end, as `Executor.wait` documents.

        Raises:
            ProjectError: there is no cluster, or its workers cannot load labelgrid.
        """
        ends: dict[Path, JobEnd] = {}
        if self._driver is None:
            return ends
        connection = self._driver.connection
        try:
            while connection.poll(0 if ends else seconds):
                self._take(connection.recv(), ends)
        except (EOFError, OSError):  # the process that speaks with Ray has ended
            text = f"the connection to Ray: {self._driver.said}"
            for path, _ in self._jobs.values():
                folder = JobFolder(path)
                ends[path] = folder.end or _died(folder, text)
            self._close()
        return ends

    def _take(self, reply: RayReply, ends: dict[Path, JobEnd]) -> None:
        number = reply.number
        if number < 0:
            step = (
                "See docs/how-to/machines.md for what Ray needs, then run the same command again."
            )
            if self.address:
                status = f"ray status --address {self.address}"
                step = f"Is a cluster running there (`{status}`)? {step}"
            raise ProjectError(
                f"Ray cannot be used: {reply.text}",
                next_step=step,
                unchanged="Finished jobs are kept.",
            )
        path, _ = self._jobs[number]
        folder = JobFolder(path)
        end = folder.end or reply.end
        if end is None and folder.owner is None:  # its worker died before it began
            self._unbegun[number] += 1
            if self._unbegun[number] <= UNBEGUN:
                self._give(number)
                return
        del self._jobs[number]
        ends[path] = end or _died(folder, reply.text)
        if folder.end is None and reply.end:  # it could not even begin
            folder.write(END, reply.end)

    def stop(self) -> None:
        """Stop all jobs, as `Executor.stop` documents."""
        folders = [JobFolder(path) for path, _ in self._jobs.values()]
        self._close()
        for folder in folders:
            if folder.owner and not folder.end:
                folder.write(END, STOPPED)

    def _close(self) -> None:
        self._jobs.clear()
        self._unbegun.clear()
        if self._driver:
            self._driver.stop()
            self._driver = None


def _died(folder: JobFolder, text: str) -> JobEnd:
    owner = folder.owner
    on_host = f" on {owner.host}" if owner and not owner.is_here else ""
    return JobEnd("died", f"Its worker{on_host} ended without a result: {text}", again=True)


def build(preload: str, workers: int, address: str) -> Ray:
    """Build an executor on Ray.

    Raises:
        UsageError: Ray is not installed.
    """
    if find_spec("ray") is None:
        raise UsageError(
            "Ray is not installed.",
            next_step="Install it: pip install 'labelgrid[ray]'.",
            unchanged="Nothing was run.",
        )
    return Ray(preload, workers, address)
