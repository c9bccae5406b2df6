"""Laws of opening files: regular files only, and nothing that is not one is waited for."""

import os
import socket
from pathlib import Path

import pytest

from labelgrid.regular import open_regular, read_bytes, read_text


def test_a_file_and_a_link_to_it_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one\r\ntwo")
    (tmp_path / "b").symlink_to("a")
    assert read_bytes(tmp_path / "b") == b"one\r\ntwo"
    assert read_text(tmp_path / "a") == "one\ntwo"
    with open_regular(tmp_path / "a") as file:
        assert file.read(3) == b"one" and file.seek(0) == 0


def next_handle() -> int:
    """The number of the next file that is opened; it grows if one is not closed."""
    number = os.dup(0)
    os.close(number)
    return number


@pytest.mark.timeout(20)
def test_a_pipe_a_device_a_socket_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
        free = next_handle()
        for path in ("pipe", "link", "/dev/zero", "/dev/null"):
            with pytest.raises(OSError, match="it is a pipe or a device, not a file"):
                read_bytes(tmp_path / path)
        with pytest.raises(OSError, match="No such device"):
            read_bytes(tmp_path / "socket")
        with pytest.raises(IsADirectoryError):
            read_bytes(tmp_path)
        assert next_handle() == free


def test_a_file_above_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(OSError, match="its 1000000 MB are more than the 5 MB"):
        read_bytes(tmp_path / "sparse", 5_000_000)
    (tmp_path / "small").write_bytes(b"12345")
    assert read_bytes(tmp_path / "small", 5) == b"12345"
