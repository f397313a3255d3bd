"""Finished completions in Lance, found by call key through an index of 24 bytes a record.

The index holds sorted runs of (key, first sample, row position); a commit adds a run, and runs are merged when the
newer is half as long as the older, so that 10^7 records cost a few merges. Positions stay valid because the table only
grows and merging fragments keeps its order. A record that is there already is not written again: replaying a segment
whose commit was never acknowledged changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from synthkit.core.store import JournalKey, JournalRecord
from synthkit.store.dataset import Dataset, damaged
from synthkit.store.keys import Halves, pack

_SAMPLE = pa.struct(
    [("text", pa.string()), ("finish", pa.string()), ("reasoning", pa.string()), ("label_logprobs", pa.string())]
)
SCHEMA = pa.schema(
    [
        ("_key_hi", pa.uint64()),
        ("_key_lo", pa.uint64()),
        ("row", pa.string()),
        ("step", pa.string()),
        ("call", pa.string()),
        ("attempt", pa.int32()),
        ("request", pa.string()),
        ("first", pa.uint32()),
        ("n", pa.uint32()),
        ("samples", pa.list_(_SAMPLE)),
        ("kind", pa.string()),
        ("model", pa.string()),
        ("prompt_tokens", pa.int64()),
        ("cached_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("seconds", pa.float64()),
        ("at", pa.float64()),
    ]
)
"""Columns of completions.lance; `n` is the number of samples, told without reading them; `label_logprobs` is JSON."""

_FIELDS = ("kind", "model", "prompt_tokens", "cached_tokens", "completion_tokens", "seconds", "at")


@dataclass(frozen=True, slots=True)
class _Run:
    """Sorted keys with the first sample and the row position of each record."""

    hi: Halves
    lo: Halves
    first: npt.NDArray[np.uint32]
    position: npt.NDArray[np.uint32]

    def find(self, hi: Halves, lo: Halves) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Pairs (index of the key asked for, index in this run) of all records of those keys."""
        left = np.searchsorted(self.hi, hi, side="left")
        counts = np.searchsorted(self.hi, hi, side="right") - left
        asked = np.repeat(np.arange(len(hi)), counts)
        offset = np.arange(len(asked)) - np.repeat(np.cumsum(counts) - counts, counts)
        here = np.repeat(left, counts) + offset
        match = self.lo[here] == lo[asked]
        return asked[match], here[match]

    def merged(self, other: _Run) -> _Run:
        """Both runs as one, column by column: sorting them anew would take 80 bytes a record beside the two."""
        theirs = np.zeros(len(self.hi) + len(other.hi), dtype=bool)
        theirs[np.searchsorted(self.hi, other.hi, side="right") + np.arange(len(other.hi))] = True
        return _Run(
            _interleaved(self.hi, other.hi, theirs),
            _interleaved(self.lo, other.lo, theirs),
            _interleaved(self.first, other.first, theirs),
            _interleaved(self.position, other.position, theirs),
        )


def _interleaved(mine: Any, other: Any, theirs: npt.NDArray[np.bool_]) -> Any:
    both = np.empty(len(theirs), dtype=mine.dtype)
    both[theirs] = other
    np.logical_not(theirs, out=theirs)
    both[theirs] = mine
    np.logical_not(theirs, out=theirs)
    return both


class Completions:
    """The completions table of a run and its index; `commit` is called from one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._dataset = Dataset.open(path)
        self._runs: tuple[_Run, ...] = ()
        self._indexed = False
        self._count = self._dataset.count() if self._dataset else 0

    def __len__(self) -> int:
        """Records committed."""
        return self._count

    @property
    def dataset(self) -> Dataset | None:
        """The table, once there is one."""
        return self._dataset

    def load(self) -> None:
        """Build the index: 10^6 records take 0.2 s; nothing is read where the table is empty."""
        if self._indexed or self._dataset is None:
            self._indexed = True
            return
        try:
            table = self._dataset.handle.to_table(columns=["_key_hi", "_key_lo", "first"])
        except (OSError, ValueError) as error:
            raise damaged(self.path, error) from error
        hi, lo, first = (table.column(name).to_numpy() for name in ("_key_hi", "_key_lo", "first"))
        self._runs = (_run(hi, lo, first, np.arange(len(hi), dtype=np.uint32)),) if len(hi) else ()
        self._indexed = True

    def locate(self, keys: Sequence[bytes]) -> list[list[int]]:
        """Row positions of the records of each key."""
        self.load()
        found: list[list[int]] = [[] for _ in keys]
        if self._runs:
            hi, lo = _halves(keys)
            for run in self._runs:
                asked, here = run.find(hi, lo)
                for index, position in zip(asked.tolist(), run.position[here].tolist(), strict=True):
                    found[index].append(position)
        return found

    def take(self, positions: Sequence[int]) -> list[JournalRecord]:
        """The records at some positions, in that order."""
        assert self._dataset is not None
        wanted, inverse = np.unique(np.asarray(positions, dtype=np.int64), return_inverse=True)
        rows = self._dataset.handle.take(wanted.tolist(), columns=SCHEMA.names[2:]).to_pylist()
        records = [_record(row) for row in rows]
        return [records[index] for index in inverse.tolist()]

    def commit(self, records: Iterable[bytes]) -> int:
        """Append segment payloads that are not there yet, in one commit; returns how many were new."""
        self.load()
        decoded = [_from_payload(payload) for payload in records]
        keys = [bytes.fromhex(record.key.digest()) for record in decoded]
        fresh = self._fresh(keys, decoded)
        if not fresh:
            return 0
        if self._dataset is None:
            self._dataset = Dataset.create(self.path, SCHEMA)
        begin = self._count
        hi, lo = _halves([keys[index] for index in fresh])
        first = np.array([decoded[index].first for index in fresh], dtype=np.uint32)
        self._dataset.append(_table(hi, lo, [decoded[index] for index in fresh]))
        runs = [*self._runs, _run(hi, lo, first, np.arange(begin, begin + len(fresh), dtype=np.uint32))]
        while len(runs) > 1 and 2 * len(runs[-1].hi) >= len(runs[-2].hi):
            newer = runs.pop()
            runs[-1] = runs[-1].merged(newer)
        self._runs = tuple(runs)
        self._count = begin + len(fresh)
        return len(fresh)

    def _fresh(self, keys: Sequence[bytes], records: Sequence[JournalRecord]) -> list[int]:
        """Indexes of the records that are neither in the table nor earlier in the list."""
        if not keys:
            return []
        known: set[tuple[bytes, int]] = set()
        if self._runs:
            hi, lo = _halves(keys)
            for run in self._runs:
                asked, here = run.find(hi, lo)
                known |= {(keys[i], f) for i, f in zip(asked.tolist(), run.first[here].tolist(), strict=True)}
        fresh = []
        for index, (key, record) in enumerate(zip(keys, records, strict=True)):
            if (key, record.first) not in known:
                known.add((key, record.first))
                fresh.append(index)
        return fresh


def payload(record: JournalRecord) -> bytes:
    """A record as the bytes of a segment frame; what UTF-8 cannot hold becomes U+FFFD."""
    key = record.key
    content = {
        "key": [key.row, key.step, key.call, key.attempt, key.request],
        "first": record.first,
        "samples": [dict(sample) for sample in record.samples],
        **{name: getattr(record, name) for name in _FIELDS},
    }
    try:
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        return orjson.dumps(clean(content), option=orjson.OPT_SERIALIZE_NUMPY)


def read(payload: bytes) -> JournalRecord:
    """The record of a segment frame."""
    return _from_payload(payload)


def clean(value: Any) -> Any:
    """The value with lone surrogates (a model may write half a character) replaced, which no file can hold."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {clean(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return value


def _from_payload(payload: bytes) -> JournalRecord:
    content = orjson.loads(payload)
    return JournalRecord(
        key=JournalKey(*content["key"]),
        first=content["first"],
        samples=tuple(_sample(sample) for sample in content["samples"]),
        **{name: content[name] for name in _FIELDS},
    )


def _record(row: Mapping[str, Any]) -> JournalRecord:
    samples = []
    for stored in row["samples"]:
        logprobs = stored["label_logprobs"]
        samples.append({**stored, "label_logprobs": orjson.loads(logprobs) if logprobs is not None else None})
    return JournalRecord(
        key=JournalKey(row["row"], row["step"], row["call"], row["attempt"], row["request"]),
        first=row["first"],
        samples=tuple(samples),
        **{name: row[name] for name in _FIELDS},
    )


def _sample(sample: Mapping[str, Any]) -> dict[str, Any]:
    """All four fields, so that a record reads the same from a segment and from Lance."""
    return {
        "text": sample.get("text", ""),
        "finish": sample.get("finish") or "stop",
        "reasoning": sample.get("reasoning"),
        "label_logprobs": sample.get("label_logprobs"),
    }


def _table(hi: Halves, lo: Halves, records: Sequence[JournalRecord]) -> Any:
    def stored(sample: Mapping[str, Any]) -> dict[str, Any]:
        logprobs = sample["label_logprobs"]
        return {**sample, "label_logprobs": orjson.dumps(logprobs).decode() if logprobs is not None else None}

    columns: dict[str, Any] = {
        "_key_hi": hi,
        "_key_lo": lo,
        **{name: [getattr(r.key, name) for r in records] for name in ("row", "step", "call", "attempt", "request")},
        "first": [r.first for r in records],
        "n": [len(r.samples) for r in records],
        "samples": [[stored(sample) for sample in r.samples] for r in records],
        **{name: [getattr(r, name) for r in records] for name in _FIELDS},
    }
    return pa.Table.from_arrays([pa.array(columns[field.name], type=field.type) for field in SCHEMA], schema=SCHEMA)


def _halves(keys: Sequence[bytes]) -> tuple[Halves, Halves]:
    return pack([key.hex() for key in keys])


def _run(hi: Halves, lo: Halves, first: npt.NDArray[np.uint32], position: npt.NDArray[np.uint32]) -> _Run:
    order = np.argsort(hi, kind="stable")
    return _Run(hi[order], lo[order], first[order], position[order])
