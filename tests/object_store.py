"""A real S3 server for tests: moto's, in an environment of its own, which `./dev object-store` makes."""

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ENVIRONMENT = Path(__file__).parents[1] / ".venv-object-store"
#: What a user sets in the environment; no part of it may ever be shown.
KEY = "AKIAEXAMPLEFORTESTS1"
SECRET = "do-not-show-this-secret-to-anybody-0123456"
BUCKET = "photos-of-ann"
#: Seconds until the server answers, on cores that others use, too.
START = 120


def need_object_store() -> None:
    """Skip the test unless `./dev object-store` has made the environment."""
    if not (ENVIRONMENT / "stamp").is_file():
        pytest.skip("the object store is not installed: run ./dev object-store")


@dataclass
class Store:
    """A running server with one empty bucket."""

    folder: Path
    port: int
    process: Any = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to use it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
        }

    def put(self, key: str, content: bytes, bucket: str = BUCKET) -> str:
        """Store an object; return its address."""
        request = urllib.request.Request(
            f"{self.url}/{bucket}/{key}", content, _SIGNED, method="PUT"
        )
        urllib.request.urlopen(request, timeout=60).close()
        return f"s3://{bucket}/{key}"

    def put_folder(self, folder: Path, prefix: str) -> str:
        """Store all files of a folder; return the address above them."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        return f"s3://{BUCKET}/{prefix}"

    def delete(self, key: str) -> None:
        """Remove an object."""
        request = urllib.request.Request(
            f"{self.url}/{BUCKET}/{key}", headers=_SIGNED, method="DELETE"
        )
        urllib.request.urlopen(request, timeout=60).close()

    def start(self) -> None:
        """Start the server, which has forgotten all objects, at its port."""
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [ENVIRONMENT / "bin" / "moto_server", "-H", "127.0.0.1", "-p", str(self.port)],
                env={
                    name: text for name, text in os.environ.items() if not name.startswith("PYTHON")
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + START
        while time.monotonic() < end and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/moto-api/data.json", timeout=10).close()
            except OSError:
                time.sleep(0.1)
            else:
                request = urllib.request.Request(
                    f"{self.url}/{BUCKET}", headers=_SIGNED, method="PUT"
                )
                urllib.request.urlopen(request, timeout=60).close()
                return
        raise RuntimeError(f"moto does not answer: {(self.folder / 'log.txt').read_text()[-2000:]}")

    def stop(self) -> None:
        """Kill the server."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


#: moto reads the region, and checks no signature.
_SIGNED = {
    "Content-Type": "application/octet-stream",
    "Authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0",
}


@contextmanager
def object_store(folder: Path) -> Iterator[Store]:
    """Run a server on a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        store = Store(folder, free.getsockname()[1])
    store.start()
    try:
        yield store
    finally:
        store.stop()
