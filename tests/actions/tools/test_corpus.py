"""Search and visit over documents: the shipped ones in both languages, and broken ones."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.actions.tools import library
from synthkit.actions.tools.corpus import Corpus, Document
from synthkit.actions.tools.related import best, relevance
from synthkit.actions.tools.search import Search
from synthkit.actions.tools.visit import Visit, spans
from synthkit.core.errors import SpecError
from synthkit.core.tool import ToolConfig, ToolError
from synthkit.testing import RecordingContext
from tests.actions.tools.conftest import Shelf

SHIPPED = {"path": "shipped:documents/*.jsonl"}


async def answer(tool: ToolConfig, shelf: Shelf, **arguments: Any) -> str:
    opened = await tool.open(RecordingContext(tables=shelf))  # type: ignore[arg-type]
    return await opened.use(arguments)


def search(**settings: Any) -> Search:
    return Search.model_validate({"corpus": SHIPPED, **settings})


def visit(**settings: Any) -> Visit:
    return Visit.model_validate({"corpus": SHIPPED, **settings})


def titles(shown: str) -> list[str]:
    return re.findall(r"^- (.*) \([\w-]+\)$", shown, re.M)


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("population of Port Velmar 2020", "Port Velmar"),
        ("flooding homes Harrowmere", "Ilde flood of 2014"),  # a form of the word that no document has
        ("青岚市人口", "青岚市"),  # words inside of sentences
        ("大桥通车", "沧浪大桥"),
        ("steel for the arch of the bridge", "The Old Bridge of Port Velmar"),
    ],
)
async def test_the_document_that_is_meant_comes_first(shelf: Shelf, query: str, title: str) -> None:
    found = titles(await answer(search(k=3), shelf, query=query))
    assert title in found[:2]
    assert len(found) == 3


async def test_results_have_address_and_the_sentence_that_says_it(shelf: Shelf) -> None:
    shown = await answer(search(k=1), shelf, query=["Port Velmar census 2020 population", "青岚市 常住人口 2020年"])
    first, second = shown.split("\n\n")
    assert first.startswith("= Port Velmar census 2020 population\n- Port Velmar (doc-001)\n")
    assert "had risen to 447,300" in first
    assert "2020年青岚市的常住人口增加到341万人。" in second
    assert await answer(search(k=1, excerpt=0), shelf, query="青岚市 人口") == "- 青岚市 (doc-zh-01)"


@pytest.mark.parametrize("query", ["", "   ", "zzzzqx", '"AND (OR* ~:', "' OR 1=1 --", "。", "a" * 200])
async def test_any_query_has_an_answer(shelf: Shelf, query: str) -> None:
    shown = await answer(search(), shelf, query=query)
    assert shown == "(nothing found)" or titles(shown)


async def test_a_page_says_what_is_about_the_goal(shelf: Shelf) -> None:
    shown = await answer(visit(excerpt=150), shelf, url=["doc-001"], goal="how many people in 2020")
    head, *lines = shown.splitlines()
    assert head == "Port Velmar (doc-001) [1/1]"
    assert any("447,300" in line for line in lines)
    assert sum(map(len, lines)) <= 150 + 100
    whole = await answer(visit(), shelf, url="doc-001")
    assert len(whole) > sum(map(len, lines)) + 500
    assert "341万人" in await answer(visit(excerpt=100), shelf, url="doc-zh-01", goal="2020年的常住人口")
    none = await answer(visit(), shelf, url="doc-001", goal="zzzzqx")
    assert none.splitlines()[1] == "(nothing on this page is about the goal; it begins:)"
    assert none.splitlines()[2].startswith("Port Velmar is the largest seaport")


async def test_pages_are_chosen_by_number_or_by_goal(shelf: Shelf, tmp_path: Path) -> None:
    text = " ".join(f"Sentence number {n} is about topic{n}." for n in range(100))
    file = write(tmp_path, {"id": "long", "title": "Long", "text": text})
    tool = visit(corpus={"path": str(file)}, page=1000)
    first = await answer(tool, shelf, url="long")
    pages = int(first.split("[1/")[1].split("]")[0])
    assert pages == 4
    shown = [await answer(tool, shelf, url="long", page=number) for number in range(1, pages + 1)]
    assert shown[0] == first
    assert " ".join(page.partition("\n")[2] for page in shown) == text
    about = await answer(tool, shelf, url="long", goal="topic77")
    assert about.startswith(f"Long (long) [{next(n for n, page in enumerate(shown, 1) if 'topic77.' in page)}/4]\n")
    assert "topic77." in about
    with pytest.raises(ToolError, match="'long' has the pages 1 to 4; there is no page 5"):
        await answer(tool, shelf, url="long", page=5)


async def test_an_address_that_is_none_is_an_error_of_its_own(shelf: Shelf) -> None:
    with pytest.raises(ToolError, match=r"there is no page \"it's\"; search gives the addresses"):
        await answer(visit(), shelf, url=["it's"], goal="x")
    shown = await answer(visit(), shelf, url=["nowhere", "doc-001"], goal="population")
    assert shown.startswith("Error: there is no page 'nowhere'; search gives the addresses\n\nPort Velmar (doc-001)")
    with pytest.raises(ToolError, match="url must be"):
        await answer(visit(), shelf, url=3)
    with pytest.raises(ToolError, match="query must be"):
        await answer(search(), shelf, query=[{}])


async def test_an_index_is_built_once_for_one_content(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Path] = []
    build = library._build

    def noted(documents: Any, path: Path) -> None:
        built.append(path)
        build(documents, path)

    monkeypatch.setattr(library, "_build", noted)
    file = write(tmp_path, {"id": "a", "title": "Ada", "text": "She wrote a program."})
    settings = {"corpus": {"path": str(file)}}
    assert titles(await answer(search(**settings), shelf, query="program")) == ["Ada"]
    assert "program" in await answer(visit(**settings), shelf, url="a")
    assert len(built) == 1
    write(tmp_path, {"id": "a", "title": "Ada", "text": "She wrote a letter."})
    assert await answer(search(**settings), shelf, query="program") == "(nothing found)"
    write(tmp_path, {"id": "a", "title": "Ada", "text": "She wrote a program."})
    assert titles(await answer(search(**settings), shelf, query="program")) == ["Ada"]
    assert len(built) == 2
    assert sorted(each.suffix for each in shelf.artifact("corpora").iterdir()) == [".lance", ".lance"]


async def test_a_killed_build_leaves_nothing_that_is_read(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, {"id": "a", "title": "Ada", "text": "She wrote a program."})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patch.setattr(library.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            library._open(Corpus(path=str(file)), RecordingContext(tables=shelf))  # type: ignore[arg-type]
    (left,) = shelf.artifact("corpora").iterdir()
    assert left.suffix == ".tmp"
    assert titles(await answer(search(corpus={"path": str(file)}), shelf, query="program")) == ["Ada"]


BROKEN: dict[str, tuple[Mapping[str, Any] | str, str]] = {
    "no text": ({"id": "a", "title": "A"}, "no 'text'"),
    "no id": ({"title": "A", "text": "x"}, "or no 'id'"),
    "not JSON": ("{", "broken JSON"),
    "nothing": ("", "it has no documents"),
}


@pytest.mark.parametrize(("record", "said"), BROKEN.values(), ids=BROKEN.keys())
async def test_documents_that_are_not_whole_stop_the_run(
    shelf: Shelf, tmp_path: Path, record: Mapping[str, Any] | str, said: str
) -> None:
    file = write(tmp_path, record)
    with pytest.raises(SpecError, match=said) as raised:
        await answer(search(corpus={"path": str(file)}), shelf, query="x")
    assert said == BROKEN["nothing"][1] or f"{file}:1" in str(raised.value)
    assert not list(shelf.artifact("corpora").iterdir())


async def test_an_id_names_one_document(shelf: Shelf, tmp_path: Path) -> None:
    file = write(tmp_path, {"id": 1, "text": "One."}, {"id": "1", "text": "Another."})
    with pytest.raises(SpecError, match="the 'id' '1' again"):
        await answer(search(corpus={"path": str(file), "title": None}), shelf, query="x")


def test_a_corpus_is_files_or_a_step() -> None:
    for given_ in ({}, {"path": "a", "step": "b"}):
        with pytest.raises(ValueError, match="either `path`"):
            Corpus.model_validate(given_)


def write(folder: Path, *records: Mapping[str, Any] | str) -> Path:
    file = folder / "documents.jsonl"
    file.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in records))
    return file


texts = st.text(st.sampled_from("ab 中文.!。?\n0"), max_size=400)


@given(texts, st.integers(1, 60))
def test_pages_hold_every_character_once_and_are_bounded(text: str, size: int) -> None:
    places = spans(text, size)
    pages = [[text[start:end] for start, end in page] for page in places]
    assert len(pages) >= 1
    for page in filter(None, places):
        assert page[-1][1] - page[0][0] <= size, "as it stands in the text"
    assert "".join("".join(page) for page in pages).replace(" ", "").replace("\n", "") == "".join(text.split())
    assert all(sum(map(len, page)) + len(page) - 1 <= size for page in pages if page)
    assert all(page for page in pages) or pages == [[]]


@given(st.lists(texts, max_size=12), texts, st.integers(0, 300))
def test_the_most_related_come_in_order_and_fit(sentences: list[str], query: str, most: int) -> None:
    scores = relevance(sentences, query)
    chosen = best(sentences, query, most)
    assert all(score >= 0 for score in scores)
    assert chosen == sorted(set(chosen))
    assert all(scores[at] > 0 for at in chosen)
    assert bool(chosen) == any(scores)
    assert len(chosen) <= 1 or sum(len(sentences[at]) for at in chosen) <= most
    if chosen:
        assert max(scores) in [scores[at] for at in chosen]


async def test_a_title_is_shown_where_there_is_one(shelf: Shelf, tmp_path: Path) -> None:
    file = write(tmp_path, {"name": "n1", "body": "Lamps of the harbour."})
    corpus = {"path": str(file), "id": "name", "text": "body", "title": None}
    assert (await answer(search(corpus=corpus), shelf, query="harbour")).startswith("- n1 (n1)\n")
    assert visit().shown(Document("u", "", "Text."), "", None) == "u (u) [1/1]\nText."


def test_a_page_without_a_goal_keeps_its_shape() -> None:
    code = "def f(text):\n    hours = text[:2]\n\n    if hours == '24':\n        return 0. + 1\n\n    return int(hours)"
    assert visit().shown(Document("a.py", "", code), "", None) == f"a.py (a.py) [1/1]\n{code}"
    long = "\n\n".join(f"    line_{number} = '{'x' * 80}'" for number in range(6))
    tool = visit(page=200)
    pages = [tool.shown(Document("a.py", "", long), "", number).partition("\n")[2] for number in (1, 2, 3)]
    assert "\n\n".join(pages) == long
