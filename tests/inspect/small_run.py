"""A small finished run: 12 documents, 3 parts each, of which some were filtered, failed, or left undecided."""

from __future__ import annotations

from synthkit.core.ids import digest, mint
from synthkit.core.outcome import Outcome, Reject
from synthkit.core.store import JournalKey, JournalRecord, StepLayout
from synthkit.core.types import Int, Json, ListOf, Object, Optional, Str
from synthkit.store.run import LanceRun

LAYOUTS = [
    StepLayout("docs", digest("docs"), {"text": Str(), "license": Str(), "meta": Json()}),
    StepLayout("parts", digest("parts"), {"part": Str(), "claims": ListOf(Object({"text": Str()}))}, ("docs",)),
    StepLayout(
        "judged",
        digest("judged"),
        {"score": Optional(Int(1, 5)), "draft": Str()},
        ("parts",),
        keeps_id=True,
        hidden=frozenset({"draft"}),
    ),
]
DOCS = [mint("", "docs", n) for n in range(12)]
PARTS = [mint(doc, "parts", n) for doc in DOCS[:9] for n in range(3)]


async def fill(run: LanceRun) -> None:
    run.describe(LAYOUTS)
    docs = [
        {
            "_id": doc,
            "_parents": [],
            "text": f"text of {n}",
            "license": "CC0-1.0" if n % 3 else "",
            "meta": {"n": n, "tags": ["甲", None]},
        }
        for n, doc in enumerate(DOCS)
    ]
    await run.table("docs").write(docs, [])
    parts = [
        {
            "_id": mint(doc, "parts", n),
            "_parents": [doc],
            "_in": digest(doc),
            "part": f"{number}-{n}",
            "claims": [{"text": "c"}] * n,
        }
        for number, doc in enumerate(DOCS[:9])
        for n in range(3)
    ]
    gone = [
        Reject("parts", DOCS[9], Outcome.FILTERED, "not long", input=digest(1)),
        Reject("parts", DOCS[10], Outcome.FAILED, "not parsed", boundary="parse", input=digest(1)),
        Reject("parts", DOCS[10], Outcome.FAILED, "not parsed", sample=1, key="main", boundary="parse", raw="{"),
        Reject("parts", DOCS[0], Outcome.FILTERED, "dull", sample=0, key="main"),
    ]
    await run.table("parts").write(parts, gone)
    judged = [{"_id": p["_id"], "_parents": [p["_id"]], "_in": digest(1), "score": 5, "draft": "d"} for p in parts[:20]]
    await run.table("judged").write(judged, [Reject("judged", p, Outcome.FILTERED, "not good") for p in PARTS[20:]])
    for n, doc in enumerate(DOCS[:11]):
        key = JournalKey(doc, "parts", "main", 0, digest("prompt"))
        samples = tuple({"text": f"{n}.{s}"} for s in range(2))
        run.journal.append(
            JournalRecord(key, 0, samples, model="writer", prompt_tokens=10, completion_tokens=4, at=2.0)
        )
    older = JournalKey(DOCS[0], "parts", "main", 0, digest("older prompt"))
    run.journal.append(JournalRecord(older, 0, ({"text": "old"},), model="writer", prompt_tokens=10, at=1.0))
    mended = JournalKey(DOCS[1], "parts", "main/0.1", 0, digest("again"))
    run.journal.append(JournalRecord(mended, 0, ({"text": "mended"},), model="writer", at=2.0))
    tool = JournalKey(DOCS[1], "parts", "tool", 0, digest("effect"))
    run.journal.append(JournalRecord(tool, 0, ({"text": "1"},), kind="effect", at=2.0))
    run.state |= {
        "spec": "specs/small.yaml",
        "spec_text": "name: small\nsteps: {}\n",
        "vars": {"k": 3},
        "about": "A small run.",
        "roles": {"writer": "nano"},
        "aliases": {"good": "judged"},
        "definitions": {"parts": {"prompt": "one"}},
    }
    run.publish("corpus", "judged", ["part", "meta", "claims", "license"], {})
