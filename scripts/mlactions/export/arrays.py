"""Read .npz files without copying them: their arrays are mapped, and paged in where they are used.

`numpy.load` ignores `mmap_mode` for .npz, so a reference as large as the weights would lie in
memory as a whole.
"""

from __future__ import annotations

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
    """The arrays of one .npz file by name. Stored ones are mapped, compressed ones are read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        except (OSError, zipfile.BadZipFile) as error:
            raise ArraysError(f"{path.name} is no .npz file: {error}") from None
        self._members = {info.filename.removesuffix(".npy"): info for info in members}

    def __getitem__(self, name: str) -> Array:
        info = self._members[name]
        try:
            stored = info.compress_type == zipfile.ZIP_STORED
            return self._mapped(info) if stored else self._read(info)
        except (OSError, ValueError, zipfile.BadZipFile, struct.error) as error:
            raise ArraysError(f"`{name}` in {self._path.name} is broken: {error}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def _mapped(self, info: zipfile.ZipInfo) -> Array:
        with self._path.open("rb") as stream:
            stream.seek(info.header_offset)
            name, extra = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
            stream.seek(name + extra, 1)
            shape, fortran, dtype = _header(stream)
            offset = stream.tell()
        if 0 in shape:
            return np.empty(shape, dtype)
        order: Literal["C", "F"] = "F" if fortran else "C"
        mapped: Array = np.memmap(self._path, dtype, "r", offset, shape, order)
        return mapped

    def _read(self, info: zipfile.ZipInfo) -> Array:
        with zipfile.ZipFile(self._path) as archive, archive.open(info) as stream:
            read: Array = np.lib.format.read_array(stream, allow_pickle=False)
        return read


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return shape, fortran, dtype
