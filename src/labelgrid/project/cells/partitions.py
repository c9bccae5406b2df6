"""Keeps how images are divided into regions: a file for each partition, and a row of the ledger."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from labelgrid.basics.plugins import PluginChoice
from labelgrid.data.part_labels import partition_file
from labelgrid.ledger.part_moves import PartitionRow
from labelgrid.project.folder import ProjectFolder
from labelgrid.regions.partition import Partition, read_partition

#: The distributions whose versions are noted beside a partition: others may divide otherwise.
LIBRARIES = ("labelgrid", "scikit-image")


def keep_partitions(
    project: ProjectFolder, divided: Iterable[tuple[str, Partition]], maker: PluginChoice
) -> None:
    """Keep partitions of images, which are the truth from then on and are never made again.

    Args:
        project: the project.
        divided: the ids of images with their partitions.
        maker: the plug-in that divided them, with its options.

    Raises:
        LabelgridError: an image is unknown, or the disk reports an error.
    """
    rows = []
    for image_id, partition in divided:
        path = partition_file(project.folder, partition.digest)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            partition.write(path)
        row = PartitionRow(
            image_id=image_id,
            digest=partition.digest,
            maker=maker.name,
            version=_versions(),
            options=maker.options,
            count=partition.count,
        )
        rows.append(row)
    project.store.add_partitions(rows)


def read_kept(project: ProjectFolder, digest: str) -> Partition:
    """Read a kept partition.

    Raises:
        LabelError: its file is missing or damaged.
    """
    return read_partition(partition_file(project.folder, digest), digest)


def _versions() -> str:
    names = []
    for name in LIBRARIES:
        try:
            names.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(names)
