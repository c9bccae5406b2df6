"""Decodes EXR files in a process of its own: `labelgrid.formats.exr` runs it as a script.

The decoder is C++: it prints about damaged files, and a fault in it would end the program. It reads
requests from its input: a line of JSON with the number of bytes and the wanted (part, channel)
pairs, then the bytes of the file. It answers with a line of JSON, the type and shape of each
channel, and their numbers; or with null for a file that cannot be decoded.
"""

import io
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from typing import Any, BinaryIO

#: A file that takes longer ends the process.
SECONDS = 300
#: The types of errors that the decoder raises for damaged files.
_REFUSED = (RuntimeError, LookupError, ValueError, TypeError, OSError, MemoryError)


def decode(data: bytes, wanted: Sequence[tuple[int, str]]) -> list[Any]:
    """The arrays [h, w] of some channels.

    Raises:
        RuntimeError: the file cannot be decoded; errors of other types, too.
    """
    import OpenEXR

    file = OpenEXR.File(io.BytesIO(data), separate_channels=True, num_threads=0)
    arrays = []
    for part, channel in wanted:
        arrays.append(file.parts[part].channels[channel].pixels)
    return arrays


def serve(requests: BinaryIO, answers: BinaryIO, printed: BinaryIO) -> None:
    """Answer requests until they end.

    A file about which the decoder prints is damaged: `printed` receives that.
    """
    while line := requests.readline():
        signal.alarm(SECONDS)
        request = json.loads(line)
        data = requests.read(request["bytes"])
        try:
            arrays = decode(data, request["wanted"])
        except _REFUSED:
            arrays = []
        sys.stdout.flush()
        if os.fstat(printed.fileno()).st_size:
            arrays = []
            os.ftruncate(printed.fileno(), 0)
        signal.alarm(0)
        heads = [[array.dtype.str, array.shape] for array in arrays]
        answers.write(json.dumps(heads or None).encode() + b"\n")
        for array in arrays:
            answers.write(array.tobytes())
        answers.flush()


def main() -> None:
    """Take the process's own output for the answers, and a file for all that is printed."""
    answers = os.fdopen(os.dup(1), "wb")
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
        serve(sys.stdin.buffer, answers, printed)


if __name__ == "__main__":
    main()
