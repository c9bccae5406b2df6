"""Gives a Label Studio server the images of tasks: as uploads, or from a folder on its machine."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from labelgrid.annotate.image_copies import copy_content
from labelgrid.annotate.label_studio_client import Client
from labelgrid.basics import files
from labelgrid.basics.errors import ServerError, UsageError
from labelgrid.basics.type_names import Values


class Uploads:
    """Sends images into the server's own folder, each image once.

    Args:
        client: the server.
        project: the id of the project that gets the images.
        images: what the tasks call them -> the files.
    """

    def __init__(self, client: Client, project: int, images: Mapping[str, Path]) -> None:
        self._client = client
        self._project = project
        self._images = images
        self._stored: dict[str, str] | None = None
        self._tested = False

    def url(self, task: Values) -> str:
        """The URL of a task's image at the server, uploaded if it is not there.

        The first image is fetched again and compared.
        """
        sent = task["data"]["image"]
        path = self._images[sent]
        with files.disk_errors(path):
            content = copy_content(path, sent)
            name = files.digest(path) + PurePosixPath(sent).suffix.lower()
        with self._client.understood():
            url = f"/data/{quote(self._uploaded(name, content))}"
        if not self._tested:
            _test(self._client, url, content)
            self._tested = True
        return url

    def _uploaded(self, name: str, content: bytes) -> str:
        """The server's name of an upload; our name has its content's hash."""
        project = f"/api/projects/{self._project}"
        if self._stored is None:
            self._stored = {}
            for row in self._client.get(f"{project}/file-uploads", {"all": "true"}):
                self._stored[row["file"].rpartition("-")[2]] = row["file"]
        if name not in self._stored:
            answer = self._client.upload(f"{project}/import?commit_to_project=false", name, content)
            (number,) = answer["file_upload_ids"]
            row = self._client.get(f"/api/import/file-upload/{number}")
            self._stored[name] = row["file"]
        return self._stored[name]


class LocalFiles:
    """Lets the server serve images from a folder of its own machine.

    Args:
        client: the server.
        project: the id of the project that gets the images.
        folder: the images, at the paths that the tasks name.
        root: the server's `LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`, above the folder.

    Raises:
        UsageError: the folder is not below the root.
        ServerError: the server may not serve the folder.
    """

    def __init__(self, client: Client, project: int, folder: Path, root: Path) -> None:
        self._client = client
        self._folder = folder
        folder = folder.resolve()
        if root.resolve() not in folder.parents:
            raise UsageError(
                f"The images are not below {root}.",
                where=folder,
                next_step="Name a folder below it with --out.",
            )
        self._below = folder.relative_to(root.resolve()).as_posix()
        self._tested = False
        storages = client.get("/api/storages/localfiles/", {"project": project})
        with client.understood():
            paths = {storage["path"] for storage in storages}
        if str(folder) not in paths:
            body = {
                "project": project,
                "title": "labelgrid",
                "path": str(folder),
                "use_blob_urls": True,
                "regex_filter": ".*",
            }
            client.send("POST", "/api/storages/localfiles/", body)

    def url(self, task: Values) -> str:
        """The URL of a task's image at the server."""
        name = task["data"]["image"]
        url = f"/data/local-files/?d={quote(f'{self._below}/{name}')}"
        if not self._tested:
            path = self._folder / name
            with files.disk_errors(path):
                _test(self._client, url, files.read_bytes(path))
            self._tested = True
        return url


def _test(client: Client, url: str, content: bytes) -> None:
    try:
        served = client.download(url)
    except ServerError as error:
        raise ServerError(
            f"The server does not serve the images: {error.what}",
            where=f"{client.url}{url}",
            next_step="For files of its own machine it needs "
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and the folder's parent as "
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT. Or leave out --local-files.",
            status=error.status,
        ) from error
    if served != content:
        raise ServerError(
            "The server serves another file in the image's place.", where=f"{client.url}{url}"
        )
