"""Exports a recipe of chats: measured, mixed, written as JSON lines, with a ledger like that of packs."""

from __future__ import annotations

from array import array
from collections import Counter
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from synthkit.train import manifest
from synthkit.train.ingest import held_out
from synthkit.train.ledger import Ledger, ledger_schema
from synthkit.train.mixture import epochs
from synthkit.train.outputs import chat, datasets, messages
from synthkit.train.packs import SPLITS
from synthkit.train.prepare import Prepared
from synthkit.train.recipe import Recipe
from synthkit.train.store import PART_ROWS, Document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def export_chat(prepared: Prepared, out: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Write the chats and their ledger; the manifest's entry of every source."""
    recipe = prepared.recipe
    spilled: dict[str, _Spilled] = {}
    for name in prepared.sources:
        say(f"{name}: reading chats")
        spilled[name] = _Spilled(prepared, out, name)
    seen = epochs(
        recipe, {name: each.tokens["train"] for name, each in spilled.items()}, lambda name: spilled[name].aside
    )
    kind = None
    if datasets.FOLDER in recipe.keys.outputs:
        kind = messages.common(each.path(split) for each in spilled.values() for split in SPLITS)
    (out / manifest.FILE).unlink(missing_ok=True)  # from here on files change that it tells of
    (out / "ledger").mkdir(exist_ok=True)
    for name, each in spilled.items():
        (each.folder / "ledger.parquet").replace(out / "ledger" / f"{name}.parquet")
    lines: dict[str, dict[str, chat.Lines]] = {}
    for split in SPLITS:
        lines[split] = {}
        for name, each in spilled.items():
            count = each.count(split)
            taken = round(count * seen[name]) if split == "train" else count
            lines[split][name] = chat.Lines(each.path(split), each.bounds(split), taken)
    _write(recipe, out, lines, kind, say)
    found = {}
    for name, each in spilled.items():
        splits = {split: {"documents": each.count(split), "tokens": each.tokens[split]} for split in SPLITS}
        found[name] = {
            "share": recipe.keys.sources[name].share,
            "repeat": recipe.keys.sources[name].repeat,
            "documents": sum(each.count(split) for split in SPLITS),
            "tokens": sum(each.tokens.values()),
            "epochs": seen[name],
            "aside": dict(sorted(each.aside.items())),
            "splits": {split: counts if counts["documents"] else None for split, counts in splits.items()},
            **manifest.duplicates(prepared, name),
            "from": dict(prepared.sources[name].identity),
        }
    return found


def _write(
    recipe: Recipe, out: Path, lines: Mapping[str, Mapping[str, chat.Lines]], kind: Any, say: Callable[[str], None]
) -> None:
    """The outputs of a recipe of chats; `kind` is the type of all chats, where a dataset is among them."""
    seed = recipe.keys.seed
    if "chat" in recipe.keys.outputs:
        for split, file in chat.FILES.items():
            say(f"writing {file}")
            chat.write(out / chat.FOLDER / file, lines[split], seed)
    if kind is not None:
        folder = out / datasets.FOLDER
        say(f"writing {datasets.FOLDER}")
        datasets.begin(folder)
        written = [split for split in SPLITS if messages.write_messages(folder, split, lines[split], kind, seed)]
        datasets.finish(folder, written)


class _Spilled:
    """One source's lines, waiting on disk for their order."""

    def __init__(self, prepared: Prepared, out: Path, name: str) -> None:
        """Read the whole source."""
        keys = prepared.recipe.keys
        self.folder = out / "tokens" / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tokens = dict.fromkeys(SPLITS, 0)
        self.aside: Counter[str] = Counter()
        self._ends = {split: array("q", [0]) for split in SPLITS}
        chats = chat.measured(
            prepared.sources[name], prepared.tokenizer, keys.sequence, keys.sources[name].longer,
            prepared.recipe.over(name), lambda row: held_out(row, keys.seed, keys.holdout), prepared.benchmarks,
        )  # fmt: skip
        with (
            self.path("train").open("wb") as train,
            self.path("valid").open("wb") as valid,
            Ledger(self.folder / "ledger.parquet", name, prepared.copies) as ledger,
        ):
            files = {"train": train, "valid": valid}
            documents: list[Document] = []
            for document, line in chats:
                if document.aside is None:
                    self._keep(document, line, files)
                else:
                    self.aside[document.aside] += 1
                documents.append(document)
                if len(documents) == PART_ROWS:
                    ledger.write(_lines(documents))
                    documents.clear()
            ledger.write(_lines(documents))

    def _keep(self, document: Document, line: bytes, files: Mapping[str, IO[bytes]]) -> None:
        """Write a line where it waits."""
        split = "valid" if document.valid else "train"
        files[split].write(line)
        self._ends[split].append(self._ends[split][-1] + len(line))
        self.tokens[split] += document.tokens

    def path(self, split: str) -> Path:
        """The file of a split's lines."""
        return self.folder / f"{split}.jsonl"

    def bounds(self, split: str) -> NDArray[np.int64]:
        """Where each line begins, and the end."""
        import numpy as np

        return np.frombuffer(self._ends[split], dtype=np.int64)

    def count(self, split: str) -> int:
        """Its lines."""
        return len(self._ends[split]) - 1


def _lines(documents: list[Document]) -> pa.Table:
    """Lines of the ledger; a chat is in no pack."""
    import pyarrow as pa

    schema = ledger_schema()
    columns = [*zip(*documents, strict=True)] or [()] * len(Document._fields)
    none = [None] * len(documents)
    arrays = [pa.array(each, field.type) for each, field in zip([*columns, none, none], schema, strict=True)]
    return pa.table(arrays, schema=schema)
