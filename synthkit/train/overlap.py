"""Benchmarks that no document may repeat, found the way the verb `decontaminate` finds them."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from synthkit.core.ids import digest
from synthkit.train.recipe import DecontaminateKeys

if TYPE_CHECKING:
    from synthkit.actions.benchmarks import Benchmarks


def files(keys: DecontaminateKeys) -> Mapping[str, Path]:
    """Name -> file; SpecError where a pattern matches none."""
    from synthkit.actions.read import Read

    return Read(path=list(keys.against)).files()


def benchmarks(keys: DecontaminateKeys) -> Benchmarks:
    """The index; SpecError where a file has none of the fields."""
    from synthkit.actions.benchmarks import Benchmarks, read

    return Benchmarks(
        read(files(keys), keys.fields), ngram=keys.ngram, common=keys.common, words=1, threshold=float(keys.threshold)
    )


def stamp(keys: DecontaminateKeys) -> str:
    """The benchmarks by content, and how they are looked for."""
    contents = {name: blake2b(path.read_bytes(), digest_size=16).hexdigest() for name, path in files(keys).items()}
    return digest([contents, keys.model_dump(mode="json")])
