"""Made-up passages: sentences about one subject, each with the facts it holds.

A sentence comes in two forms: as the passage has it (`It handled 31,200 parcels in 2012.`) and as a statement that
stands alone (`Velmar Post handled ...`). A fact keeps the words a question can be asked with; every one of them is
copied from the sentence, so that the same questions can be asked of sentences that no grammar here ever made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import prose
from names import GRAMMAR, When, amount, name, syllables, when, word

VERBS, DATED, BY, UNITS = (GRAMMAR[key] for key in ("verbs", "dated", "by", "units"))
PREPOSITIONS, CHANGE, PASSIVE, RECORDED = (GRAMMAR[key] for key in ("prepositions", "change", "passive", "recorded"))


@dataclass(frozen=True)
class Fact:
    """A figure of a sentence: what is counted, how many, and when (`in March 2021`, or nothing)."""

    noun: str
    answer: str
    time: str = ""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a passage, the statement made of it, and what can be asked of it.

    `stem` is the statement without its time and its full stop: what "in which year was it that ..." asks about. Where
    the entity stands in front of a colon, the stem does without: the question has named it, and a name twice in a row
    is what a copy runs in circles on.
    """

    text: str
    entity: str
    statement: str
    year: str | None = None
    stem: str = ""
    facts: tuple[Fact, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass
class Passage:
    """A title and its sentences."""

    title: str
    sentences: list[Sentence] = field(default_factory=list)


def words(rng: Random, low: int, high: int) -> str:
    """Return `low..high` random words."""
    return " ".join(word(rng) for _ in range(rng.randint(low, high)))


def _tail(rng: Random) -> str:
    shape = rng.random()
    if shape < 0.5:
        return ""
    if shape < 0.7:
        return f" {rng.choice(PREPOSITIONS)} the {words(rng, 1, 3)}"
    if shape < 0.85:
        return f" {rng.choice(PREPOSITIONS)} {name(rng)}"
    return f" {rng.choice(PREPOSITIONS)} {words(rng, 1, 3)}" + (
        f" of {name(rng, 'place')}" if rng.random() < 0.3 else ""
    )


def _noun(rng: Random) -> str:
    """What is counted: a unit, or words up to a plural, which is where a reader sees it end."""
    return rng.choice(UNITS) if rng.random() < 0.45 else words(rng, 1, rng.choice([1, 1, 2, 3])).rstrip("s") + "s"


def _verb(rng: Random) -> str:
    return rng.choice(VERBS) if rng.random() < 0.7 else word(rng).rstrip("e") + "ed"


def _cap(text: str) -> str:
    return text[:1].upper() + text[1:]


Made = tuple[str, When | None, tuple[Fact, ...]]


def _count(rng: Random, start: str, inside: str) -> Made:
    shape = rng.choice(PASSIVE if rng.random() < 0.45 else RECORDED)
    first, second = when(rng), when(rng)
    a, a2, n, n2, v = amount(rng), amount(rng), _noun(rng), _noun(rng), _verb(rng)
    text = shape.format(
        S=start,
        s=inside,
        T=_cap(first.phrase),
        t=first.phrase,
        t2=second.phrase,
        A=a,
        A2=a2,
        N=n,
        N2=n2,
        V=v,
        V2=_verb(rng),
        X=_tail(rng),
        w="{w}",
        c=rng.choice(CHANGE),
        P=name(rng, "place"),
        W=words(rng, 1, 4),
        Z=_cap(words(rng, 2, 4)),
        Y=name(rng),
    )
    while "{w}" in text:
        text = text.replace("{w}", word(rng), 1)
    dated = "{t}" in shape or "{T}" in shape
    facts = [Fact(n, a, first.phrase if dated else "")]
    if "{t2}" in shape:
        facts.append(Fact(n, a2, second.phrase))
    return text, (first if dated else None), tuple(facts)


def _date(rng: Random, start: str, inside: str) -> Made:
    time = when(rng)
    verb = rng.choice(DATED) if rng.random() < 0.7 else _verb(rng)
    place = f" {words(rng, 1, 3)} {rng.choice(PREPOSITIONS)} {name(rng)}"
    rest = rng.choice(["", f" {name(rng)}", f" {words(rng, 1, 4)}", f" the {words(rng, 1, 3)}", place])
    tail = _tail(rng) if rng.random() < 0.3 else ""
    if rng.random() < 0.6:
        return f"{start} {verb}{rest} {time.phrase}{tail}.", time, ()
    return f"{_cap(time.phrase)}{rng.choice([',', ''])} {inside} {verb}{rest}{tail}.", time, ()


def _named(rng: Random, start: str, inside: str) -> Made:
    who, verb, time = name(rng, rng.choice(["person", "person", "thing"])), rng.choice(BY), when(rng)
    if rng.random() < 0.4:
        return f"{start} was {verb} by {who}{_tail(rng)}.", None, ()
    shapes = (
        f"{start} was {verb} by {who} {time.phrase}.",
        f"{_cap(time.phrase)} {inside} was {verb} by {who}{_tail(rng)}.",
        f"{who} {verb} {inside}{_tail(rng)} {time.phrase}.",
    )
    return rng.choice(shapes), time, ()


def _plain(rng: Random, start: str, inside: str) -> Made:
    shapes = (
        f"{start} is a {words(rng, 1, 3)} {rng.choice(PREPOSITIONS)} {name(rng, 'place')}{_tail(rng)}.",
        f"{start} {_verb(rng)} {words(rng, 1, 4)}{_tail(rng)} and {_verb(rng)} {name(rng)}.",
        f"{name(rng)} {_verb(rng)} the {words(rng, 1, 3)} of {inside}{_tail(rng)}.",
        f"The {words(rng, 1, 3)} {rng.choice(PREPOSITIONS)} {name(rng)} {_verb(rng)} {inside}{_tail(rng)}.",
        f"{_cap(words(rng, 1, 4))} {inside} {words(rng, 1, 5)}, {words(rng, 1, 5)}{_tail(rng)}.",
        f"{start} {words(rng, 3, 12)}.",
    )
    return rng.choice(shapes), None, ()


def _stem(statement: str, time: When | None) -> str:
    """Return the statement without its time; nothing where it has none."""
    if time is None:
        return ""
    if ": " in statement:
        return prose.stem_of(statement.split(": ", 1)[1])
    for lead in (f"{_cap(time.phrase)}, ", f"{_cap(time.phrase)} "):
        if statement.startswith(lead):
            return statement.removeprefix(lead).rstrip(".")
    return statement.replace(f" {time.phrase}", "", 1).rstrip(".")


def _made(text: str, entity: str, made: Made, aliases: tuple[str, ...] = ()) -> Sentence:
    statement, time, facts = made
    return Sentence(text, entity, statement, prose.year_of(text), _stem(statement, time), facts, aliases)


def sentence(rng: Random, title: str, *, article: bool = False, easy: bool = False) -> Sentence:
    """Make one sentence of a passage on `title`, and its statement: the same words, the title named first."""
    maker = rng.choices([_count, _date, _named, _plain], [52, 22, 9, 17])[0]
    shape = 0.0 if easy else rng.random()
    lead, inner = ("The " + title, "the " + title) if article else (title, title)
    if shape < 0.68:  # the title stands in the sentence
        text, time, facts = maker(rng, lead, inner)
        aliases: tuple[str, ...] = ()
        if text.startswith(lead + " ") and rng.random() < 0.07:
            initials = "".join(w[0] for w in title.split()).upper() + rng.choice("ABC")
            called, alias = rng.choice(
                [(" ({})", initials), (", also called {},", name(rng)), (", often called {},", initials)]
            )
            text, aliases = text.replace(lead, lead + called.format(alias), 1), (alias,)
        statement = text if text.startswith(lead) else f"{title}: {text}"
        return _made(text, title, (statement, time, facts), aliases)
    if shape < 0.92:  # a pronoun stands for it
        his, own = rng.random() < 0.25, words(rng, 1, 2)
        pronoun = f"Its {own}" if his else rng.choice(["It", "It", "It", "He", "She"])
        state = rng.getstate()
        text, _, _ = maker(rng, pronoun, pronoun[0].lower() + pronoun[1:])
        rng.setstate(state)
        full = f"{title}'s {own}" if his else title
        statement, time, facts = maker(rng, full, full)
        statement = statement if text.startswith(pronoun) else f"{title}: {text}"
        return _made(text, title, (statement, time, facts))
    other = name(rng)  # another subject
    text, time, facts = maker(rng, other, other)
    return _made(text, title, (f"{title}: {text}", time, facts))


def encyclopedic(rng: Random, size: int) -> Passage:
    """Make a passage of `size` sentences as `prose` writes them; a short piece without a verb has no statement."""
    title, entity = prose.title(rng)
    how, found = prose.style(rng), []
    while len(found) < size:
        if rng.random() < 0.025:
            found.append(Sentence(_cap(words(rng, 1, 2)) + rng.choice([".", "?", " ..."]), entity, ""))
            continue
        text, statement = prose.sentence(rng, entity, how)
        facts = tuple(Fact(noun, figure) for figure, noun in prose.counts_of(statement))
        stem = prose.stem_of(statement.removeprefix(f"{entity}: "))
        found.append(Sentence(text, entity, statement, prose.year_of(text), stem, facts))
    return Passage(title, found)


def passage(rng: Random, size: int, *, easy: bool = False, plain: float = 0.4) -> Passage:
    """Make a passage of `size` sentences; `easy`: the title stands in every one; `plain`: how often the grammar is."""
    if not easy and rng.random() > plain:
        return encyclopedic(rng, size)
    title = name(rng) if rng.random() < 0.95 else f"{syllables(rng)}'s {word(rng).capitalize()}"
    article = (
        title.split()[-1]
        in ("Bridge", "Tunnel", "Museum", "Observatory", "Dam", "Festival", "Railway", "Theatre", "Library")
        and rng.random() < 0.8
    )
    sentences = [sentence(rng, title, article=article, easy=easy) for _ in range(size)]
    return Passage(title, sentences)
