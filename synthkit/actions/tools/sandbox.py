"""The parent's side of the sandbox: one process a program, watched by the event loop.

The process is waited for by its file descriptor (pidfd), for asyncio's own watcher takes a thread a process on Python
3.11. Input, output and report are files without a name, so no pipe can fill or stay open. 37-43 ms a program, two
thirds of it the interpreter's start.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

_FENCE = Path(__file__).with_name("fence.py")
_GRACE = 2.0
"""Seconds of the clock for the interpreter to start and end."""
_ROOM, _FILES, _GLANCE = 256 << 20, 10_000, 0.25
"""Bytes and number of a program's files, and how often (in seconds) they are counted: no kernel limit says it."""


class SandboxError(Exception):
    """The walls cannot be raised on this machine; nothing was run."""


class Limits(NamedTuple):
    """What a program may take."""

    seconds: int
    """Of processor time; by the clock twice as long and two more, for a busy machine is not the program's fault."""
    memory: int
    """Bytes of address space, of which the interpreter itself needs about 20 MiB."""
    output: int
    """Characters of output that are kept."""


class Ran(NamedTuple):
    """What became of a program."""

    output: str
    """Both streams as they came, the middle left out where they are longer than the limit."""
    status: int
    """Exit status; negative: the signal that ended it."""
    late: bool
    """Whether it was ended by the clock."""
    walls: tuple[str, ...]
    """What stood around it."""
    full: bool = False
    """Whether it was ended for the room that its files took."""


async def run(code: str, limits: Limits, *, interpreter: Path | None = None, fenced: bool = True) -> Ran:
    """Run a program; SandboxError where it cannot be fenced in. `interpreter` brings its packages with it."""
    if sys.platform != "linux":
        raise SandboxError("programs are fenced in by Linux (Landlock and seccomp); this is another system")
    with (
        tempfile.TemporaryDirectory(prefix="synthkit-program-", ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as report,
    ):
        asked = {
            "code": code,
            "folder": folder,
            "seconds": limits.seconds,
            "memory": limits.memory,
            "fenced": fenced,
            "parent": os.getpid(),
        }
        given.write(json.dumps(asked).encode())
        given.seek(0)
        python = [str(interpreter)] if interpreter else [str(Path(sys.executable).resolve()), "-S"]
        process = subprocess.Popen(
            [*python, "-s", "-P", "-B", "-u", "-X", "utf8", str(_FENCE), str(report.fileno())],
            stdin=given,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(report.fileno(),),
            cwd=folder,
            env={"PYTHONHASHSEED": "0", "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8", "TZ": "UTC"},
            start_new_session=True,
        )
        stopped = await _ended(process, 2 * limits.seconds + _GRACE, folder)
        said = _said(report, process.returncode, output)
        text = _text(output, limits.output)
        for own in said["prefixes"]:  # paths of this machine have no place in rows
            text = text.replace(own, "/usr")
        late = stopped == "late" or -process.returncode == signal.SIGXCPU
        text = text.replace(folder, "/home/agent")
        return Ran(text, process.returncode, late, tuple(said["walls"]), full=stopped == "full")


async def _ended(process: subprocess.Popen[bytes], seconds: float, folder: str) -> Literal["", "late", "full"]:
    """Wait for the end, or bring it about, and say why."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    handle = -1
    try:
        handle = os.pidfd_open(process.pid)
        loop.add_reader(handle, ended.set)
        last = loop.time() + seconds
        while (left := last - loop.time()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), min(left, _GLANCE))
                return ""
            if _full(folder):
                return "full"
        return "late"
    except OSError as error:
        raise SandboxError(f"processes cannot be watched here (pidfd_open: {error.strerror})") from error
    finally:
        if handle >= 0:
            loop.remove_reader(handle)
            os.close(handle)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()  # it has ended, or was killed just now


def _full(folder: str) -> bool:
    """Whether a program's files take more room than they may, or cannot be counted."""
    room, number, folders = 0, 0, [folder]
    while folders and room <= _ROOM and number <= _FILES:
        try:
            with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folders.pop()) as found:  # gone by now
                for each in found:
                    number += 1
                    if each.is_dir(follow_symlinks=False):
                        folders.append(each.path)
                    with suppress(FileNotFoundError):
                        room += each.stat(follow_symlinks=False).st_blocks * 512
        except OSError:  # its path is longer than the system takes, or nobody may look into it
            return True
    return room > _ROOM or number > _FILES


def _said(report: IO[bytes], status: int, output: IO[bytes]) -> dict[str, Any]:
    """What the child reported before it ran the program; SandboxError where it did not come to that."""
    report.seek(0)
    written = report.read()
    said: dict[str, Any] = json.loads(written) if written else {}
    if "walls" not in said:
        reason = said.get("error") or f"the interpreter ended with {status}: {_text(output, 500).strip()}"
        raise SandboxError(reason)
    return said


def _text(output: IO[bytes], most: int) -> str:
    """The output; of one that is too long the beginning and the end, which has the error."""
    size = output.seek(0, os.SEEK_END)
    output.seek(0)
    if size <= 4 * most:
        text = output.read().decode(errors="replace")
        if len(text) <= most:
            return text
        head, tail = text, text
    else:
        head = output.read(4 * most).decode(errors="replace")
        output.seek(size - 4 * most)
        tail = output.read().decode(errors="replace")
    kept = most // 2
    return f"{head[:kept]}\n[... {size} bytes of output, the middle is left out ...]\n{tail[-kept:]}"
