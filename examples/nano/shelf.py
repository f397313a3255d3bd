"""Made-up documents and what the tools of an agent say about them, in the words of synthkit's own tools.

A question is made of one document; the others are there to be told apart from it, and some mention its subject. Search
ranks by weighted word overlap in place of an index: 0.3 ms for a query in place of 30 ms for a new index.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import prose
import teacher
import worlds
from names import amount, syllables, word
from teacher import Question
from worlds import Sentence

from synthkit.actions.sentences import sentences
from synthkit.actions.tools.corpus import Corpus, Document
from synthkit.actions.tools.related import relevance
from synthkit.actions.tools.search import Search
from synthkit.actions.tools.visit import Visit

_CORPUS = Corpus(step="documents")


class Result(NamedTuple):
    """A search result as the agent sees it."""

    title: str
    address: str
    excerpt: str


class Shelf(NamedTuple):
    """Documents, and the tools over them: those of the offline toolset, or as the shipped runs of others show them."""

    documents: list[Document]
    search: Search
    visit: Visit
    web: bool

    def found(self, query: str) -> list[Document]:
        """The documents that answer a query, best first."""
        scores = relevance([f"{d.title} {d.title} {d.text}" for d in self.documents], query)
        order = sorted(range(len(scores)), key=lambda at: (-scores[at], at))
        return [self.documents[at] for at in order if scores[at]][: self.search.k]

    def searched(self, queries: list[str]) -> tuple[str, list[Result]]:
        """The response to a search, and the results of its last query that has any."""
        found = [(query, self.found(query)) for query in queries]
        query, documents = next((each for each in reversed(found) if each[1]), found[-1])
        if self.web:
            union = list(dict.fromkeys(d for _, each in found for d in each))
            results = [Result(d.title, d.id, _beginning(d.text, self.search.excerpt)) for d in union]
            lines = [f"[{n}] {r.title} ({r.address}): {r.excerpt}" for n, r in enumerate(results, 1)]
            return "\n".join(lines) or "(nothing found)", results
        shown = (self.search.shown([(query, [d])]).split("\n", 1) for d in documents)
        results = [Result(d.title, d.id, "".join(lines[1:])) for d, lines in zip(documents, shown, strict=True)]
        return self.search.shown(found), results

    def fact(self, results: list[Result]) -> str:
        """What is taken from results into a report: the first, and what it says where that is about the query."""
        if not results:
            return "Nothing was found."
        source = f"{results[0].title} ({results[0].address})"
        return f"The search gave {source}." if self.web else f"{source}: {results[0].excerpt}"

    def visited(self, urls: list[str], goal: str) -> tuple[str, str]:
        """The response to a visit, and its first sentence about the goal."""
        documents = [d for url in urls for d in self.documents if d.id == url]
        pages = [f"{d.title}\n{d.text}" if self.web else self.visit.shown(d, goal, None) for d in documents]
        line = pages[0].split("\n")[1]
        return "\n\n".join(pages), next(line[s.start : s.end] for s in sentences(line))


def _beginning(text: str, most: int) -> str:
    cut = text[:most].rsplit(" ", 1)[0]
    return f"{cut} ..." if len(text) > most else text


def _namer(rng: Random, *, web: bool) -> Callable[[str], str]:
    """How documents are addressed."""
    site, stem, start = syllables(rng).lower(), word(rng), rng.randint(1, 400)
    taken = iter(range(start, start + 1000))
    shapes: list[Callable[[str], str]] = [
        lambda _: f"doc-{next(taken):03}",
        lambda _: f"{stem}-{next(taken)}",
        lambda _: str(next(taken)),
        lambda title: f"{title.lower().replace(' ', '-')}-{next(taken)}",
        lambda title: f"https://{site}.example/{title.lower().replace(' ', '-')}",
    ]
    return shapes[-1] if web and rng.random() < 0.8 else rng.choice([shapes[0], *shapes])


def _twins(rng: Random, sentence: Sentence) -> list[str]:
    """The sentence, and where it has a figure of a year now and then the same with another figure of another year."""
    made = [sentence.text]
    if sentence.year and sentence.facts and sentence.facts[0].time and rng.random() < 0.6:
        other = sentence.text.replace(sentence.facts[0].answer, amount(rng), 1)
        made.insert(rng.randint(0, 1), other.replace(sentence.year, str(rng.randint(1900, 2025)), 1))
    return made


class Asked(NamedTuple):
    """A question, the shelf that answers it, and for each of its parts the document that does."""

    question: Question
    shelf: Shelf


def asked(rng: Random, style: str, *, web: bool = False, many: bool = False) -> Asked:
    """Make documents and a question in one style on one of them; `many`: as many as a real search shows."""
    while True:
        subject = worlds.passage(rng, rng.randint(2, 5), plain=0.8)
        passages = [subject]
        for _ in range(rng.randint(3, 7) if many else rng.choice([0, 1, 2, 2, 3, 5])):
            size = rng.randint(2, 4)
            if rng.random() < 0.35:
                title = prose.alike(rng, subject.title)
                passages.append(worlds.Passage(title, [worlds.sentence(rng, title) for _ in range(size)]))
            else:
                passages.append(worlds.passage(rng, size, plain=0.8))
        pool = [s for s in subject.sentences if teacher.usable(s)]
        if style == "multi_hop":
            pool += [s for s in passages[-1].sentences[:2] if teacher.usable(s)]
        question = teacher.question(rng, pool, style) if pool else None
        if question is not None and len({p.title for p in passages}) == len(passages):
            break
    naming = _namer(rng, web=web)
    documents = []
    for passage in passages:
        texts = [s.text for s in passage.sentences]
        if rng.random() < 0.5:
            texts = [each for s in passage.sentences for each in _twins(rng, s)]
        if passage is not subject and rng.random() < (0.8 if many else 0.4):
            title = subject.title if rng.random() < 0.6 else rng.choice(passages).title
            texts.insert(rng.randint(0, len(texts)), worlds.sentence(rng, title, easy=True).text)
        documents.append(Document(naming(passage.title), passage.title, " ".join(texts)))
    rng.shuffle(documents)
    excerpt = rng.choice([120, 120, 200]) if web else rng.choice([120, 160, 200, 200])
    search = Search(corpus=_CORPUS, k=5 if many else rng.choice([1, 2, 3, 3, 5]), excerpt=excerpt)
    return Asked(question, Shelf(documents, search, Visit(corpus=_CORPUS, excerpt=rng.choice([300, 500, 1000])), web))


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """A call as the model replies it."""
    return {"name": name, "arguments": arguments}
