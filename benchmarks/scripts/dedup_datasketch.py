"""`python dedup_datasketch.py FILE OUT FOLDER`: each document is looked up in the LSH index, and added if it is new."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from datasketch import MinHash, MinHashLSH

WORDS, BANDS = 5, (16, 8)


def shingles(text: str) -> list[bytes]:
    words = text.lower().split()
    return [" ".join(words[at : at + WORDS]).encode() for at in range(max(1, len(words) - WORDS + 1))]


def main(source: Path, out: Path, _: Path) -> None:
    began = time.monotonic()
    index = MinHashLSH(num_perm=128, params=BANDS)
    dropped = []
    with source.open() as file:
        ids, texts = zip(*((row["id"], row["text"]) for row in map(json.loads, file)), strict=True)
    for ident, signature in zip(ids, MinHash.generator(map(shingles, texts), num_perm=128), strict=True):
        if index.query(signature):
            dropped.append(ident)
        else:
            index.insert(ident, signature, check_duplication=False)
    seconds = time.monotonic() - began
    out.write_text(json.dumps({"seconds": seconds, "dropped": dropped}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
