"""Speaks with Ray for an executor, in a separate process.

Ray prints into the process that imports Ray, handles its signals, and may end the process. Here Ray
touches no command: whatever Ray prints goes into a file.
"""

import os
import socket
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from labelgrid.executors.job import JobEnd
from labelgrid.executors.ray_worker import THREADS, RayCall, RayWorker

#: Bytes of shared memory, the least Ray takes: results are files.
STORE = 80 * 2**20
#: Seconds between two looks at what was asked for and at what has ended.
POLL = 0.1
#: Workers that may die one after another, without one that was loaded or did a job in between.
LOST = 20
#: Seconds until a cluster answers.
REACHED = 20.0
#: Seconds until killed workers are over.
PATIENCE = 30.0


@dataclass(frozen=True, kw_only=True)
class RayRequest:
    """The cluster and the workers that an executor asks for.

    Args:
        preload: the module that workers load at first.
        workers: their number.
        address: the address of a running cluster; "" starts one on this machine.
    """

    preload: str
    workers: int
    address: str = ""


@dataclass(frozen=True)
class RayReply:
    """News of a job, or of all jobs.

    Args:
        number: the number of the job; -1: Ray cannot be used.
        end: how it ended; None: its worker is gone.
        text: why there is no end.
    """

    number: int
    end: JobEnd | None = None
    text: str = ""


def gpu_share(workers: int, gpus: float) -> float:
    """The part of a GPU for each worker, chosen so that all workers fit at once.

    Example:
        >>> gpu_share(8, 8), gpu_share(4, 8), gpu_share(4, 3), gpu_share(2, 0)
        (1.0, 1.0, 0.5, 0.0)
    """
    if not gpus:
        return 0.0
    return 1.0 / -(-workers // int(gpus))


def check_reachable(address: str) -> None:
    """Refuse the address of a cluster at which nothing listens; Ray would try for two minutes.

    Raises:
        OSError: it is HOST:PORT, and nothing listens there.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), REACHED).close()


@dataclass
class RayPool:
    """Loaded workers, and the jobs that wait for a worker."""

    request: RayRequest

    def __post_init__(self) -> None:
        import ray

        self._waiting: deque[tuple[int, RayCall]] = deque()
        self._free: list[Any] = []
        self._running: dict[Any, tuple[Any, int | None]] = {}
        self._lost = 0

        self._ray = ray
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if self.request.address:
            check_reachable(self.request.address)
            options["address"] = self.request.address
        else:
            options |= {
                "num_cpus": self.request.workers,
                "include_dashboard": False,
                "object_store_memory": STORE,
            }
        ray.init(**options)
        gpus = ray.cluster_resources().get("GPU", 0.0)
        needs = {"num_cpus": 1, "num_gpus": gpu_share(self.request.workers, gpus)}
        self._kind = ray.remote(**needs)(RayWorker)
        for _ in range(self.request.workers):
            self._add_worker()

    def _add_worker(self) -> None:
        """Start a worker, free once the module is loaded."""
        worker = self._kind.remote(self.request.preload, os.environ.get(THREADS, ""))
        self._running[worker.load.remote()] = worker, None

    def add(self, number: int, call: RayCall) -> None:
        """Let a job wait for a worker."""
        self._waiting.append((number, call))

    def follow(self) -> list[RayReply]:
        """Give jobs to free workers, wait a moment, and return news of the running jobs.

        Raises:
            SystemExit: no machine of the cluster is alive; Ray would wait for one for ever.
        """
        while self._free and self._waiting:
            worker = self._free.pop()
            number, call = self._waiting.popleft()
            self._running[worker.carry_out.remote(call)] = worker, number
        if not self._running:  # which Ray refuses to wait for
            time.sleep(POLL)
            return []
        over, _ = self._ray.wait(list(self._running), num_returns=1, timeout=POLL)
        if not any(node["Alive"] for node in self._ray.nodes()):
            raise SystemExit("Its cluster has ended.")
        replies = []
        for reference in over:
            replies += self._finish(reference)
        return replies

    def _finish(self, reference: Any) -> list[RayReply]:
        worker, number = self._running.pop(reference)
        try:
            end = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:  # it cannot even be loaded
            return [RayReply(-1, text=last_line(error))]
        except self._ray.exceptions.RayError as error:
            text = cause_of_death(error)
            self._lost += 1
            if self._lost > LOST:
                return [RayReply(-1, text=f"{self._lost} workers died one after another: {text}")]
            self._add_worker()
            if number is None:
                return []
            return [RayReply(number, text=text)]
        self._lost = 0
        self._free.append(worker)
        if number is None:
            return []
        return [RayReply(number, end)]

    def stop(self) -> None:
        """End all workers, and the cluster if it was started here."""
        for worker in [*self._free, *(worker for worker, _ in self._running.values())]:
            self._ray.kill(worker)
        if self._running:
            references = list(self._running)
            self._ray.wait(references, num_returns=len(references), timeout=PATIENCE)
        self._ray.shutdown()


def last_line(error: BaseException) -> str:
    """The last line of the first cause of an error, since Ray's errors hold whole tracebacks."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def cause_of_death(error: Exception) -> str:
    """The reason why a worker is gone, as the first sentence of Ray's many.

    Example:
        >>> cause_of_death(RuntimeError("Its node has died. Check the network. And so on"))
        'Its node has died.'
    """
    return f"{last_line(error).partition('. ')[0].rstrip('.')}."


def serve(connection: Connection) -> None:
    """Serve a connection, which brings a `RayRequest`, then jobs, then None as the end."""
    try:
        pool = RayPool(connection.recv())
    except (Exception, SystemExit) as error:  # noqa: BLE001 (Ray raises errors of many types)
        connection.send(RayReply(-1, text=last_line(error)))
        return
    try:
        while _take(connection, pool):
            for reply in pool.follow():
                connection.send(reply)
    finally:
        pool.stop()


def _take(connection: Connection, pool: RayPool) -> bool:
    """Take the jobs that have come; return False at the end."""
    while connection.poll():
        try:
            asked = connection.recv()
        except EOFError:  # whoever wants them is gone
            return False
        if asked is None:
            return False
        pool.add(*asked)
    return True


def main() -> None:
    """Serve the process at the other end of the connection whose number is the argument.

    If the process is killed, everything started here ends, as if the process had asked for it.
    """
    threading.Thread(target=_end_late, args=(os.getppid(),), daemon=True).start()
    serve(Connection(int(sys.argv[1])))


def _end_late(parent: int) -> None:
    """End this process `PATIENCE` seconds after the parent, in case Ray hangs."""
    while os.getppid() == parent:
        time.sleep(1)
    time.sleep(PATIENCE)
    os._exit(1)
