"""How long a user waits before anything happens."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator

from benchmarks.measure import Figure, run

AIMS = {"--help": 0.2, "check": 0.6, "plan": 0.6}
REPEATS = 7


def startup(spec: str = "specs/fas_planning.yaml") -> Iterator[Figure]:
    """Median of seven starts of each command, beside the bare interpreter's."""
    bare = statistics.median(run("-c", "pass").seconds for _ in range(REPEATS))
    none = f"{tempfile.mkdtemp()}/none"
    commands = {"--help": ["--help"], "check": ["check", spec], "plan": ["plan", spec, "--out", none]}
    for name, arguments in commands.items():
        seconds = statistics.median(run("-m", "synthkit", *arguments).seconds for _ in range(REPEATS))
        yield Figure(f"start-up of {name}", seconds, "s", bare, "python -c pass", f"<= {AIMS[name]}")


if __name__ == "__main__":
    for figure in startup(*sys.argv[1:]):
        print(f"{figure.name}: {figure.ours:.3f} {figure.unit}")
