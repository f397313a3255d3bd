from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.actions.chunk import Chunk
from synthkit.actions.sentences import sentences
from synthkit.core.resources import shipped
from synthkit.core.row import Row
from synthkit.testing.context import RecordingContext

from .fakes import FakeScope, types


class Words(RecordingContext):
    """Counts words, so that tests can say how long a passage is."""

    def count_tokens(self, text: str) -> int:
        return len(text.split())


CONTEXT = Words()


async def passages(text: str, **more: Any) -> list[tuple[Any, dict[str, Any]]]:
    action = Chunk.model_validate({"text": "text", "into": "passage", "sentences": "sentences", "tokens": 20, **more})
    ran = await CONTEXT.run(action, Row("r", {"text": text}))
    return [(child.path, child.columns) for child in ran.children]


def split(text: str) -> list[str]:
    return [text[each.start : each.end] for each in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He met J. R. Smith. Then he left.", ["He met J. R. Smith.", "Then he left."]),
        ("Dr. Who paid $3.5 million. Why? “Go!” she said.", ["Dr. Who paid $3.5 million.", "Why?", "“Go!” she said."]),
        ("See No. 5 (d. 851) of the U.S. Navy. It sank.", ["See No. 5 (d. 851) of the U.S. Navy.", "It sank."]),
        ("He said no. She left at 5 p.m. Then rain.", ["He said no.", "She left at 5 p.m.", "Then rain."]),
        ("他说：“好。”然后走了。真的吗？是的！", ["他说：“好。”", "然后走了。", "真的吗？", "是的！"]),
        ("第一章……结束。Yes it is. 中文。", ["第一章……", "结束。", "Yes it is.", "中文。"]),
        ("# Title\n\nBody one. Body two\n- item\n- other", ["# Title", "Body one.", "Body two", "- item", "- other"]),
        ("", []),
        (" \n\n ", []),
        ("one", ["one"]),
    ],
)  # fmt: skip
def test_sentences(text: str, expected: list[str]) -> None:
    assert split(text) == expected


def test_every_shipped_article_has_the_sentences_its_author_gave_it() -> None:
    for file in sorted(shipped("documents").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            article = json.loads(line)
            assert 6 <= len(split(article["text"])) <= 9, article["id"]


@given(st.text(alphabet='ab .?!。！\n"”A1#-', max_size=200))
def test_nothing_but_white_space_lies_between_sentences(text: str) -> None:
    found = list(sentences(text))
    assert "".join(text[each.start : each.end] for each in found).split() == text.split() or "".join(
        "".join(text[each.start : each.end].split()) for each in found
    ) == "".join(text.split())
    assert all(before.end <= after.start for before, after in pairwise(found))


async def test_passages_are_whole_sentences_up_to_the_bound() -> None:
    text = " ".join(f"Sentence {n} has just six words." for n in range(30))
    made = await passages(text)
    assert [columns["passage"].split() for _, columns in made]
    assert all(len(columns["passage"].split()) <= 20 for _, columns in made)
    assert all(columns["passage"] == " ".join(columns["sentences"]) for _, columns in made)
    assert " ".join(columns["passage"] for _, columns in made) == text


async def test_overlap_repeats_whole_sentences_of_the_passage_before() -> None:
    text = " ".join(f"Sentence {n} has just six words." for n in range(12))
    plain, lapped = await passages(text, tokens=18), await passages(text, tokens=24, overlap=6)
    assert [path[0] for path, _ in plain] == [path[0] for path, _ in lapped]
    for (_, before), (_, after) in pairwise(lapped):
        assert after["sentences"][0] == before["sentences"][-1]


async def test_a_sentence_that_is_too_long_is_cut_at_white_space() -> None:
    text = " ".join(f"w{n}" for n in range(70))
    made = await passages(text)
    assert all(len(columns["passage"].split()) <= 20 for _, columns in made)
    assert " ".join(columns["passage"] for _, columns in made) == text


async def test_a_text_without_words_is_rejected() -> None:
    for text in ("", "  \n ", None):
        ran = await CONTEXT.run(Chunk(text="text", into="passage"), Row("r", {"text": text}))
        assert ran.reject is not None
        assert ran.reject.reason == "no text"


async def test_repeated_text_gives_different_paths() -> None:
    made = await passages("Same words here again.\n\n" * 6, tokens="1..4")
    paths = [path for path, _ in made]
    assert len(set(paths)) == len(paths) == 6


SENTENCES = st.integers(0, 10**9).map(lambda n: f"Word {n} of {n % 977} and {n % 89} more.")


@given(st.lists(SENTENCES, min_size=1, max_size=60, unique=True), st.booleans(), st.integers(0, 100))
async def test_passages_cover_the_text_within_the_bound(texts: list[str], paragraphs: bool, key: int) -> None:
    rng = random.Random(key)
    text = "".join(each + ("\n\n" if paragraphs and rng.random() < 0.3 else " ") for each in texts)
    made = await passages(text)
    assert " ".join(" ".join(columns["passage"].split()) for _, columns in made) == " ".join(text.split())
    assert all(len(columns["passage"].split()) <= 20 for _, columns in made)
    assert len({path for path, _ in made}) == len(made)


async def test_an_edit_renames_few_passages() -> None:
    rng = random.Random(5)
    renamed = []
    for _ in range(20):
        texts = [f"Word {rng.random()} of {rng.random()} and more." for _ in range(150)]
        edited = list(texts)
        edited[rng.randrange(100)] = f"Edited {rng.random()} words."
        before = {path for path, _ in await passages(" ".join(texts), tokens=40)}
        after = {path for path, _ in await passages(" ".join(edited), tokens=40)}
        renamed.append(len(after - before))
    assert sorted(renamed)[10] <= 2
    assert max(renamed) <= 12


def test_lengths_that_leave_nothing() -> None:
    scope = FakeScope(types({"text": "str"}))
    assert scope.told(Chunk(text="text", into="p", tokens="100.."))[0] == "tokens needs an upper end"  # type: ignore[arg-type]
    assert "more than half" in FakeScope().told(Chunk(text="text", into="p", overlap=400))[0]
    assert {n: str(t) for n, t in Chunk(text="text", into="p", sentences="s").adds(scope).items()} == {
        "p": "str(1..)",
        "s": "[str(1..)](1..)",
    }
