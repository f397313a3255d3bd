"""Gives freed memory back to the system while a run goes on.

glibc keeps a heap for each thread that allocates, and of each whatever lies below its last block. Lance works on many
threads: at the end of 10^5 rows of one call 21 MiB of 210 in such heaps were in use. So one heap serves all threads,
blocks of 256 KiB or more get pages of their own, and a thread returns the free pages of the heap each second.
polars brings an allocator of its own (jemalloc), which keeps freed pages for 10 s in each of many arenas: told to keep
them 0.2 s in two, the ledger of 10^6 rows takes 69 MiB in place of 108, and no more processor time.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time

_TRIM, _MMAP, _ARENAS = -1, -3, -8
"""M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX of malloc.h."""
_BYTES = 256 << 10
_SECONDS = 1.0
_POLARS = "dirty_decay_ms:200,muzzy_decay_ms:0,narenas:2"


def return_freed_memory() -> None:
    """For the whole process, until it ends; what is polars' before it is imported, the rest where there is a glibc."""
    os.environ.setdefault("_RJEM_MALLOC_CONF", _POLARS)
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt") and hasattr(library, "malloc_trim"):
        library.mallopt(_MMAP, _BYTES)
        library.mallopt(_TRIM, _BYTES)
        library.mallopt(_ARENAS, 1)
        threading.Thread(target=_trim, args=(library,), name="synthkit-memory", daemon=True).start()


def _trim(library: ctypes.CDLL) -> None:
    while True:
        time.sleep(_SECONDS)
        library.malloc_trim(0)
