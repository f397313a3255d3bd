"""What the data alone can tell before an export reads it all: keys that no record has, roles that no document has.

Tables, Parquet and Lance say what columns they have. Records of other formats do not, so the first of each file are
looked at; a key that is in none of them is taken for misspelt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING

from synthkit.core.names import nearest
from synthkit.train.batch import Missing, Source
from synthkit.train.recipe import SourceKeys

if TYPE_CHECKING:
    import pyarrow as pa

_FILES = 16
_RECORDS = 1000
"""Records of a file, at most."""


def records_have(files: Iterable[tuple[str, Path]], keys: SourceKeys) -> None:
    """Raise Missing for a key that names what no record has; says nothing where no record can be read."""
    from synthkit.actions.records import form

    wanted = _named(keys)
    known: dict[str, None] = {}
    places: list[str] = []
    for place, file in files:
        if len(places) == _FILES or wanted.keys() <= known.keys():
            break
        if form(place) == "parquet":  # each of them is checked by its schema
            continue
        places.append(place)
        known |= dict.fromkeys(_fields(place, file, frozenset(wanted)))
    for column, key in wanted.items():
        if known and column not in known:
            told = places[0] if len(places) == 1 else f"{places[0]} and {len(places) - 1} more"
            raise Missing(f"no record of {told} has {column!r}", key, nearest(column, list(known), "they have"))


def _named(keys: SourceKeys) -> dict[str, str]:
    """Column -> the key of the source that names it."""
    named = {"messages" if keys.messages else "text": keys.messages or keys.text}
    named |= {"tools": keys.tools} if keys.tools else {}
    named |= {"together": keys.together} if keys.together else {}
    return {column: key for key, column in named.items()}


def _fields(place: str, file: Path, wanted: frozenset[str]) -> dict[str, None]:
    """Names of the first records of a file; of Lance, whose records have only the wanted ones, its columns."""
    from itertools import islice

    from synthkit.actions.records import Unreadable, form, records

    if form(place) == "lance":
        import lance

        try:
            return dict.fromkeys(lance.dataset(str(file)).schema.names)
        except (OSError, ValueError):  # one that cannot be read comes out as that
            return {}
    found: dict[str, None] = {}
    for record in islice(records(file, place, wanted), _RECORDS):
        if not isinstance(record.fields, Unreadable):
            found |= dict.fromkeys(record.fields)
            if wanted <= found.keys():
                break
    return found


def spoken(sources: Mapping[str, Source], roles: Set[str]) -> set[str]:
    """Roles that documents have: the first of each source, and all where one of `roles` is not among these."""
    known: set[str] = set()
    for source in sources.values():
        known |= source.roles()
    for source in sources.values():
        for batch in source.batches({}) if not roles <= known else ():
            known |= _roles(batch.spans)
            if roles <= known:
                break
    return known


def _roles(spans: pa.Array | None) -> set[str]:
    import pyarrow.compute as pc

    if spans is None:
        return set()
    return {each for each in pc.unique(pc.struct_field(pc.list_flatten(spans), "role")).to_pylist() if each}
