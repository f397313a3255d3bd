"""`visit`: what a document says about a goal, page by page.

A page is made of whole sentences. With a goal its most related sentences are given, and without a page number the page
that has the most of them; without a goal the whole page as it stands, so that code and tables keep their shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from synthkit.actions.sentences import sentences
from synthkit.actions.tools.corpus import Document
from synthkit.actions.tools.library import CorpusTool, open_library, texts
from synthkit.actions.tools.related import best, relevance
from synthkit.core.row import Value
from synthkit.core.tool import OpenTool, ToolError

if TYPE_CHECKING:
    from synthkit.core.context import Context


class Visit(CorpusTool):
    """Open documents of a corpus. `url` is an id or a list of ids, as `search` shows them; `goal` what to look for."""

    kind: ClassVar[str] = "visit"
    needs: ClassVar[frozenset[str]] = frozenset({"url"})
    takes: ClassVar[frozenset[str]] = frozenset({"goal", "page"})
    version: ClassVar[int] = 2

    page: Annotated[int, Field(ge=200)] = 4000
    """Characters of a page; a sentence is never cut, unless it is longer."""
    excerpt: Annotated[int, Field(ge=100)] = 1000
    """Characters of the sentences given for a goal."""

    async def open(self, ctx: Context) -> OpenTool:
        """Build or find the corpus."""
        library = await open_library(self.corpus, ctx)

        async def visit(arguments: Mapping[str, Value]) -> str:
            goal, number = arguments.get("goal"), arguments.get("page")
            urls = texts(arguments["url"], "url must be an address or a list of addresses")
            found = []
            for url in urls:
                document = await library.find(url)
                try:
                    if document is None:
                        raise ToolError(f"there is no page {url!r}; search gives the addresses")
                    found.append(self.shown(document, str(goal or ""), number))
                except ToolError as error:
                    if len(urls) == 1:
                        raise
                    found.append(f"Error: {error}")
            return "\n\n".join(found)

        return OpenTool(visit, library.key)

    def shown(self, document: Document, goal: str, number: int | None) -> str:
        """One page of a document: title, address and page, then what it says about the goal."""
        places = spans(document.text, self.page)
        pages = [[document.text[start:end] for start, end in page] for page in places]
        if number is None:
            number = 1 + _about(pages, goal)
        elif not 1 <= number <= len(pages):
            raise ToolError(f"{document.id!r} has the pages 1 to {len(pages)}; there is no page {number}")
        page = pages[number - 1]
        if not goal:
            body = _whole(document.text, places[number - 1])
        elif not (body := "\n".join(page[at] for at in best(page, goal, self.excerpt))):
            body = "\n".join(["(nothing on this page is about the goal; it begins:)", *page[:1]])
        return f"{document.title or document.id} ({document.id}) [{number}/{len(pages)}]\n{body}"


def _about(pages: Sequence[Sequence[str]], goal: str) -> int:
    """The position of the page with the sentence that says most about the goal; the first of equals."""
    scores = iter(relevance([each for page in pages for each in page], goal))
    most = [max((next(scores) for _ in page), default=0.0) for page in pages]
    return most.index(max(most))


def _whole(text: str, page: Sequence[tuple[int, int]]) -> str:
    """A page as it stands in the text, with the indentation of its first line."""
    if not page:
        return ""
    first, last = page[0][0], page[-1][1]
    line = text.rfind("\n", 0, first) + 1
    return text[line if text[line:first].isspace() else first : last]


def spans(text: str, size: int) -> list[list[tuple[int, int]]]:
    """Where the sentences of a text stand, in pages of at most `size` characters; longer ones are cut.

    One page at least, which is empty where there is no sentence.
    """
    pages: list[list[tuple[int, int]]] = [[]]
    room = size
    for each in sentences(text):
        for start in range(each.start, each.end, size):
            end = min(start + size, each.end)
            gap = max(start - pages[-1][-1][1], 1) if pages[-1] else 0
            if pages[-1] and gap + end - start > room:
                pages.append([])
                room, gap = size, 0
            pages[-1].append((start, end))
            room -= gap + end - start
    return pages
