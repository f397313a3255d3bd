"""Runs a command as a process of its own and reads its time, CPU and peak memory."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SPECS = Path(__file__).parent / "specs"


@dataclass(frozen=True)
class Figure:
    """One line of the table: ours, the other's or the limit's, on the same work in the same run."""

    name: str
    ours: float
    unit: str
    other: float | None = None
    against: str = ""
    aim: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over the other's."""
        return self.ours / self.other if self.other else None


@dataclass(frozen=True)
class Process:
    """What one process took."""

    seconds: float
    cpu: float
    peak: int
    """Bytes of resident memory: of the process alone, or with `tree` of its children, too."""
    output: str


def run(
    *arguments: str,
    env: dict[str, str] | None = None,
    timeout: float = 900,
    python: Path | str = sys.executable,
    tree: bool = False,
) -> Process:
    """Run `python ARGUMENTS`; raises with its output where it fails."""
    began = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        [str(python), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(env or {})},
    )
    peak = [0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peak, tree), daemon=True)
    watcher.start()
    output, _ = process.communicate(timeout=timeout)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}:\n{output[-4000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Process(seconds, cpu, peak[0], output)


def _watch(pid: int, peak: list[int], tree: bool) -> None:
    """The kernel's own high-water marks, read until the process is gone."""
    while True:
        try:
            peak[0] = max(peak[0], _high(pid) + sum(map(_high, _below(pid) if tree else [])))
        except OSError:
            return
        time.sleep(0.1)


def _high(pid: int) -> int:
    """The most memory a process ever had; OSError where it is gone."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _below(pid: int) -> Iterator[int]:
    """Processes that a process started, and those that these started."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, children.read_text().split()):
                yield child
                yield from _below(child)


def documents(path: Path, rows: int, words: int = 60) -> Path:
    """A file of `rows` made-up documents."""
    rng = random.Random(3)
    vocabulary = ["harbour", "bridge", "river", "market", "tower", "council", "lamp", "canal", "road", "mill", "quarry"]
    with path.open("w") as file:
        for number in range(rows):
            text = " ".join(rng.choices(vocabulary, k=words))
            file.write(json.dumps({"id": f"d{number}", "text": f"{number} {text}"}) + "\n")
    return path
