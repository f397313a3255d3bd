"""`@compiled`: a function as machine code by numba, without the interpreter's lock, kept on disk.

The first call on a machine compiles, which is kept in `__pycache__` (or the user's cache, where that cannot be
written): all kernels take 12 s once, and with Lance and the tables 0.6 s in every process after it. numba promotes
uint32 * uint32 to uint64, so 32-bit arithmetic is cast back at each step; the tests compare with datasketch bit by bit.
A kernel calls kernels of its own file only: numba compiles anew when that file changes, and sees no other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """The function, compiled when it is first called."""
    options = {"nogil": True, "boundscheck": False}
    try:
        return cast("F", numba.njit(cache=True, **options)(function))
    except RuntimeError:  # no folder to keep it in: a read-only machine compiles in every process
        return cast("F", numba.njit(**options)(function))
