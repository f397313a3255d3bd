"""`decontaminate`: rows that repeat a benchmark are set aside, so that no model is trained on what it is tested with.

A row is out where its text shares a run of `ngram` words with a benchmark row, or says the same in nearly the same
words (`threshold`). Of 350 benchmark questions with one word in ten replaced 99 % are found (by runs alone 88 %), with
one in seven 91 % (72 %), and none of 2,500 encyclopedia abstracts is taken for one. The content of the files is part of
the fingerprint, so a benchmark that changed is looked for again in every row, without a model call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from synthkit.core.action import Expr, RowAction, Scope
from synthkit.core.context import Context
from synthkit.core.errors import SpecError
from synthkit.core.row import Child, Row, Value
from synthkit.core.sizes import Share

if TYPE_CHECKING:
    from synthkit.actions.benchmarks import Benchmarks, Match


class Decontaminate(RowAction):
    """Set aside rows whose text repeats a benchmark, word for word or nearly; the reject names file and row.

    Gives: the row as it is.

    Errors: filtered `in benchmark FILE`, with the place in it, what is shared and how much.

    Source: 13-gram overlap as of GPT-3 (arXiv 2005.14165, appendix C), and MinHash for what was reworded.
    """

    verb: ClassVar[str] = "decontaminate"

    text: Expr
    """What is compared: a column or an expression; of a list each text by itself."""
    against: str | list[str]
    """Benchmark files, with `*` and `**`, relative to the working directory; the formats of `read`."""
    fields: list[str] = Field(min_length=1)
    """Fields of their records that hold what must not be repeated, each file has one; `a.b`: within an object."""
    ngram: Annotated[int, Field(ge=4, le=100)] = 13
    """Words of a run that is a leak wherever it stands; a Chinese character is one word, so 20 or more suits Chinese.
    A benchmark row of 8 words up to this is looked for whole."""
    threshold: Annotated[Share, Field(gt=0)] = 0.7
    """Least Jaccard at which a whole text is a near copy; 1 is the same words."""
    words: Annotated[int, Field(ge=1, le=50)] = 1
    """Length in words of the shingles of that Jaccard; longer ones mind the order and find fewer."""
    common: Annotated[int, Field(ge=1)] = 10
    """Runs that stand in more benchmark rows than this are a form (`answer the question with`), not a leak."""

    def keeps_id(self) -> bool:
        """A row stays or goes."""
        return True

    def check(self, scope: Scope) -> None:
        """Files that exist and have the fields; a text that is one."""
        try:
            for name, path in self.files.items():
                self._first(name, path)
        except SpecError as error:
            scope.problem(error.problems[0].message, ("against",), help=error.problems[0].help)
        self._check_text(scope)

    def _first(self, name: str, path: Path) -> None:
        """That a file has one of the fields; reads it up to the first."""
        from synthkit.actions.benchmarks import read

        next(read({name: path}, self.fields))

    def _check_text(self, scope: Scope) -> None:
        from synthkit.core.types import Choice, ListOf, Optional, Str

        expression = scope.expr(self.text, ("text",))
        if expression is None or not expression.names <= scope.columns.keys():
            return
        declared = expression.infer(scope.columns, scope.vars)
        inner = declared
        while isinstance(inner, Optional | ListOf):
            inner = inner.of
        if inner is not None and not isinstance(inner, Str | Choice):
            scope.problem(f"{self.text!r} must be text or a list of texts, not {declared}", ("text",))

    @cached_property
    def files(self) -> Mapping[str, Path]:
        """Name -> file, as `read` finds them; SpecError where a pattern matches none."""
        from synthkit.actions.read import Read

        return Read(path=self.against).files()

    def depends(self) -> Mapping[str, Value]:
        """The benchmarks by content."""
        return {"benchmarks": {name: _digest(path) for name, path in self.files.items()}}

    @cached_property
    def _index(self) -> Future[Benchmarks]:
        """The index, made beside the event loop when the first row comes: it and its kernels may take seconds."""
        pool = ThreadPoolExecutor(1, "synthkit-benchmarks")
        made = pool.submit(self._indexed)
        pool.shutdown(wait=False)
        return made

    def _indexed(self) -> Benchmarks:
        from synthkit.actions.benchmarks import Benchmarks, read

        items = read(self.files, self.fields)
        found = Benchmarks(
            items, ngram=self.ngram, common=self.common, words=self.words, threshold=float(self.threshold)
        )
        found.warm()
        return found

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """The row itself, or a reject `in benchmark FILE` with the row, what it shares and how much."""
        benchmarks = await asyncio.shield(asyncio.wrap_future(self._index))
        for text in _texts(ctx.evaluate(self.text, row)):
            match = benchmarks.match(text)
            if match is not None:
                ctx.reject(f"in benchmark {match.item.file}", **_detail(match))
        yield row.child()


def _detail(match: Match) -> dict[str, Value]:
    """What a person needs to judge the find."""
    found = {"at": match.item.place, "field": match.item.field, "by": match.how, "share": round(match.share, 4)}
    return {**found, **({"shared": match.shared} if match.shared else {}), "benchmark": match.item.text[:400]}


def _texts(value: Value) -> Iterator[str]:
    """The texts of a value: itself, or those of a list; nothing where it is none."""
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value
    elif value is not None:
        raise TypeError(
            f"decontaminate compares text, not {type(value).__name__}; write `text: x.field` or `x | string`"
        )


def _digest(path: Path) -> str:
    """Hash of a file's bytes; of a Lance dataset those of all its files."""
    from hashlib import blake2b

    state = blake2b(digest_size=16)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            state.update(file.relative_to(path).as_posix().encode())
            with file.open("rb") as stream:
                while part := stream.read(1 << 20):
                    state.update(part)
    return state.hexdigest()
