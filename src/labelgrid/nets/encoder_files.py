"""Reads the files of frozen encoders, which are named by the hash of their tensors.

Loads no torch.
"""

import hashlib
import json
import os
import re
from pathlib import Path

from labelgrid.basics.errors import ModelError
from labelgrid.basics.files import open_regular, read_bytes

#: The types of tensors by their names in files.
_TYPES = {
    "BF16": "torch.bfloat16",
    "BOOL": "torch.bool",
    "C64": "torch.complex64",
    "F16": "torch.float16",
    "F32": "torch.float32",
    "F64": "torch.float64",
    "I8": "torch.int8",
    "I16": "torch.int16",
    "I32": "torch.int32",
    "I64": "torch.int64",
    "U8": "torch.uint8",
}
_HASH = re.compile("[0-9a-f]{16}")
#: The most bytes that describe the tensors of a file.
_LARGEST = 2**24


def encoder_file(folder: Path, key: str) -> Path:
    """The path of an encoder's file.

    Args:
        folder: the folder of encoders.
        key: the hash of the encoder's tensors, which a file may have brought.

    Raises:
        ModelError: `key` is none.
    """
    if not _HASH.fullmatch(key):
        raise ModelError(
            f"The hash of an encoder has 16 hexadecimal digits, and {key[:40]!r} is none.",
            next_step="Restore the file that names it from a copy.",
        )
    return folder / f"{key}.safetensors"


def read_encoder(folder: Path, key: str, source: str) -> bytes:
    """Read the file of an encoder, and check the content by the hash.

    Args:
        folder: the folder of encoders.
        key: the hash of the encoder's tensors.
        source: where its weights are from, for messages.

    Raises:
        ModelError: `key` is no hash; the file is missing, damaged or cannot be read.
    """
    path = encoder_file(folder, key)
    try:
        content = read_bytes(path)
        if tensors_hash(content) == key:
            return content
        fault = "is damaged"
    except FileNotFoundError:
        fault = "is missing"
    except OSError as error:
        fault = f"cannot be read ({error.strerror})"
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        fault = "is damaged"
    raise ModelError(
        f"The file of a frozen encoder {fault}: {source}, hash {key}.",
        where=path,
        next_step="Put it back, or run `labelgrid fit` where the same weights are at hand, which "
        "writes it again. To start over, remove the folder `fit` of the round.",
    )


def tensors_hash(content: bytes) -> str:
    """The hash of the tensors in a .safetensors file, as `nets.hashes.weights_hash`.

    Raises:
        AttributeError, LookupError, RecursionError, TypeError, ValueError: this is no such file.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    values = memoryview(content)[start:]
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(header):
        tensor = header[name]
        begin, end = tensor["data_offsets"]
        shape = tuple(tensor["shape"])
        digest.update(f"{name} {_TYPES[tensor['dtype']]} {shape}\n".encode())
        digest.update(values[begin:end])
    return digest.hexdigest()


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors in a .safetensors file, by name.

    {} from other files, and if the file is cut off or longer than its tensors.
    """
    shapes = {}
    end = 0
    try:
        with open_regular(path) as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(size, _LARGEST)))
            content = os.fstat(file.fileno()).st_size
        header.pop("__metadata__", None)
        for name, tensor in header.items():
            shapes[name] = tuple(tensor["shape"])
            end = max(end, tensor["data_offsets"][1])
    except (AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError):
        return {}
    return shapes if content == 8 + size + end else {}
