"""A process that writes a run until it is killed; what was acknowledged it says on stdout, line by line.

Every life goes on where the last one ended, as a resumed run does: parents without an outcome are done, every tenth is
rejected, some are decided anew with other children, calls are asked once.
"""

from __future__ import annotations

import asyncio
import random
import sys
from datetime import timedelta
from pathlib import Path

from synthkit.core.ids import digest, mint
from synthkit.core.outcome import Outcome, Reject
from synthkit.core.store import JournalKey, JournalRecord, StepLayout
from synthkit.core.types import Int, Str
from synthkit.store import dataset, journal
from synthkit.store.run import open_run

DOCS = StepLayout("docs", digest("docs"), {"text": Str()})
PARTS = StepLayout("parts", digest("parts"), {"n": Int()}, ("docs",))
SOURCES = [mint("", "docs", n) for n in range(4000)]
BATCH = 7


def call(number: int) -> JournalKey:
    return JournalKey(SOURCES[number % len(SOURCES)], "parts", f"call {number // len(SOURCES)}", 0, digest(number))


def children(parent: str, generation: int) -> list[dict[str, object]]:
    """Three children of the first generation, four of the second."""
    made = [mint(parent, "parts", generation, n) for n in range(3 + generation)]
    return [{"_id": child, "_parents": [parent], "_in": digest(generation), "n": n} for n, child in enumerate(made)]


async def main(path: Path, seed: int) -> None:
    rng = random.Random(seed)
    journal.SEGMENT_BYTES = 4000
    dataset._FEW_FRAGMENTS, dataset._TIERS, dataset._KEEP = 8, (64, 4096), timedelta(0)
    run = open_run(path, write=True)
    run.describe([DOCS, PARTS])
    docs = run.table("docs")
    if not docs.count():
        await docs.write([{"_id": row, "_parents": [], "text": row} for row in SOURCES], [])
    table = run.table("parts")
    snapshot = table.snapshot()
    found = dict(zip(SOURCES, snapshot.find(SOURCES), strict=True))
    fresh = [row for row, done in found.items() if done is None]
    old = [row for row, done in found.items() if done is not None and done.input != digest(1)]
    number = 0
    while True:
        for _ in range(rng.randrange(12)):
            while await run.journal.find(call(number)):
                number += 1
            run.journal.append(JournalRecord(call(number), 0, ({"text": str(number)},)))
            print("call", number, flush=True)
            number += 1
        again, old = old[:2], old[2:]
        parents, fresh = fresh[:BATCH], fresh[BATCH:]
        kept = [row for row in parents if SOURCES.index(row) % 10]
        rows = [child for row in kept for child in children(row, 0)] + [c for row in again for c in children(row, 1)]
        rejects = [Reject("parts", row, Outcome.FAILED, "x", input=digest(0)) for row in parents if row not in kept]
        await table.write(rows, rejects, again)
        print("rows", *kept, flush=True)
        print("rejects", *(reject.row for reject in rejects), flush=True)
        print("again", *again, flush=True)
        await run.journal.sync()
        if not fresh:
            break
    await run.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
