"""A process that was begun for another ends when that one is gone, and only then."""

import pytest

from labelgrid import processes


@pytest.mark.parametrize("alive", [True, False])
def test_a_process_ends_whose_parent_is_gone_and_no_other(monkeypatch: pytest.MonkeyPatch, alive: bool) -> None:
    class Parent:
        def is_alive(self) -> bool:
            return alive

    ended: list[int] = []
    monkeypatch.setattr(processes.sys, "platform", "elsewhere")
    monkeypatch.setattr(processes.multiprocessing, "parent_process", Parent)
    monkeypatch.setattr(processes.os, "getppid", lambda: 1)  # as under a server that makes processes
    monkeypatch.setattr(processes.os, "_exit", ended.append)
    processes.end_with_parent()
    assert ended == ([] if alive else [1])
