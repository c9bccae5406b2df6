"""Laws of files: only regular ones are opened, nothing else is waited for, and folders hold whole files."""

import fcntl
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from labelgrid.basics import files
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.files import (
    atomic_folder,
    atomic_write,
    copy_file,
    copy_hashed,
    digest,
    disk_errors,
    flush,
    open_regular,
    read_bytes,
    read_text,
    remove_abandoned,
    remove_files,
    remove_folder,
    write_text,
)

Write = Callable[[Path], AbstractContextManager[Path]]


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_text(path, "before")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "before"
    assert list(path.parent.iterdir()) == [path]


def write_and_wait(path: Path, is_folder: bool) -> None:
    if is_folder:
        with atomic_folder(path) as building:
            (building / "half").write_text("half")
            signal.pause()
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        signal.pause()


def written(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_a_killed_process_was_writing_is_removed_and_what_a_living_one_writes_is_kept(
    tmp_path: Path, is_folder: bool
) -> None:
    users_own = [tmp_path / ".mine.part", tmp_path / "0123456789abcdef.part"]
    for path in users_own:
        path.write_text("kept")
    target = tmp_path / "below" / "a"
    target.parent.mkdir()
    process = multiprocessing.get_context("spawn").Process(
        target=write_and_wait, args=(target, is_folder)
    )
    process.start()
    while not any(path.read_bytes() for path in written(target.parent)):
        assert process.is_alive(), process.exitcode
        time.sleep(0.01)
    remove_abandoned(tmp_path, deep=True)
    [hidden] = target.parent.iterdir()
    process.kill()
    process.join()
    remove_abandoned(tmp_path)
    assert hidden.exists()
    remove_abandoned(tmp_path, deep=True)
    assert list(target.parent.iterdir()) == []
    assert all(path.exists() for path in users_own)


@pytest.mark.parametrize("write", [atomic_write, atomic_folder])
@pytest.mark.parametrize("ends", [True, False])
def test_what_another_process_takes_for_abandoned_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write, ends: bool
) -> None:
    """At the first lock, the other process has removed what is written, or has it locked."""
    flock = fcntl.flock
    others: list[int] = []

    def late(handle: int, how: int) -> None:
        if not others:
            [hidden] = tmp_path.iterdir()
            others.append(os.open(hidden, os.O_RDONLY))
            flock(others[0], how)
            if ends:
                remove_folder(hidden) if hidden.is_dir() else hidden.unlink()
                flock(others[0], fcntl.LOCK_UN)
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with write(tmp_path / "a") as temporary:
        assert temporary.exists()
    os.close(others[0])
    assert (tmp_path / "a").exists()
    remove_abandoned(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_copy_that_is_there_is_not_made_again_and_one_that_differs_is(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("one")
    copy_file(source, target)
    node = target.stat().st_ino
    copy_file(source, target)
    assert target.stat().st_ino == node
    source.write_text("two")
    os.utime(source, ns=(1, 1))
    copy_file(source, target)
    assert target.read_text() == "two"


def test_a_link_becomes_a_copy_and_a_copy_a_link(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("content")
    copy_file(source, target)
    copy_file(source, target, link=True)
    assert target.readlink() == source
    node = target.lstat().st_ino
    copy_file(source, target, link=True)
    assert target.lstat().st_ino == node
    copy_file(source, target)
    assert not target.is_symlink()
    assert target.read_text() == source.read_text() == "content"


def test_nothing_is_removed_through_a_link_that_leads_out(tmp_path: Path) -> None:
    mine, others = tmp_path / "mine", tmp_path / "others"
    write_text(mine / "images" / "a", "")
    write_text(others / "b", "")
    (mine / "linked").symlink_to(others)
    remove_files(mine, ["images/a", "linked/b", "../others/b", "never/there"])
    assert not (mine / "images").exists()
    assert (others / "b").exists()


def test_a_refusal_of_the_disk_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProjectError) as caught, disk_errors(tmp_path, "All is as it was."):
        write_text(tmp_path / "file" / "below.txt", "")
    assert str(caught.value) == (
        f"The disk reports an error: File exists ({tmp_path / 'file' / 'below.txt'}).\n"
        "  Free some space or fix the folder's permissions, and run the same command again. All is as it was."
    )


def test_a_name_that_is_too_long_needs_no_space(tmp_path: Path) -> None:
    with (
        pytest.raises(ProjectError, match=r"File name too long(.|\n)*Give a shorter name"),
        disk_errors(tmp_path),
    ):
        write_text(tmp_path / ("x" * 300), "")


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught, disk_errors(tmp_path, "All is as it was."):
        copy_file(tmp_path / "gone.jpg", tmp_path / "copy.jpg")
    assert str(caught.value) == (
        f"The file does not exist any more ({tmp_path / 'gone.jpg'}).\n"
        "  Put it back and run the same command again. All is as it was."
    )


def test_files_and_folders_can_be_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(os.fstat(handle).st_ino))
    write_text(tmp_path / "a", "")
    assert list(flush([tmp_path, tmp_path / "a"])) == [tmp_path, tmp_path / "a"]
    assert set(flushed) == {tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino}
    with pytest.raises(FileNotFoundError):
        list(flush([tmp_path / "nowhere"]))


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


def test_a_digest_is_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"1")
    (tmp_path / "c").write_bytes(b"2")
    one, same, other = (digest(tmp_path / name) for name in "abc")
    assert one == same != other and len(one) == 32
    assert copy_hashed(tmp_path / "c", tmp_path / "a") == other == digest(tmp_path / "a")


def test_folders_are_walked_once_at_any_depth(tmp_path: Path) -> None:
    here = Path.cwd()
    os.chdir(tmp_path)
    for _ in range(1200):
        os.mkdir("d")  # noqa: PTH102
        os.chdir("d")
    Path("x").write_text("")
    found = list(files.walk(tmp_path))
    Path("x").unlink()
    for _ in range(1200):  # pytest could not remove them
        os.chdir("..")
        os.rmdir("d")  # noqa: PTH106
    os.chdir(here)
    assert len(found) == 1201
    assert found[-1] == ("d/" * 1200, [], ["x"])


def test_links_are_entered_where_asked_and_loops_once(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/loop").symlink_to(tmp_path)
    (tmp_path / "other").symlink_to(tmp_path / "a")
    assert {prefix for prefix, _, _ in files.walk(tmp_path)} == {"", "a/", "a/b/"}
    assert len(list(files.walk(tmp_path, links=True))) == 3
    errors: list[OSError] = []
    assert not list(files.walk(tmp_path / "none", on_error=errors.append))
    assert len(errors) == 1


def test_folders_come_in_the_order_of_their_names_and_only_those_that_are_left(
    tmp_path: Path,
) -> None:
    for name in ("b/x", "a", "c"):
        (tmp_path / name).mkdir(parents=True)
    seen = []
    for prefix, folders, _ in files.walk(tmp_path):
        seen.append(prefix)
        folders[:] = sorted(set(folders) - {"c"})
    assert seen == ["", "a/", "b/", "b/x/"]


@pytest.mark.parametrize(("module", "extra"), [("torch", "train"), ("pyarrow", "parquet")])
def test_a_missing_package_of_an_extra_is_said_with_the_command_that_installs_it(
    module: str, extra: str
) -> None:
    missing = files.of_system(ModuleNotFoundError(f"No module named '{module}'", name=module))
    assert str(missing) == (
        f"This needs {module}, which the base install leaves out.\n"
        f"  Install it: pip install 'labelgrid[{extra}]'."
    )


def test_a_missing_package_of_no_extra_is_an_error_of_another_cause() -> None:
    assert files.of_system(ModuleNotFoundError("No module named 'mine'", name="mine")) is None


def test_what_installs_networks_comes_first_where_they_are_not_installed(monkeypatch) -> None:
    assert files.missing_for_networks() == "" and files.install_first() == ()
    files.need_networks()
    monkeypatch.setattr(files, "TRAINING", ("torch", "labelgrid_has_no_such_package"))
    assert files.install_first() == ("pip install 'labelgrid[train]'",)
    with pytest.raises(ProjectError, match="needs labelgrid_has_no_such_package, which the base"):
        files.need_networks()
