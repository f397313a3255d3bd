"""One writer per run directory, by `flock` on `.lock`.

The kernel drops the lock when its holder dies, so a file left behind by `kill -9` stops nobody; its content only
serves the message a second writer gets. Forked children let go of it at once, or an orphaned worker would hold the run.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
import weakref
from datetime import UTC, datetime
from pathlib import Path

import orjson

from synthkit.core.errors import StoreError, StoreLocked


class RunLock:
    """The lock of a run directory; held from creation to `release`."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / ".lock"
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 4096, 0)
            self.release()
            raise StoreLocked(_refusal(directory, holder)) from None
        except OSError as error:
            self.release()
            raise StoreError(
                f"{self.path} cannot be locked ({error}); use a file system that supports flock (--out)"
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, orjson.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": time.time()}), 0)
        _close_in_children(weakref.ref(self))

    def release(self) -> None:
        """Let the next writer in; safe to call twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _close_in_children(lock: weakref.ref[RunLock]) -> None:
    def release() -> None:
        held = lock()
        if held is not None:
            held.release()

    os.register_at_fork(after_in_child=release)


def _refusal(directory: Path, holder: bytes) -> str:
    try:
        found = orjson.loads(holder)
        started = datetime.fromtimestamp(found["started"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        who = f"process {found['pid']} on {found['host']}, started {started}"
    except (ValueError, KeyError, TypeError):
        who = "another process"
    return f"{directory} is being written by {who}; wait for it or end it, or write elsewhere with --out"
