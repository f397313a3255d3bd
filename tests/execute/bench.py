"""A folder with a small spec on the scripted engine: run it, change it, run it again, look at what was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import synthkit
from synthkit import api
from synthkit.execute.options import RunOptions
from synthkit.inspect.ledger import account

ENGINE = "scripted: auto"
WORDS = ("harbour", "bridge", "river", "market", "tower", "council", "lamp", "canal", "road", "mill", "quarry", "ferry")


def documents(count: int, begin: int = 0) -> dict[str, str]:
    """Names and bodies, each another text."""
    return {
        f"d{number}": " ".join(WORDS[(number * 7 + step * step) % len(WORDS)] for step in range(12)) + f" {number}"
        for number in range(begin, begin + count)
    }


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "calls.log"
        self.out = folder / "runs" / "small"
        self.file("prompts/ask.j2", "Ask about: {{ body }}\n")

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def documents(self, texts: Mapping[str, str]) -> None:
        lines = (json.dumps({"id": name, "body": body}) + "\n" for name, body in texts.items())
        self.file("documents.jsonl", "".join(lines))

    def spec(
        self,
        steps: str,
        *,
        publish: str = "",
        engine: str = ENGINE,
        name: str = "small",
        models: str = "",
        top: str = "",
    ) -> Path:
        """A spec of that name whose first step is `documents`, unless it brings another source."""
        source = "  documents:\n    read: {path: documents.jsonl, key: id, columns: {body: str}}\n"
        head = f"name: {name}\nabout: A small spec.\ntokenizer: nano\n{top}\n"
        engines = f'engines:\n  fake: {{{engine}, record: false, log: "{self.log}"}}\n'
        roles = models or "  writer: {engine: fake, reask: 1}\n  judge: {engine: fake, temperature: 0.5}\n"
        body = steps if steps.lstrip().startswith("source:") else source + steps
        shown = f"\npublish:\n{publish}\n" if publish else ""
        return self.file(f"{name}.yaml", f"{head}{engines}models:\n{roles}\nsteps:\n{body}\n{shown}")

    def run(self, spec: Path | None = None, *, sets: Mapping[str, str] | None = None, **options: Any) -> api.RunResult:
        graph = api.check(spec or self.folder / "small.yaml", sets=sets)
        return api.run(graph, sets=sets, out=self.out.parent / graph.name, options=RunOptions(**options))

    def whole(
        self, spec: Path | None = None, *, sets: Mapping[str, str] | None = None, **options: Any
    ) -> api.RunResult:
        """A run that comes to its end and balances."""
        result = self.run(spec, sets=sets, **options)
        assert result.stopped is None, result.stopped
        assert result.problems == []
        assert all(counts.balanced() for counts in result.ledger.values()), result.ledger
        return result

    def calls(self) -> list[dict[str, Any]]:
        """What the engine answered so far, in order."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    @contextmanager
    def asking(self, count: int | None = None) -> Iterator[list[dict[str, Any]]]:
        """The calls made inside the block, which must be `count`."""
        before = len(self.calls())
        made: list[dict[str, Any]] = []
        yield made
        made.extend(self.calls()[before:])
        assert count is None or len(made) == count, f"{len(made)} requests, not {count}"

    def rows(self, step: str, *columns: str, run: Path | None = None) -> list[dict[str, Any]]:
        frame = synthkit.open(run or self.out).store.scan(step, list(columns) if columns else None).collect()
        return sorted(frame.to_dicts(), key=lambda row: row["_id"])

    def tables(self, run: Path | None = None) -> dict[str, list[str]]:
        """Every row of every step, and every reject, as text; for comparing runs."""
        store = synthkit.open(run or self.out).store
        found = {name: _lines(store.scan(name).collect().to_dicts()) for name in store.layouts}
        found |= {
            f"published/{name}": _lines(store.published(name).collect().to_dicts()) for name in store.published_names()
        }
        rejects = store.rejects().select("step", "row", "sample", "key", "outcome", "reason", "boundary", "attempt")
        return found | {"rejects": _lines(rejects.collect().to_dicts())}

    def audit(self) -> list[str]:
        return account(synthkit.open(self.out).store).problems

    def rejected(self, step: str) -> dict[str, int]:
        """Row-level rejects of a step by outcome."""
        import polars as pl

        lines = synthkit.open(self.out).store.rejects().filter((pl.col("step") == step) & pl.col("sample").is_null())
        return dict(lines.group_by("outcome").len().collect().iter_rows())


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
