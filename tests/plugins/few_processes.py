"""Processes of this machine, of which at most two run at a time."""

from labelgrid.executors.places.processes import Processes
from labelgrid.executors.workplace import refuse_address


def build(preload: str, workers: int, address: str) -> Processes:
    refuse_address("few_processes", address)
    return Processes(preload, min(workers, 2))
