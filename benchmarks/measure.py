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
    """Bytes of resident memory, the process alone."""
    output: str


def run(*arguments: str, env: dict[str, str] | None = None, timeout: float = 900) -> Process:
    """Run `python ARGUMENTS`; raises with its output where it fails."""
    began = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(env or {})},
    )
    peak = [0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
    watcher.start()
    output, _ = process.communicate(timeout=timeout)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}:\n{output[-4000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Process(seconds, cpu, peak[0], output)


def _watch(pid: int, peak: list[int]) -> None:
    """The kernel's own high-water mark, read until the process is gone."""
    status = Path(f"/proc/{pid}/status")
    while True:
        try:
            for line in status.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    peak[0] = max(peak[0], int(line.split()[1]) * 1024)
        except OSError:
            return
        time.sleep(0.1)


def documents(path: Path, rows: int, words: int = 60) -> Path:
    """A file of `rows` made-up documents."""
    rng = random.Random(3)
    vocabulary = ["harbour", "bridge", "river", "market", "tower", "council", "lamp", "canal", "road", "mill", "quarry"]
    with path.open("w") as file:
        for number in range(rows):
            text = " ".join(rng.choices(vocabulary, k=words))
            file.write(json.dumps({"id": f"d{number}", "text": f"{number} {text}"}) + "\n")
    return path
