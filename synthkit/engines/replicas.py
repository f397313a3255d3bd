"""Which replica a request goes to: the least loaded one, with a leaning to where its prefix was seen before.

A prompt's beginning picks a home by hash; the home serves it unless it has `slack` more samples outstanding than the
least loaded replica. So each prompt's static part is cached where it is used, and no replica idles.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

_PREFIX = 512


def choose(outstanding: Sequence[int], alive: Sequence[bool], prefix: str, slack: int) -> int | None:
    """The index of the replica to use; None where none is alive."""
    able = [index for index, up in enumerate(alive) if up]
    if not able:
        return None
    home = able[crc32(prefix[:_PREFIX].encode()) % len(able)]
    least = min(able, key=lambda index: outstanding[index])
    return home if outstanding[home] <= outstanding[least] + slack else least
