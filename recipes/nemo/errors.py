"""What stops a launch: one sentence on what is wrong, and one on what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class LaunchError(Exception):
    """Something that would waste the cluster's time; `help` says what to do about it."""

    def __init__(self, message: str, help: str = "") -> None:
        self.message, self.help = message, help
        super().__init__(f"{message}\n  help: {help}" if help else message)


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, or the known names where none is near."""
    names = sorted(known)
    close = get_close_matches(name, names, 1)
    return f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(names)}"
