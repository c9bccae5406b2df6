"""Measures what images in a store of objects cost: warm from the cache, and cold over a network.

Warm: images of 480×640 as JPEG, read from the cache and from their own files, and checked by their
hashes on both sides. Cold: the images of an `init` over a web server that answers each request late,
as a distant store does: one after another, and as `init` fetches them.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
from _made import smooth
from _measure import check_limit, interleaved, machine, show

BAR_WARM = 1.25
BAR_COLD = 4.0


class Late(SimpleHTTPRequestHandler):
    """Answers after a while."""

    protocol_version = "HTTP/1.1"
    delay = 0.0

    def send_head(self):  # type: ignore[no-untyped-def]
        """As of the class above, later."""
        time.sleep(self.delay)
        return super().send_head()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def serve(folder: Path, delay: float) -> None:
    Late.delay = delay
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Late, directory=str(folder)))
    server.request_queue_size = 128
    print(server.server_address[1], flush=True)
    server.serve_forever()


def make(folder: Path, count: int) -> list[str]:
    import numpy as np

    rng = np.random.default_rng(0)
    names = []
    for number in range(count):
        pixels = smooth(rng, (480, 640), 3) * 255 + rng.normal(0, 4, (480, 640))[..., None]
        names.append(f"{number:05d}.jpg")
        cv2.imwrite(str(folder / names[-1]), np.clip(pixels, 0, 255).astype(np.uint8))
    return names


def warm(folder: Path, names: list[str], repeats: int) -> bool:
    from labelgrid.basics.files import digest
    from labelgrid.images.places import image_file, read_placed_image
    from labelgrid.images.reading import image_size

    digests = {name: digest(folder / name) for name in names}

    def read(root: str) -> None:
        for name in names:
            read_placed_image(root, name, digests[name])

    def size(root: str) -> None:
        for name in names:
            image_size(image_file(root, name, digests[name]))

    far = f"file://{folder}"
    times = interleaved(
        {
            "reading files": partial(read, str(folder)),
            "reading from the warm cache": partial(read, far),
            "sizes of files": partial(size, str(folder)),
            "sizes from the warm cache": partial(size, far),
        },
        repeats,
    )
    show(times)
    ratio = times["reading from the warm cache"].work_over(times["reading files"])
    sizes = times["sizes from the warm cache"].work_over(times["sizes of files"])
    print(f"  sizes: {sizes:.2f} x cpu (reported)")
    return check_limit("reading from the warm cache / files, cpu", ratio, BAR_WARM)


def cold(folder: Path, names: list[str], delay: float) -> bool:
    from labelgrid.basics.progress import Silent
    from labelgrid.images.reading import check_image
    from labelgrid.project.images.image_files import find_images, rows_of
    from labelgrid.storage.addresses import Address
    from labelgrid.storage.systems import system_of

    words = [sys.executable, __file__, "--serve", str(folder), "--delay", str(delay)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        root = f"http://127.0.0.1:{int(server.stdout.readline())}"
        try:
            lines = [f"{root}/{name}" for name in names]
            (folder / "list.txt").write_text("\n".join(lines))
            system = system_of(Address(lines[0]))
            start = time.perf_counter()
            for line in lines:
                path = folder / "one.jpg"
                system.get_file(line, str(path))
                check_image(path)
            naive = time.perf_counter() - start
            start = time.perf_counter()
            images = find_images([folder / "list.txt"])
            rows = list(rows_of(images, "full", "", Silent()))
            ours = time.perf_counter() - start
            assert len(rows) == len(names)
            start = time.perf_counter()
            list(rows_of(images, "full", "", Silent()))
            again = time.perf_counter() - start
        finally:
            server.kill()
    print(
        f"  {len(names)} images, {delay * 1e3:g} ms a request: one after another {naive:.2f} s, "
        f"init {ours:.2f} s, init again {again:.2f} s"
    )
    return check_limit("one after another / init, cold", naive / ours, BAR_COLD, least=True)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--delay", type=float, default=0.1, help="seconds before each answer")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.serve:
        serve(options.serve, options.delay)
        return 0
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "images")
        images.mkdir()
        os.environ["LABELGRID_CACHE"] = str(Path(folder, "cache"))
        names = make(images, options.images)
        holds = [
            warm(images, names, options.repeats),
            cold(images, names, options.delay),
        ]
    return 0 if all(holds) else 1


if __name__ == "__main__":
    raise SystemExit(main())
