"""Says where a pass is carried out, and in shards of which size. Loads no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labelgrid.basics.errors import UsageError
from labelgrid.basics.plugins import create, names
from labelgrid.basics.processes import cores
from labelgrid.basics.progress import Progress
from labelgrid.basics.trusted_code import NAME, is_trusted
from labelgrid.executors.executor import Executor
from labelgrid.executors.pieces import Piece, PieceList
from labelgrid.executors.share import EVERYTHING, Share, shard_size

#: Where jobs run if nobody says it.
HERE = "processes"
#: The folder of the jobs of shards, beside their files.
JOBS = "jobs"


@dataclass(frozen=True)
class Workplace:
    """The place where shards are computed.

    Args:
        executor: the place; None: in this process, one after the other.
        shard: the number of images in a shard; 0: `shard_size` chooses.
    """

    executor: Executor | None = None
    shard: int = 0

    @property
    def share(self) -> Share:
        """The shards that are computed from here."""
        return self.executor.share if self.executor else EVERYTHING

    def refuse(self, option: str) -> None:
        """Refuse a place beside an option for the running process alone.

        Raises:
            UsageError: there is a place.
        """
        if self.executor is not None:
            raise UsageError(
                f"With {option}, all is done in this process.",
                next_step="Leave out --on and --workers.",
                unchanged="Nothing was changed.",
            )

    def size(self, images: int) -> int:
        """The number of images in a shard."""
        workers = self.executor.workers * self.share.count if self.executor else 0
        return shard_size(images, workers, self.shard)

    @property
    def threads(self) -> int:
        """The threads of a training in the place: a worker's part of this machine's cores."""
        return max(1, cores() // self.executor.workers) if self.executor else 0

    def run(self, activity: str, pieces: Sequence[Piece], folder: Path, progress: Progress) -> bool:
        """Carry out pieces of work; returns whether they were all, not only a share.

        A share never joins results: another that ends at the same time would, too.

        Args:
            activity: what is done, in words.
            pieces: all of them, of one unit.
            folder: the folder of their jobs.
            progress: receives the progress.

        Raises:
            ProjectError: as by `PieceList.run`.
        """
        if self.executor is None:
            return False
        share = self.executor.share
        of_share = []
        for index, piece in enumerate(pieces):
            if share.takes(index):
                of_share.append(piece)
        unit = pieces[0].unit if pieces else "images"
        progress.start(activity, sum(piece.amount for piece in of_share), unit)
        PieceList(pieces=pieces, executor=self.executor, folder=folder, progress=progress).run()
        if not share.is_all:
            progress.say(
                f"{str(share).capitalize()} is done. When all are, the same command joins them, "
                "with --workers instead of --on."
            )
        return share.is_all


def executor_at(on: str, workers: int, preload: str) -> Executor:
    """Build the executor of a place.

    It starts no process and connects to nothing before its first job.

    Args:
        on: the name of a plug-in of `executors.places`, if need be with an address: `ray:ADDRESS`;
            or one's own, as "package.module:name".
        workers: the number of jobs that run at a time; 0: one per processor core of this machine.
        preload: the module that the processes may load before they are asked for anything.

    Raises:
        PluginError: there is no such place.
        UsageError: the place takes no address, or lacks one, or is not installed.

    Example:
        >>> executor_at("processes", 3, "labelgrid.basics.errors").workers
        3
    """
    name, mark, address = on.partition(":")
    if _is_code(on):  # whose name has a colon
        name = on
        address = ""
    elif mark and not address:
        raise UsageError(
            f"There is no address after the colon of '{on}'.",
            next_step=f"Give one, or `{name}` alone.",
        )
    wanted = preload, workers or cores(), address
    return create("executors", name, *wanted)


def _is_code(on: str) -> bool:
    """Whether a place is not the name of a plug-in, perhaps with an address, but code.

    Code that the user trusts takes precedence over an installed plug-in, unless both are of the
    same package: then the text after the colon is an address.
    """
    name = on.partition(":")[0]
    if name in names("executors"):
        return False
    from labelgrid.basics.entry_points import installed_plugins  # reads each package's metadata

    targets = [plugin.target for plugin in installed_plugins("executors").get(name, ())]
    if not targets or on in targets:
        return True
    packages = [_package(target) for target in targets]
    return bool(NAME.fullmatch(on)) and is_trusted(name) and _package(on) not in packages


def _package(code: str) -> str:
    return code.partition(":")[0].partition(".")[0]


def refuse_address(place: str, address: str) -> None:
    """Refuse an address of a place without addresses.

    Raises:
        UsageError: there is one.
    """
    if address:
        raise UsageError(
            f"The place '{place}' takes no address, and got '{address}'.",
            next_step=f"Say `{place}` alone.",
        )


def workplace_of(on: str, workers: int, shard: int, preload: str) -> Workplace:
    """Build the workplace that a user asked for.

    Args:
        on: the place, see `executor_at`; "": processes of this machine, if there are workers.
        workers: the number of shards that are computed at a time; 0: one per processor core.
        shard: see `Workplace`.
        preload: the module that processes load before they are asked for anything.

    Raises:
        PluginError: there is no such place.
        UsageError: it cannot be used.
    """
    if not (on or workers):
        return Workplace(shard=shard)
    return Workplace(executor_at(on or HERE, workers, preload), shard)


#: One shard after the other, where nobody says otherwise.
IN_THIS_PROCESS = Workplace()
