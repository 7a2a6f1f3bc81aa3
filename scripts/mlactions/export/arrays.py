"""Read .npz files without copying them: their arrays are mapped, and paged in where they are used.

`numpy.load` ignores `mmap_mode` for .npz, so a reference as large as the weights would lie in
memory as a whole. Whoever wrote the file is not trusted: an array is as long as its header says,
and compressed ones, which may unfold to anything, are refused.
"""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_LOCAL_HEADER = struct.Struct("<26xHH")
"""The end of a zip file's local header: the lengths of the name and of the extra field."""


class ArraysError(Exception):
    """A .npz file that cannot be used; a sentence without its full stop."""


class Arrays(Mapping[str, Array]):
    """The arrays of one .npz file by name, mapped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        except (OSError, ValueError, struct.error, zipfile.BadZipFile) as error:
            raise ArraysError(f"{path.name} is no .npz file: {error}") from None
        self._members = {info.filename.removesuffix(".npy"): info for info in members}

    def __getitem__(self, name: str) -> Array:
        info = self._members[name]
        try:
            return self._mapped(info)
        except Exception as error:  # noqa: BLE001  # numpy raises many kinds at a broken header
            why = " ".join(str(error).split())[:200] or type(error).__name__
            raise ArraysError(f"`{name}` in {self._path.name} is broken: {why}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def _mapped(self, info: zipfile.ZipInfo) -> Array:
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError("it is compressed")
        with self._path.open("rb") as stream:
            stream.seek(info.header_offset)
            name, extra = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
            start = stream.seek(name + extra, 1)
            shape, fortran, dtype = _header(stream)
            offset = stream.tell()
        if math.prod(shape) * dtype.itemsize != info.file_size - (offset - start):
            raise ValueError(f"it has not the bytes of {dtype} {list(shape)}")
        if 0 in shape:
            return np.empty(shape, dtype)
        order: Literal["C", "F"] = "F" if fortran else "C"
        mapped: Array = np.memmap(self._path, dtype, "r", offset, shape, order)
        return mapped


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    if dtype.kind not in "biuf" or any(length < 0 for length in shape):
        raise ValueError(f"{dtype} {list(shape)} is no tensor")
    return shape, fortran, dtype
