"""`resolve`: spellings and aliases of one entity become one canonical name.

Names are alike when they agree in NFKC, case and white space, or when a row gives one as the other's alias. A wrong
union costs more than a missed one (two entities' statements make questions with two answers), so an alias counts only
where it looks like a name and no two different names claim it: `it`, `the bank`, `St` and a shared `Institute` do not.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from synthkit.core.action import Column, Scope, TableAction
from synthkit.core.context import TableContext

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from synthkit.core.types import Type

_BATCH = 1024
_SPACE = re.compile(r"\s+")
_EDGES = " \t\n\"'“”‘’«»()[]（）《》「」.,;:，。；："
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_GENERIC = """
    airport association authority bank board bridge castle centre church city club college committee company council
    country county department director district factory festival firm foundation government group harbour hospital
    institute island lake library line lighthouse mayor ministry mountain museum newspaper observatory office
    organisation organization park plant port president project province railway region republic river school society
    state station street team telescope theatre tower town tunnel university village works
    公司 银行 大学 城市 该市 该公司 学校 大桥 桥 河 江 山 湖 港 港口 博物馆 政府 委员会 集团 研究所 天文台 铁路
    车站 医院
"""


class Resolve(TableAction):
    """Replace each name by the canonical one of its entity, and its aliases by the entity's other names.

    The canonical name is the spelling most rows use, then the longest, then the smallest. Memory: the two columns as
    Arrow (about 60 bytes a row) and about 500 bytes for each different name or alias, not for each row.

    Gives: both columns anew.

    Errors: none: every row stays.

    Source: canonical names for AgentFounder's entities; the rules are ours.
    """

    verb: ClassVar[str] = "resolve"

    name: Column
    """Names; replaced by the canonical ones."""
    aliases: Column | None = None
    """A list of other names that the row gives; replaced by all other names of the entity."""
    shortest: Annotated[int, Field(ge=1)] = 3
    """Aliases with fewer letters do not join names (of Chinese characters, one fewer is enough)."""

    def keeps_id(self) -> bool:
        """Every row stays."""
        return True

    def replaces(self) -> frozenset[str]:
        """The names and the aliases."""
        return frozenset({self.name, self.aliases} - {None})  # type: ignore[arg-type]  # None is taken out

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """Both columns; an entity may have more names than any one row gives."""
        from synthkit.core.types import ListOf, Str

        found = {self.name: scope.columns[self.name]} if self.name in scope.columns else {}
        return found if self.aliases is None else found | {self.aliases: ListOf(Str())}

    def check(self, scope: Scope) -> None:
        """The columns hold what they are said to hold."""
        from synthkit.core.types import ListOf

        aliases = scope.columns.get(self.aliases) if self.aliases else None
        if aliases is not None and not isinstance(aliases, ListOf):
            scope.problem(f"{self.aliases!r} must be a list of names, not {aliases}", ("aliases",))

    async def table(self, scan: pl.LazyFrame, ctx: TableContext) -> AsyncIterator[pa.RecordBatch]:
        """Two passes: all names first, then each row with its own."""
        columns = [self.name, *([self.aliases] if self.aliases else [])]
        frame = scan.select("_id", *columns).collect()
        names = Names(self.shortest)
        for row in frame.iter_rows(named=True):
            names.add(row[self.name], (row[self.aliases] or []) if self.aliases else [])
        entities = names.entities()
        for part in frame.iter_slices(_BATCH):
            yield ctx.batch([self._row(record, entities) for record in part.iter_rows(named=True)])

    def _row(self, record: Mapping[str, object], entities: Mapping[str, tuple[str, list[str]]]) -> dict[str, object]:
        """A row under its canonical name; a row without a name stays so."""
        given = record[self.name]
        canonical, others = entities[normal(given)] if isinstance(given, str) and normal(given) else (given, [])
        row = {"_id": record["_id"], "_parents": [record["_id"]], self.name: canonical}
        return row | ({self.aliases: others} if self.aliases else {})


class Names:
    """Everything that is known of names; the result does not depend on the order it came in."""

    def __init__(self, shortest: int = 3) -> None:
        """`shortest`: letters an alias must have."""
        self.shortest = shortest
        self._generic = frozenset(_GENERIC.split())
        self.spellings: dict[str, Counter[str]] = defaultdict(Counter)
        """Name in normal form -> its spellings, with the number of rows."""
        self.claims: dict[str, set[str]] = defaultdict(set)
        """Alias in normal form -> names (normal form) that claim it."""
        self.written: dict[str, Counter[str]] = defaultdict(Counter)
        """Alias in normal form -> its spellings."""

    def add(self, name: str | None, aliases: list[str]) -> None:
        """A row's name and aliases."""
        key = normal(name or "")
        if not key or name is None:
            return
        self.spellings[key][_tidy(name)] += 1
        for alias in aliases:
            other = normal(alias)
            if other and other != key and self.is_name(alias):
                self.claims[other].add(key)
                self.written[other][_tidy(alias)] += 1

    def is_name(self, alias: str) -> bool:
        """Whether an alias may join two names: long enough, not a common noun, not all in lower case."""
        text = _tidy(alias)
        letters = sum(character.isalnum() for character in text)
        if letters < self.shortest - (1 if _CJK.search(text) else 0) or normal(text) in self._generic:
            return False
        has_case = text.lower() != text.upper()
        return not has_case or text != text.lower()

    def entities(self) -> dict[str, tuple[str, list[str]]]:
        """Name in normal form -> the canonical name of its entity, and the entity's other names, sorted."""
        parent = {key: key for key in self.spellings}

        def root(key: str) -> str:
            while parent[key] != key:
                parent[key] = key = parent[parent[key]]
            return key

        joined = True
        while joined:  # a union can settle who claims an alias; the last state is the same in any order
            joined = False
            for alias in self.claims.keys() & parent.keys():
                owners = {root(name) for name in self.claims[alias]}
                if len(owners) == 1 and root(alias) not in owners:
                    first, second = sorted((root(alias), owners.pop()))
                    parent[second] = first
                    joined = True
        spelt: dict[str, Counter[str]] = defaultdict(Counter)
        others: dict[str, set[str]] = defaultdict(set)
        for key in parent:
            spelt[root(key)] += self.spellings[key]
        for alias in self.claims.keys() - parent.keys():
            owners = {root(name) for name in self.claims[alias]}
            if len(owners) == 1:
                others[owners.pop()].add(_best(self.written[alias]))
        best = {key: _best(spellings) for key, spellings in spelt.items()}
        for key in parent:
            if normal(best[root(key)]) != key:
                others[root(key)].add(_best(self.spellings[key]))
        rest = {key: sorted(others[key]) for key in spelt}
        return {key: (best[root(key)], rest[root(key)]) for key in parent}


def _best(spellings: Counter[str]) -> str:
    """The most frequent spelling, then the longest, then the smallest."""
    return min(spellings, key=lambda name: (-spellings[name], -len(name), name))


def normal(name: str) -> str:
    """The form in which names are compared: NFKC, case folded, single spaces, no article or punctuation around it."""
    text = _tidy(name).casefold().strip(_EDGES)
    return text.removeprefix("the ")


def _tidy(name: str) -> str:
    """A spelling as it is shown: NFKC, single spaces."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", name)).strip()
