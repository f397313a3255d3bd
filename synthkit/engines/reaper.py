"""Child processes that must not outlive this one, not even when it is killed with -9, nor die of its Ctrl-C.

vLLM's engine core is an orphan after a `kill -9` of its parent (seen on 0.32: alive 15 s later, GPU memory held).
PDEATHSIG would have to be set inside the child and is tied to the thread that started it. So a small watcher
process (8 MB, one wake-up a second) is told the children that appear while an engine starts; it kills those that are
left when it is told to, or when its parent changes. The end of its stdin says nothing: a forked child holds the other
end, too. Linux only, as vLLM is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from types import TracebackType
from typing import IO

_WATCHER = r"""
import os, select, signal
parent, wards = os.getppid(), {}
def start(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return None
def kill():
    for pid, started in wards.items():
        if started and start(pid) == started:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
rest, over = b"", False
while not over and os.getppid() == parent:
    if select.select([0], [], [], 1.0)[0]:
        told = os.read(0, 65536)
        *lines, rest = (rest + told).split(b"\n")
        for line in lines:
            if line == b"kill":
                kill()
            elif line != b"end":
                wards[int(line)] = start(int(line))
        over = not told or b"end" in lines
kill()
"""
_EVERY = 0.1


@contextlib.contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Children started by this thread do not hear Ctrl-C, which a terminal sends to them too.

    The signal mask survives fork and exec, and a handler that the child installs changes nothing about it. A first
    Ctrl-C aborts the requests under way and keeps what is finished; a core that heard it would die meanwhile, which is
    another end of a run (exit 4).
    """
    resource_tracker.ensure_running()  # it lifts the mask when it starts, so it must be there before
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Reaper:
    """Watches over the children born inside `with reaper:`; `close` kills those still alive."""

    def __init__(self) -> None:
        """Nothing is started before the first `with`."""
        self._watcher: subprocess.Popen[bytes] | None = None
        self._known: set[int] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Reaper:
        """Begin to look for new children, ten times a second."""
        resource_tracker.ensure_running()  # it serves every child of this process and ends by itself
        if self._watcher is None:
            command = [sys.executable, "-I", "-S", "-c", _WATCHER]
            self._watcher = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, close_fds=True)
        self._known = _descendants() | {self._watcher.pid}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="synthkit-reaper", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Look once more and stop looking."""
        self._stop.set()
        assert self._thread is not None
        self._thread.join()
        self._tell()

    def kill(self) -> None:
        """Kill the children seen so far, and go on watching."""
        self._say(b"kill\n")

    def close(self) -> None:
        """Kill what is left of the children, and end the watcher."""
        if self._watcher is None:
            return
        self._say(b"end\n")
        watcher, self._watcher = self._watcher, None
        assert watcher.stdin is not None
        with contextlib.suppress(OSError):
            watcher.stdin.close()
        watcher.wait()

    def _look(self) -> None:
        while not self._stop.wait(_EVERY):
            self._tell()

    def _tell(self) -> None:
        new = _descendants() - self._known
        self._known |= new
        if new:
            self._say(b"".join(b"%d\n" % pid for pid in new))

    def _say(self, lines: bytes) -> None:
        if self._watcher is not None:
            pipe: IO[bytes] | None = self._watcher.stdin
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.write(lines)
                pipe.flush()


def _descendants() -> set[int]:
    """Every process below this one."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    ahead = [os.getpid()]
    while ahead:
        for child in children.get(ahead.pop(), ()):
            found.add(child)
            ahead.append(child)
    return found
