"""Write-ahead segments: framed records in an append-only file.

A frame is its length, the crc32 of its payload and the payload, written by one `write`: when `append` returns the
kernel holds it, whatever becomes of the process. A write torn by a power cut or a full disk fails its length or
checksum; reading stops there. 8-15 us a record of 1 KB, its encoding and hash included.
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from synthkit.core.errors import StoreFull
from synthkit.store.manifest import sync_directory
from synthkit.store.writer import disk_error

_HEADER = struct.Struct("<II")


class Segment:
    """One open segment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.opened = time.monotonic()
        self.keys: list[bytes] = []
        """Keys of its records, for those who index them."""
        self._unsynced = True
        self._named = False
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)

    def append(self, payload: bytes) -> int:
        """Write one frame; returns where its payload begins."""
        frame = _HEADER.pack(len(payload), zlib.crc32(payload)) + payload
        try:
            written = os.write(self._fd, frame)
        except OSError as error:
            raise disk_error(error) from error
        if written != len(frame):
            os.ftruncate(self._fd, self.size)
            raise StoreFull(f"{self.path} could not be extended: the disk is full; free space, then run again")
        at = self.size + _HEADER.size
        self.size += len(frame)
        self._unsynced = True
        return at

    def read(self, at: int, length: int) -> bytes:
        """A payload written before."""
        return os.pread(self._fd, length, at)

    def sync(self) -> None:
        """Make everything appended so far durable against power loss; the first time the file's name too."""
        if self._unsynced:
            self._unsynced = False
            os.fsync(self._fd)
        if not self._named:
            sync_directory(self.path.parent)
            self._named = True

    def close(self) -> None:
        """Close the file; safe to call twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def payloads(path: Path) -> Iterator[bytes]:
    """The whole records of a segment, up to the first torn one."""
    content = path.read_bytes()
    at = 0
    while at + _HEADER.size <= len(content):
        length, checksum = _HEADER.unpack_from(content, at)
        payload = content[at + _HEADER.size : at + _HEADER.size + length]
        if not length or len(payload) != length or zlib.crc32(payload) != checksum:
            return
        yield payload
        at += _HEADER.size + length


def numbers(directory: Path) -> list[int]:
    """The numbers of the segments in a directory, oldest first."""
    return sorted(int(path.stem) for path in directory.glob("*.seg") if path.stem.isdigit())


def named(directory: Path, number: int) -> Path:
    """The path of a segment."""
    return directory / f"{number:06d}.seg"
