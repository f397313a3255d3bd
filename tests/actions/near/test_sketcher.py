"""Sketches against datasketch and plain Python, bit by bit."""

from __future__ import annotations

import random
import sys
from functools import cache
from zlib import crc32

import numpy as np
import pyarrow as pa
import pytest
from datasketch import LeanMinHash, MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.actions.near.characters import LONGER, MARKED, characters, folded
from synthkit.actions.near.sketcher import Shingling, Sketcher, text_hashes

from .twin import hashed, shingles

KINDS = [Shingling(size, chars, figures) for size in (1, 2, 5) for chars in (False, True) for figures in (True, False)]
TEXTS = [
    "",
    " \n",
    "a",
    "The quick brown fox jumps over the lazy dog near the old stone bridge at noon on a cold day in the far north",
    "Port Velmar handled 1,436.5 thousand containers in March 2023, 1.5kg each; e.g. v1.2.3,4a and 3.x_y",
    "jan January sept september septembers MAY Mayor dec. decem 5may",
    "沧浪大桥于2006年5月通车，把青岚市的南北两岸连接起来。",
    "東京タワーは1958年に完成した。ゼロ・ワン 한국어 문장입니다 \u1100\u1161\u11a8",
    "ＡＢＣ　ｄｅｆ ﬁne … ½ № ™ ² ß İstanbul ΣΊΣΥΦΟΣ e\u0301 é \u0344 ẛ̣",
    "١٢٣ هذا نص عربي और यह हिंदी है \u0958 ไทย \u0e33",
    "🎉🎉 party 👩‍👩‍👧 \U0001d400\U0001d7d8 \U0002f800 \U00011131\U00011127",
    "w" * 700 + " x " + "y" * 300,
]


def array(texts: list[str]) -> pa.Array:
    return pa.array(texts, pa.large_string())


@cache
def sketcher(shingling: Shingling) -> Sketcher:
    return Sketcher(shingling)


def found(texts: list[str], shingling: Shingling) -> list[list[int]]:
    made = sketcher(shingling).sketch(array(texts))
    return [each.tolist() for each in np.split(made.flat, made.bounds[1:-1])]


@pytest.mark.parametrize("shingling", KINDS, ids=str)
def test_shingles_and_signatures_are_datasketchs(shingling: Shingling) -> None:
    made = sketcher(shingling).sketch(array(TEXTS))
    assert found(TEXTS, shingling) == [hashed(text, shingling) for text in TEXTS]
    for text, signature in zip(TEXTS, made.signatures, strict=True):
        theirs = MinHash(num_perm=128, hashfunc=crc32)
        theirs.update_batch(shingles(text, shingling))
        assert signature.dtype == theirs.hashvalues.dtype
        assert (signature == theirs.hashvalues).all()
        assert LeanMinHash(seed=1, hashvalues=signature, scheme="affine32").jaccard(theirs) == 1


def test_every_character_folds_as_python_folds_it() -> None:
    tables = characters()
    for code in range(sys.maxunicode + 1):
        to = int(tables.folds[code])
        if to == MARKED:
            continue
        first, count = (to & ~LONGER) >> 8, to & 255
        codes = tables.pool[first : first + count] if to & LONGER else [to]
        assert "".join(map(chr, codes)) == folded(chr(code)), hex(code)
    assert (tables.folds[:0xD800] == MARKED).sum() < 1500, "what is common needs no Python"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(), max_size=5), st.sampled_from(KINDS))
def test_any_text(texts: list[str], shingling: Shingling) -> None:
    assert found(texts, shingling) == [hashed(text, shingling) for text in texts] if texts else [[]]


MIXED = st.text(st.sampled_from("aZ9.,_ é\u0301ßİ½²한\u1161\u11a8中・，ｱﾞ\u0f71\u0f72…ﷺ"), max_size=40)


@settings(max_examples=300, deadline=None)
@given(MIXED, st.sampled_from(KINDS))
def test_texts_of_what_acts_on_its_neighbours(text: str, shingling: Shingling) -> None:
    assert found([text], shingling) == [hashed(text, shingling)]


def test_a_slice_of_an_array_is_sketched_as_it_stands() -> None:
    every = array(TEXTS)
    whole, part = (sketcher(KINDS[0]).sketch(each) for each in (every, every.slice(3, 4)))
    assert (whole.signatures[3:7] == part.signatures).all()
    assert (whole.content[3:7] == part.content).all()
    assert (text_hashes(every)[3:7] == text_hashes(every.slice(3, 4))).all()


def test_content_is_equal_where_the_sets_of_shingles_are() -> None:
    made = sketcher(Shingling(1)).sketch(array(["a b c", "C b, a b!", "a b d", "a b"]))
    assert len({tuple(each) for each in made.content.tolist()}) == 3
    assert (made.content[0] == made.content[1]).all()


def test_hashes_are_murmur3s() -> None:
    made = text_hashes(array(["hello", "The quick brown fox jumps over the lazy dog", ""]))
    assert [f"{high:016x}{low:016x}" for high, low in made.tolist()] == [
        "cbd8a7b341bd9b025b1e906a48ae1d19",
        "e34bbc7bbc071b6c7a433ca9c49a9347",
        "0" * 32,
    ]


def test_estimates_follow_the_exact_jaccard() -> None:
    rng = random.Random(1)
    one = [f"w{rng.randrange(5000)}" for _ in range(400)]
    other = one[:300] + [f"x{n}" for n in range(100)]
    texts = [" ".join(each) for each in (one, other)]
    made = sketcher(Shingling(1)).sketch(array(texts))
    exact = len(set(one) & set(other)) / len(set(one) | set(other))
    assert abs((made.signatures[0] == made.signatures[1]).mean() - exact) < 0.12
