"""Tokens and their places: special text stays text, engines agree, masks and cuts are exact."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.errors import SpecError
from synthkit.train import tokenizer as tokenizers
from synthkit.train.align import Span, byte_places, cuts, loss_mask, token_ends
from synthkit.train.batch import Batch
from synthkit.train.encode import encoded
from synthkit.train.tokenizer import Gigatoken, Reference, TrainTokenizer, engine

TEXT = st.text(st.characters(codec="utf-8"), max_size=60) | st.sampled_from(
    ["<|endoftext|>", "a<|im_end|>b", "<think>\nso\n</think>", "e\u0301 \u212b", "\0\0", "中文，句子。", "\r\n\n  x"]
)


def _array(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def test_the_pad_of_a_base_tokenizer_is_minus_one(base: Path, chatty: Path) -> None:
    one, other = tokenizers.load(str(base)), tokenizers.load(str(chatty))
    assert (one.eod, one.pad_token, one.pad) == (one.eod, one.eod, -1)
    assert other.pad == other.pad_token == one.eod and other.eod == one.eod + 2
    assert one.vocab_size == one.eod + 5


def test_special_text_is_text(base: Path) -> None:
    plain = tokenizers.load(str(base))
    ids = Reference(plain).encode(_array(["x<|endoftext|>y<|im_start|>", "<think>"])).ids
    assert not np.isin(ids, [plain.eod, plain.eod + 1]).any()
    assert plain.eod + 3 in ids, "a token that is not special is a token"
    chat = tokenizers.load(str(base), special=["<|im_start|>"])
    assert chat.special == {"<|im_start|>": plain.eod + 1}
    ids = Reference(chat).encode(_array(["x<|endoftext|>y<|im_start|>"])).ids
    assert plain.eod + 1 in ids and plain.eod not in ids


@given(texts=st.lists(TEXT, max_size=8))
def test_gigatoken_gives_the_same_ids(base: Path, texts: list[str]) -> None:
    pytest.importorskip("gigatoken")
    loaded = _loaded(base)
    ours, theirs = Gigatoken(loaded).encode(_array(texts)), Reference(loaded).encode(_array(texts))
    assert ours.ends.tolist() == theirs.ends.tolist()
    assert ours.ids.tolist() == theirs.ids.tolist()


def test_an_engine_is_used_only_where_it_is_proven(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gigatoken")
    loaded, sample = _loaded(base), _array(["some text", "and more of it"])
    assert isinstance(engine(loaded, sample)[0], Gigatoken)
    nano, why = engine(tokenizers.load("nano"), sample)
    assert isinstance(nano, Reference) and "does not know this tokenizer" in why
    encode = Gigatoken.encode

    def wrong(self: Gigatoken, texts: pa.LargeStringArray) -> tokenizers.Tokens:
        found = encode(self, texts)
        return found._replace(ids=found.ids[::-1])

    monkeypatch.setattr(Gigatoken, "encode", wrong)
    fallen, why = engine(loaded, sample)
    assert isinstance(fallen, Reference) and "differs" in why


_CACHE: dict[Path, TrainTokenizer] = {}


def _loaded(folder: Path) -> TrainTokenizer:
    return _CACHE.setdefault(folder, tokenizers.load(str(folder)))


@given(text=st.text(st.characters(codec="utf-8"), max_size=80), data=st.data())
def test_a_token_is_learned_where_any_of_its_characters_is(base: Path, text: str, data: st.DataObject) -> None:
    """Against Hugging Face's own offsets."""
    loaded = _loaded(base)
    encoded = loaded.reference.encode(text, add_special_tokens=False)
    ids = np.array(encoded.ids, dtype=np.int32)
    marks = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=6)))
    spans = [Span("ab"[at % 2], *pair) for at, pair in enumerate(itertools.pairwise(marks))]
    loss = {"all": data.draw(st.integers(0, 1)), "a": 1, "b": 0}
    mask = loss_mask(text, spans, token_ends(text, ids, loaded), loss)
    learned = [loss["all"]] * len(text)
    for span in spans:
        learned[span.start : span.end] = [loss[span.role]] * (span.end - span.start)
    assert mask.tolist() == [int(any(learned[begin:end])) for begin, end in encoded.offsets]


_DECOMPOSED = ["e\u0301", "\u212a", "\u1100\u1161", "q\u0307\u0323", "\u0958", "\u0344", "\n", "\r\n", " x", "\u4e2d"]


@given(parts=st.lists(st.sampled_from(_DECOMPOSED) | TEXT, max_size=16))
def test_places_are_those_of_the_text_before_it_was_composed(base: Path, parts: list[str]) -> None:
    """Against Hugging Face's own offsets, which give a character's end to each of its tokens."""
    loaded, text = _loaded(base), "".join(parts)
    encoded = loaded.reference.encode(text, add_special_tokens=False)
    ends = token_ends(text, np.array(encoded.ids, dtype=np.int32), loaded)
    places = byte_places(text)
    assert np.searchsorted(places, ends).tolist() == [end for _, end in encoded.offsets]


def test_places_in_a_composed_text_are_not_asked_for(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tokenizers.load(str(base))
    text = "plain\ne\u0301 \u212a\n" * 3 + "\u4e2d"
    ids = np.array(loaded.reference.encode(text, add_special_tokens=False).ids, dtype=np.int32)
    loaded.byte_lengths, loaded.speller
    monkeypatch.setitem(loaded.__dict__, "reference", None)
    assert token_ends(text, ids, loaded)[-1] == len(text.encode())


@pytest.mark.parametrize("engine", [Gigatoken, Reference])
def test_batches_come_in_order_with_their_tokens(base: Path, engine: type[Gigatoken] | type[Reference]) -> None:
    if engine is Gigatoken:
        pytest.importorskip("gigatoken")
    loaded = _loaded(base)
    made = engine(loaded)
    made.most = 100
    texts = [[f"{at} of {batch}" * (1 + at * batch % 7) for at in range(batch % 4)] for batch in range(40)]
    batches = [Batch([str(number)], _array(each), None, {}) for number, each in enumerate(texts)]
    found = list(encoded(iter(batches), made))
    assert [batch.rows for batch, _ in found] == [batch.rows for batch in batches]
    for (_, tokens), each in zip(found, texts, strict=True):
        wanted = Reference(loaded).encode(_array(each))
        assert tokens.ids.tolist() == wanted.ids.tolist() and tokens.ends.tolist() == wanted.ends.tolist()


def test_no_more_is_read_ahead_than_there_are_threads(base: Path) -> None:
    made = Reference(_loaded(base))
    read: list[int] = []

    def batches() -> Iterator[Batch]:
        for number in range(9):
            read.append(number)
            yield Batch([], _array(["text"]), None, {})

    ahead = encoded(batches(), made)
    next(ahead)
    assert read == list(range(made.threads + 1))
    ahead.close()
    assert read == list(range(made.threads + 1))


def test_a_character_of_several_tokens_is_whole(base: Path) -> None:
    """Hugging Face, which is asked where a normaliser has changed the text, has one place for all of them."""
    loaded = _loaded(base)
    text = "e\u0301\U0001f600x"
    ids = np.array(loaded.reference.encode(text, add_special_tokens=False).ids, dtype=np.int32)
    ends = token_ends(text, ids, loaded)
    assert len(ids) > len(set(ends.tolist())), "some tokens share a place"
    assert loss_mask(text, [Span("a", 0, 4)], ends, {"all": 0, "a": 1}).all()
    assert cuts(text, [Span("a", 0, 3), Span("b", 3, 4)], ends, 2) is None, "the smiley is of four tokens"
    assert cuts(text, [Span("a", 0, 3), Span("b", 3, 4)], ends, len(ids) - 1) == [len(ids) - 1]


@given(
    lines=st.lists(st.text(st.characters(codec="ascii"), max_size=30), min_size=1, max_size=20), most=st.integers(5, 40)
)
def test_pieces_are_whole_lines(base: Path, lines: list[str], most: int) -> None:
    loaded = _loaded(base)
    text = "\n".join(lines)
    ids = np.array(loaded.reference.encode(text, add_special_tokens=False).ids, dtype=np.int32)
    ends = token_ends(text, ids, loaded)
    found = cuts(text, [], ends, most)
    if found is None:
        return
    bounds = [0, *found, len(ids)]
    assert all(low < high for low, high in itertools.pairwise(bounds) if len(ids))
    assert all(high - low <= most for low, high in itertools.pairwise(bounds))
    assert all(text[: ends[at - 1]].endswith("\n") for at in found)


def test_what_cannot_be_loaded_says_why(tmp_path: Path, base: Path) -> None:
    with pytest.raises(SpecError, match="there is no file"):
        tokenizers.load(str(tmp_path / "none"))
    with pytest.raises(SpecError, match=r"has no special token '<\|im_begin\|>'"):
        tokenizers.load(str(base), special=["<|im_begin|>"])
    with pytest.raises(SpecError, match="has no token '</s>'"):
        tokenizers.load(str(base), eod="</s>")
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(SpecError, match="cannot be read"):
        tokenizers.load(str(tmp_path))
