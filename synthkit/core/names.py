"""Nearest-name help: one wording for keys, steps, columns and variables."""

from __future__ import annotations

from collections.abc import Iterable


def guess(wrong: str, known: Iterable[str]) -> str | None:
    """The known name closest to a wrong one, if any is close."""
    from difflib import get_close_matches

    names = {name.lower(): name for name in reversed(list(known))}
    found = get_close_matches(wrong.lower()[:80], list(names), n=1, cutoff=0.6)
    return names[found[0]] if found else None


def nearest(wrong: str, known: Iterable[str], what: str) -> str:
    """`columns: a, b; did you mean 'a'?`, for the help line of a diagnostic."""
    names = list(known)
    listed = f"{what}: {', '.join(names)}" if names else f"there are no {what}"
    meant = guess(wrong, names)
    return f"{listed}; did you mean {meant!r}?" if meant else listed
