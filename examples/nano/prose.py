"""Sentences as an encyclopedia writes them: brackets, quotations, names in rows, dates anywhere, pronouns.

The words are drawn at random, so that nothing but the shape can be learned. By construction it is known what the
statement is: the sentence with its subject named; where it does not begin with the entity, the sentence behind the
entity's name and a colon, which needs no grammar and keeps what "the film" is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import yaml
from names import MONTHS, amount, name, when, word

SHAPES: dict[str, list[str]] = yaml.safe_load((Path(__file__).parent / "prose.yaml").read_text(encoding="utf-8"))
_YEAR = re.compile(r"(?<![\d.,])(?:1\d{3}|20[0-2]\d)(?!\d|[.,]\d|s\b)")
_FIGURE = r"(?<![\w.,–-])(?P<figure>\d[\d,]*(?:\.\d+)?(?: [mb]illion)?)"
_COUNT = re.compile(rf"{_FIGURE} (?P<noun>(?:[a-z]+ ){{0,2}}?(?:[a-z]{{2,}}s|people|percent))\b")
_BREAK = re.compile(r"\b(?:and|or|of|in|on|at|to|by|for|with|from|until|since|after|about|the|an?|is|was|its|his)\b")
_DAY = rf"(?:\d{{1,2}} )?(?:{'|'.join(MONTHS)})(?: \d{{1,2}},)? "
_LEADS = (
    "in|on|by|since|during|until|before|after|from|as of|at the end of|in the summer of|in early|in late|in the year"
)
_LETTERS = "áàâäãåāăąćčçďđéèêëēęěğíìîïīıłńňñóòôöõøōőřśşšťțúùûüūůűýžżæœßð"
_SCRIPTS = (
    "αβγδεζηικλμνοπρστ",
    "абвгдежзиклмнопрстуя",
    "一二三上下中人大小山川東西南北王国",
    "ابتجدرسعلمنهو",
    "अकगतनमरलसह",
)
_HIS = ("his", "her", "its", "their")


def year_of(text: str) -> str | None:
    """Return the first year in the text, which is the time of a statement here."""
    found = _YEAR.search(text)
    return found.group() if found else None


def stem_of(statement: str) -> str:
    """Return the statement without its first year, the words that lead to it, and its full stop."""
    year = year_of(statement)
    if year is None:
        return ""
    time = rf"(?:{_DAY})?{year}\b"
    opening = rf"(^|: )(?:{_LEADS}) {time},? "
    if re.search(opening, statement, flags=re.IGNORECASE):
        return re.sub(opening, r"\1", statement, count=1, flags=re.IGNORECASE).rstrip(".")
    return re.sub(rf" (?:(?:{_LEADS}) )?{time}", "", statement, count=1, flags=re.IGNORECASE).rstrip(".")


def counts_of(statement: str) -> list[tuple[str, str]]:
    """Return figures and what they count, up to a plural: `31,200` and `small boats`; years and dates are none."""
    found = [(m["figure"], m["noun"]) for m in _COUNT.finditer(statement)]
    return [(figure, noun) for figure, noun in found if not _YEAR.fullmatch(figure) and not _BREAK.search(noun)]


class Lazy(dict[str, str]):
    """Draws what a shape asks for, and now and then what was drawn before.

    Phrases that repeat with another word behind them are what a copy of real text gets lost in.
    """

    def __init__(self, rng: Random, entity: str) -> None:
        super().__init__()
        self.rng, self.entity, self.old, self.depth = rng, entity, [entity], 0
        self.seen: dict[str, list[str]] = {"w": [], "n": [], "v": [], "p": []}
        self.again = rng.choice([0.0, 0.1, 0.3, 0.5])

    def fill(self, kind: str) -> str:
        """Return a filled shape."""
        return self.rng.choice(SHAPES[kind]).format_map(self)

    def _named(self, kind: str) -> str:
        rng = self.rng
        if len(self.old) > 1 and rng.random() < 0.1 + self.again / 2:
            return rng.choice(self.old[1:])
        if self.entity and rng.random() < self.again / 3:
            return alike(rng, self.entity)
        found = foreign(rng, name(rng, kind)) if rng.random() < 0.12 else name(rng, kind)
        self.old.append(found)
        return found

    def _title(self) -> str:
        if self.entity and self.rng.random() < self.again:
            return self.entity if self.rng.random() < 0.3 else alike(self.rng, self.entity)
        return self.fill("titles") if self.rng.random() < 0.7 else self._named("any")

    def __missing__(self, key: str) -> str:
        """Draw the value of a slot."""
        if (old := self.seen.get(key)) is None:
            return self._new(key)
        if old and self.rng.random() < self.again:
            return self.rng.choice(old)
        old.append(found := self._new(key))
        return found

    def _new(self, key: str) -> str:
        rng = self.rng
        if key == "w":
            return word(rng)
        if key == "W":
            return word(rng).capitalize()
        if key == "v":
            return word(rng).rstrip("e") + "ed"
        if key == "x":
            self.depth += 1
            more = rng.random() < (0.55 if self.depth < 3 else 0.1)
            return self.fill("clauses") if more else ""
        if key in ("N", "L", "P"):
            return self._named({"N": "any", "L": "place", "P": "person"}[key])
        return {
            "n": lambda: self.fill("nouns"),
            "M": lambda: (
                ", ".join(self._named("person") for _ in range(rng.randint(1, 3))) + f" and {self._named('any')}"
            ),
            "T": self._title,
            "Q": lambda: f'"{self._title()}"',
            "y": lambda: str(year(rng)),
            "D": lambda: date(rng),
            "S": lambda: f"{year(rng)}{rng.choice(['–', '-', ' – ', ' to '])}{year(rng)}",
            "m": lambda: rng.choice(MONTHS),
            "a": lambda: amount(rng),
            "i": lambda: str(rng.randint(2, 98)),
            "o": lambda: rng.choice(["first", "second", "third", "fourth", "last", "only", "oldest", "12th", "2nd"]),
            "p": lambda: rng.choice(["of", "in", "at", "for", "with", "by", "from", "about", "on", "to", "under"]),
            "k": lambda: rng.choice(SHAPES["kinds"]),
            "h": lambda: rng.choice(_HIS),
            "C": lambda: rng.choice("ABCDEFGHIJKLMNOPRSTUVW"),
            "E": lambda: self.entity,
        }[key]()


def year(rng: Random) -> int:
    """Return a year, mostly a late one."""
    return rng.choice(
        [rng.randint(1000, 1850), rng.randint(1850, 2025), rng.randint(1950, 2025), rng.randint(1950, 2025)]
    )


def date(rng: Random) -> str:
    """Return a date: a day, a month or a year, also with a question mark."""
    if rng.random() < 0.3:
        return rng.choice([f"c. {year(rng)}", f"{year(rng)}", f"{rng.choice(MONTHS)} {year(rng)}", f"{year(rng)}?"])
    bare = re.sub(r"\d{4}", str(year(rng)), when(rng).bare)
    return bare if rng.random() < 0.9 else f"{rng.randint(1, 28)} {rng.choice(MONTHS)} {rng.randint(300, 999)}"


def foreign(rng: Random, text: str) -> str:
    """Return the name with other letters in it, or another script behind it."""
    if rng.random() < 0.12:
        script = rng.choice(_SCRIPTS)
        return "".join(rng.choice(script) for _ in range(rng.randint(2, 6)))
    return "".join(rng.choice(_LETTERS) if c.islower() and rng.random() < 0.15 else c for c in text)


def alike(rng: Random, entity: str) -> str:
    """Return a name that shares words with the entity and is another."""
    words = entity.split()
    at = rng.randrange(len(words))
    words[at : at + rng.randint(0, 1)] = [
        rng.choice([word(rng).capitalize(), f"{rng.choice('ABCDEHJLMRST')}.", name(rng, "place")])
    ]
    found = " ".join(words)
    return found if entity not in found else f"{words[0]} {word(rng).capitalize()}"


def part_of(rng: Random, entity: str) -> str:
    """Return a short form of the entity: some of its words, or all with one between."""
    words = entity.split()
    if len(words) > 1 and rng.random() < 0.25:
        between = rng.choice([f"{rng.choice('ABCDEHJLMRST')}.", word(rng).capitalize(), name(rng, "place")])
        return " ".join([words[0], between, *words[1:]])
    start = rng.randrange(len(words))
    return " ".join(words[start : rng.randint(start + 1, len(words))]).rstrip(",:")


def title(rng: Random) -> tuple[str, str]:
    """Return the title of a passage and the entity in it: the title without its bracket."""
    lazy = Lazy(rng, "")
    entity = lazy.fill("titles") if rng.random() < 0.5 else name(rng, rng.choice(["person", "person", "any"]))
    if rng.random() < 0.12:
        entity = foreign(rng, entity)
    entity = entity.rstrip(".") if not entity.endswith("Jr.") else entity
    bracket = rng.choice(["{k}", "{y} {k}", "{k}", "{N} {k}", "{w}", "{W} of {L}"]).format_map(lazy)
    return (f"{entity} ({bracket})" if rng.random() < 0.22 else entity), entity


def messy(text: str, entity: str) -> str:
    """Return the text with the blanks of a careless tokenizer: `Velmar( born`, `a book" X"`, `comedy- drama`."""
    parts = text.split(entity) if entity else [text]
    for at, part in enumerate(parts):
        part = re.sub(r" \((?! )", "( ", part)
        part = re.sub(r" \"([^\"]*)\"", r'" \1"', part)
        parts[at] = re.sub(r"(?<=[a-z])-(?=[a-z])", "- ", part)
    return entity.join(parts)


class Style(NamedTuple):
    """What stays the same within a passage."""

    pronoun: str
    kind: str
    mess: bool


def style(rng: Random) -> Style:
    """Draw a style."""
    return Style(rng.choice(["It", "He", "She", "It", "They"]), rng.choice(SHAPES["kinds"]), rng.random() < 0.45)


def _pairs(rng: Random, entity: str, how: Style) -> Iterator[tuple[str, str]]:
    lazy = Lazy(rng, entity)
    shape, does = rng.random(), lazy.fill("predicates")
    joint = "" if does[0] in "(," else " "
    if does[0] in ",(" and (shape < 0.3 or shape > 0.5):
        shape = 0.1
    pronoun, own = how.pronoun, f"{word(rng)} {word(rng)}" if rng.random() < 0.5 else word(rng)
    his = {"It": "Its", "He": "His", "She": "Her", "They": "Their"}[pronoun]
    short = part_of(rng, entity)
    if shape < 0.3:
        blank = " " if joint == "" and rng.random() < 0.6 and does[0] == "(" else joint
        yield f"{entity}{blank}{does}", f"{entity}{blank}{does}"
    elif (
        shape < 0.44
        and short[0].isupper()
        and short != entity
        and len(short) > 3
        and short not in ("The", "Port", "Lake", "River")
    ):
        yield f"{short}{joint}{does}", f"{entity}{joint}{does}"
    elif shape < 0.62:
        yield f"{pronoun} {does}", f"{entity} {does}"
    elif shape < 0.69:
        yield f"{his} {own} {does}", f"{entity}'s {own} {does}"
    elif shape < 0.77:
        lead = rng.choice(["The", "The", "The", "This"])
        yield f"{lead} {how.kind} {does}", f"{entity} {does}"
    elif shape < 0.80:
        yield f"The {how.kind}'s {own} {does}", f"{entity}'s {own} {does}"
    elif shape < 0.86:
        inner = rng.choice([pronoun.lower(), pronoun.lower(), f"the {how.kind}", entity, entity, short])
        text = f"{lazy.fill('leads')}{inner} {does}"
        yield text, f"{entity}: {text}"
    elif shape < 0.94:
        if rng.random() < 0.4:
            lazy.old.append(short)
        other = lazy.fill("leads") + lazy.fill("others") if rng.random() < 0.15 else lazy.fill("others")
        yield other, other if other.startswith(entity) else f"{entity}: {other}"
    else:
        around = lazy.fill("around")
        yield around, around if around.startswith(entity) else f"{entity}: {around}"


def sentence(rng: Random, entity: str, how: Style) -> tuple[str, str]:
    """Return a sentence about the entity and the statement it makes, at most 390 characters."""
    while True:
        text, statement = next(_pairs(rng, entity, how))
        end = rng.choices([".", "?", "!", ":"], [96, 1, 1, 2])[0]
        if how.mess:
            text, statement = messy(text, entity), messy(statement, entity)
        text, statement = (t if t.endswith(".") else t + end for t in (text, statement))
        if 25 <= len(statement) <= 390 and statement.count(entity) < 4:
            return text[:1].upper() + text[1:], statement
