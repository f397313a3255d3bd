"""`search`: full-text search over a corpus; each result is a document's title, its address and an excerpt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from synthkit.actions.sentences import sentences
from synthkit.actions.tools.corpus import Document
from synthkit.actions.tools.library import CorpusTool, open_library, texts
from synthkit.actions.tools.related import best
from synthkit.core.row import Value
from synthkit.core.tool import OpenTool

if TYPE_CHECKING:
    from synthkit.core.context import Context


class Search(CorpusTool):
    """Find documents of a corpus by words (BM25). `query` is a text or a list of texts."""

    kind: ClassVar[str] = "search"
    needs: ClassVar[frozenset[str]] = frozenset({"query"})

    k: Annotated[int, Field(ge=1, le=100)] = 10
    """Results of a query."""
    excerpt: Annotated[int, Field(ge=0, le=5000)] = 200
    """Characters of each result's sentences that say most about the query; 0 shows titles alone."""

    async def open(self, ctx: Context) -> OpenTool:
        """Build or find the index."""
        library = await open_library(self.corpus, ctx)

        async def search(arguments: Mapping[str, Value]) -> str:
            queries = texts(arguments["query"], "query must be a text or a list of texts")
            return self.shown([(query, await library.search(query, self.k)) for query in queries])

        return OpenTool(search, library.key)

    def shown(self, found: Sequence[tuple[str, Sequence[Document]]]) -> str:
        """The response: the results of each query, under its words where there are several."""
        parts = []
        for query, documents in found:
            heading = [f"= {query}"] if len(found) > 1 else []
            results = [self._result(each, query) for each in documents] or ["(nothing found)"]
            parts.append("\n".join([*heading, *results]))
        return "\n\n".join(parts)

    def _result(self, document: Document, query: str) -> str:
        """A result: title, address, excerpt."""
        text = document.text
        spans = list(sentences(text)) if self.excerpt else []
        chosen = best([text[each.start : each.end] for each in spans], query, self.excerpt) or [0] if spans else []
        excerpt = ""
        for before, at in zip([-1, *chosen], chosen, strict=False):
            between = "" if before < 0 else text[spans[before].end : spans[at].start] if at == before + 1 else " ... "
            excerpt += between + text[spans[at].start : spans[at].end]
        excerpt = excerpt[: self.excerpt]
        return "\n".join(filter(None, [f"- {document.title or document.id} ({document.id})", excerpt]))
