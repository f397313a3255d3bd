"""Made-up names, numbers and dates: what a world of nano is spelled with.

Variety matters more than realism. A model that has seen only a few name shapes learns them by heart; one that has seen
names of syllables, of capitalised words, of letters and digits, learns to copy whatever stands in its prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import NamedTuple

import yaml

HERE = Path(__file__).resolve().parent
WORDS = (HERE / "words.txt").read_text(encoding="utf-8").split()
GRAMMAR: dict[str, list[str]] = yaml.safe_load((HERE / "grammar.yaml").read_text(encoding="utf-8"))

_ONSET, _VOWEL, _CODA = ([part.strip("-") for part in GRAMMAR[key]] for key in ("onset", "vowel", "coda"))
MONTHS = GRAMMAR["months"]


PIECES: dict[str, list[str]] = {"word": [], "start": [], "rest": []}


def use_pieces(tokens: Iterable[str]) -> None:
    """Also spell words and names with these tokens of the tokenizer, `Ġ` for a blank.

    A token that no reply holds is one that nano cannot copy: without this a fifth of them are rarer than 1 in 100,000.
    """
    for token in sorted(tokens):
        if re.fullmatch("Ġ[a-z]{2,}", token):
            PIECES["word"].append(token[1:])
        elif re.fullmatch("[A-Z][a-z]*", token):
            PIECES["start"].append(token)
        elif re.fullmatch("[a-z]+", token):
            PIECES["rest"].append(token)


def word(rng: Random) -> str:
    """Return one lower-case word."""
    if PIECES["word"] and rng.random() < 0.3:
        return rng.choice(PIECES["word"]) + (rng.choice(PIECES["rest"]) if rng.random() < 0.3 else "")
    return rng.choice(WORDS)


def syllables(rng: Random) -> str:
    """Return a capitalised made-up word of one to four syllables; now and then letters at random."""
    if PIECES["start"] and rng.random() < 0.4:
        return rng.choice(PIECES["start"]) + "".join(
            rng.choice(PIECES["rest"]) for _ in range(rng.choice([0, 1, 1, 2, 2, 3]))
        )
    if rng.random() < 0.08:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 7))).capitalize()
    count = rng.choice([1, 2, 2, 2, 2, 3, 3])
    text = "".join(rng.choice(_ONSET) + rng.choice(_VOWEL) + rng.choice(_CODA) for _ in range(count))
    return (text if len(text) > 2 else text + "rin").capitalize()


def name(rng: Random, kind: str = "any") -> str:
    """Return a made-up name of a `place`, `thing` or `person`."""
    shapes = GRAMMAR[kind if kind != "any" else rng.choice(["place", "thing", "thing", "person"])]
    return rng.choice(shapes).format(
        a=syllables(rng),
        b=syllables(rng),
        f=syllables(rng),
        g=rng.choice("ABCDEFGHJKLMNPRSTVW"),
        w=word(rng).capitalize(),
        v=word(rng).capitalize(),
        n=rng.randint(2, 990),
        c="".join(rng.choice("ABCDEFGHIKLMNOPRSTUVX") for _ in range(rng.randint(2, 5))),
    )


def amount(rng: Random) -> str:
    """Return a number as an article writes it."""
    big = int(10 ** rng.uniform(1, 7))
    return rng.choice(
        [
            f"{big:,}",
            f"{big:,}",
            f"{big:,}",
            str(rng.randint(2, 99)),
            str(rng.randint(100, 999)),
            f"{big / 10:,.1f}",
            f"{rng.uniform(1, 90):.1f}",
            f"{rng.uniform(1, 90):.2f}",
            f"{rng.uniform(1, 99):.1f} million",
            f"{rng.randint(2, 900)} million",
            f"{rng.uniform(1, 9):.1f} billion",
            str(rng.randint(2100, 9999)),  # no year
            f"{rng.randint(1, 99)},000",
            rng.choice(["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve"]),
        ]
    )


class When(NamedTuple):
    """A time: the words for it (`in March 2021`), its bare form (`March 2021`) and the ISO date."""

    phrase: str
    bare: str
    iso: str


def when(rng: Random) -> When:
    """Return a time of day, month or year precision."""
    year, month, day = (
        rng.choice([rng.randint(1850, 2025), rng.randint(1990, 2025)]),
        rng.randint(1, 12),
        rng.randint(1, 28),
    )
    precision = rng.random()
    if precision < 0.5:
        lead = rng.choice(["in", "in", "in", "in", "in", "by", "since", "during", "until", "before", "after"])
        lead = rng.choice(
            [lead] * 9 + ["at the end of", "in the summer of", "in early", "in late", "in the year", "as of"]
        )
        return When(f"{lead} {year}", str(year), str(year))
    if precision < 0.78:
        lead = rng.choice(["in", "in", "in", "in", "in", "by", "since", "until"])
        return When(f"{lead} {MONTHS[month - 1]} {year}", f"{MONTHS[month - 1]} {year}", f"{year}-{month:02}")
    bare = rng.choice([f"{day} {MONTHS[month - 1]} {year}"] * 4 + [f"{MONTHS[month - 1]} {day}, {year}"])
    return When(f"on {bare}", bare, f"{year}-{month:02}-{day:02}")
