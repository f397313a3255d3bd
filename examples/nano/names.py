"""Made-up names, numbers and dates: what a world of nano is spelled with.

Variety matters more than realism. A model that has seen only a few name shapes learns them by heart; one that has seen
names of syllables, of capitalised words, of letters and digits, learns to copy whatever stands in its prompt.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import NamedTuple

WORDS = Path(__file__).with_name("words.txt").read_text(encoding="utf-8").split()

_ONSET = "b c d f g h j k l m n p r s t v w z b d f g h k l m n p r s t v br ch cl cr dr fl fr gl gr kl kr pl pr sh sk sl sp st str th tr qu".split() + [""]
_VOWEL = ["a", "e", "i", "o", "u"] * 14 + "ai au ea ee ei ia ie io oa ou y á é í ó ú ö ü ø å ã".split()
_CODA = [""] * 22 + "n r l s t m k d nd rt lm st ck ng x rk ll ss n r l s".split()

_PLACE = """{a}|{a}|{a}|{a} {b}|Port {a}|Lake {a}|Mount {a}|{a} Bay|{a} Valley|{a} Island|New {a}|Saint {a}|{a} Falls|{a}-{b}|Upper {a}
|North {a}|Cape {a}|{a}ville|{a}burg|{w} Harbour|{w} Point|River {a}|{a} River|{a} Fjord|{a} Forest""".replace("\n", "").split("|")
_THING = """{a} Bridge|{a} Tunnel|{a} Museum|{a} Observatory|{a} Institute|University of {a}|{a} University|{a} Railway|{a} Dam|{a} Library
|{a} Theatre|{a} Festival|{a} Line|{a} Canal|{a} Lighthouse|{a} Airport|{a} Station|{a} Wind Farm|{a} Power Station|{a} Group
|{a} Shipping|{a} {b} Company|{a} & {b}|{a} Works|{a} Press|{a} Orchestra|{a} Botanical Garden|{a} National Park|{a} Prize|{a} Cup
|{w} {v} Trust|{w} {v}|{w} of {a}|{w} Line|{w} {v} Foundation|Bank of {a}|{a} Hospital|{a} Laboratory|{a} {n}|{c}|{c}-{n}|{c} {a}
|{a} United|Order of the {w}|{a} {w} {v}|{a} Cathedral|{a} Archive|{a} Brewery|{a}-{b} Expedition|{a} Reef|MV {a}|{a} II""".replace("\n", "").split("|")
_PERSON = "{f} {b}|{f} {b}|{f} {b}|{f} {g}. {b}|{f} van {b}|{f} de {b}|Dr {b}|{f} {a} {b}".split("|")

MONTHS = "January February March April May June July August September October November December".split()


def word(rng: Random) -> str:
    """Return one lower-case word."""
    return rng.choice(WORDS)


def syllables(rng: Random) -> str:
    """Return a capitalised made-up word of one to four syllables; now and then letters at random."""
    if rng.random() < 0.08:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 7))).capitalize()
    count = rng.choice([1, 2, 2, 2, 2, 3, 3])
    text = "".join(rng.choice(_ONSET) + rng.choice(_VOWEL) + rng.choice(_CODA) for _ in range(count))
    return (text if len(text) > 2 else text + "rin").capitalize()


def name(rng: Random, kind: str = "any") -> str:
    """Return a made-up name of a `place`, `thing` or `person`."""
    shapes = {"place": _PLACE, "thing": _THING, "person": _PERSON}[kind if kind != "any" else rng.choice(["place", "thing", "thing", "person"])]
    return rng.choice(shapes).format(
        a=syllables(rng), b=syllables(rng), f=syllables(rng), g=rng.choice("ABCDEFGHJKLMNPRSTVW"), w=word(rng).capitalize(),
        v=word(rng).capitalize(), n=rng.randint(2, 990), c="".join(rng.choice("ABCDEFGHIKLMNOPRSTUVX") for _ in range(rng.randint(2, 5))),
    )


def amount(rng: Random) -> str:
    """Return a number as an article writes it."""
    big = int(10 ** rng.uniform(1, 7))
    return rng.choice([
        f"{big:,}", f"{big:,}", f"{big:,}", str(rng.randint(2, 99)), str(rng.randint(100, 999)), f"{big / 10:,.1f}", f"{rng.uniform(1, 90):.1f}",
        f"{rng.uniform(1, 90):.2f}", f"{rng.uniform(1, 99):.1f} million", f"{rng.randint(2, 900)} million", f"{rng.uniform(1, 9):.1f} billion",
        str(rng.randint(1000, 9999)), f"{rng.randint(1, 99)},000", rng.choice("two three four five six seven eight nine ten twelve".split()),
    ])  # fmt: skip


class When(NamedTuple):
    """A time: the words for it (`in March 2021`), its bare form (`March 2021`) and the ISO date."""

    phrase: str
    bare: str
    iso: str


def when(rng: Random) -> When:
    """Return a time of day, month or year precision."""
    year, month, day = rng.choice([rng.randint(1850, 2025), rng.randint(1990, 2025)]), rng.randint(1, 12), rng.randint(1, 28)
    precision = rng.random()
    if precision < 0.5:
        lead = rng.choice("in in in in in by since during until before after".split())
        lead = rng.choice([lead] * 9 + ["at the end of", "in the summer of", "in early", "in late", "in the year", "as of"])
        return When(f"{lead} {year}", str(year), str(year))
    if precision < 0.78:
        lead = rng.choice("in in in in in by since until".split())
        return When(f"{lead} {MONTHS[month - 1]} {year}", f"{MONTHS[month - 1]} {year}", f"{year}-{month:02}")
    bare = rng.choice([f"{day} {MONTHS[month - 1]} {year}"] * 4 + [f"{MONTHS[month - 1]} {day}, {year}"])
    return When(f"on {bare}", bare, f"{year}-{month:02}-{day:02}")
