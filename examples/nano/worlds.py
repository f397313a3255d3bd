"""Made-up passages: sentences about one subject, each with the facts it holds.

A sentence comes in two forms: as the passage has it (`It handled 31,200 parcels in 2012.`) and as a statement that
stands alone (`Velmar Post handled ...`). A fact keeps the words a question can be asked with; every one of them is
copied from the sentence, so that the same questions can be asked of sentences that no grammar here ever made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from names import GRAMMAR, When, amount, name, syllables, when, word

VERBS, DATED, BY, UNITS, NOUNS = (GRAMMAR[key] for key in ("verbs", "dated", "by", "units", "nouns"))
PREPOSITIONS, CHANGE, PASSIVE, RECORDED = (GRAMMAR[key] for key in ("prepositions", "change", "passive", "recorded"))


@dataclass(frozen=True)
class Fact:
    """What can be asked of a sentence. `kind`: count, date or name; `passive`: the verb fits `were ... by`."""

    kind: str
    subject: str
    answer: str
    noun: str = ""
    verb: str = ""
    time: str = ""
    bare: str = ""
    predicate: str = ""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a passage, the statement made of it, and its facts."""

    text: str
    entity: str
    statement: str
    time: str | None
    facts: tuple[Fact, ...] = ()
    aliases: tuple[str, ...] = ()
    claim: bool = True


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
    return rng.choice(UNITS) if rng.random() < 0.45 else words(rng, 1, rng.choice([1, 1, 2, 3]))


def _verb(rng: Random) -> str:
    return rng.choice(VERBS) if rng.random() < 0.7 else word(rng).rstrip("e") + "ed"


def _cap(text: str) -> str:
    return text[:1].upper() + text[1:]


def _count(rng: Random, start: str, inside: str, subject: str) -> tuple[str, When | None, list[Fact]]:
    passive = rng.random() < 0.45
    shape = rng.choice(PASSIVE if passive else RECORDED)
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
    verb = v if passive else ""
    facts = [Fact("count", subject, a, n, verb, first.phrase if dated else "", first.bare if dated else "")]
    if "{t2}" in shape:
        facts.append(Fact("count", subject, a2, n, verb, second.phrase, second.bare))
    return text, (first if dated else None), facts


def _date(rng: Random, start: str, inside: str, subject: str) -> tuple[str, When | None, list[Fact]]:
    time = when(rng)
    while time.phrase.split()[0] not in ("in", "on") or time.phrase == f"in the year {time.bare}":
        time = when(rng)
    verb = rng.choice(DATED) if rng.random() < 0.7 else f"{_verb(rng)}"
    rest = rng.choice(
        [
            "",
            f" {name(rng)}",
            f" {words(rng, 1, 4)}",
            f" the {words(rng, 1, 3)}",
            f" the {words(rng, 1, 2)} of {name(rng)}",
        ]
    )
    predicate = verb + (
        rest
        if rest or verb.split()[-1] in ("opened", "closed", "completed", "rebuilt", "renamed", "joined")
        else f" {words(rng, 1, 3)}"
    )
    fact = Fact("date", subject, time.bare, predicate=predicate)
    if rng.random() < 0.6:
        return f"{start} {predicate} {time.phrase}{_tail(rng) if rng.random() < 0.3 else ''}.", time, [fact]
    comma = rng.choice([",", ""])
    return f"{_cap(time.phrase)}{comma} {inside} {predicate}{_tail(rng) if rng.random() < 0.3 else ''}.", time, [fact]


def _named(rng: Random, start: str, inside: str, subject: str) -> tuple[str, When | None, list[Fact]]:
    who, verb, time = name(rng, rng.choice(["person", "person", "thing"])), rng.choice(BY), when(rng)
    dated = rng.random() < 0.6
    fact = Fact("name", subject, who, verb=verb)
    text = rng.choice(
        [
            f"{start} was {verb} by {who}" + (f" {time.phrase}" if dated else _tail(rng)) + ".",
            (f"{_cap(time.phrase)} {inside}" if dated else start) + f" was {verb} by {who}{_tail(rng)}.",
        ]
    )
    return text, (time if dated else None), [fact]


def _plain(rng: Random, start: str, inside: str, subject: str) -> tuple[str, When | None, list[Fact]]:
    del subject
    text = rng.choice(
        [
            f"{start} is a {words(rng, 1, 3)} {rng.choice(PREPOSITIONS)} {name(rng, 'place')}{_tail(rng)}.",
            f"{start} {_verb(rng)} {words(rng, 1, 4)}{_tail(rng)} and {_verb(rng)} {name(rng)}.",
            f"{name(rng)} {_verb(rng)} the {words(rng, 1, 3)} of {inside}{_tail(rng)}.",
            f"{_cap(words(rng, 1, 4))} {inside} {words(rng, 1, 5)}, {words(rng, 1, 5)}{_tail(rng)}.",
            f"{start} {words(rng, 3, 12)}.",
        ]
    )
    return text, None, []


def sentence(rng: Random, title: str, *, article: bool = False, first: bool = False, easy: bool = False) -> Sentence:
    """Make one sentence of a passage on `title`, and its statement."""
    maker = rng.choices([_count, _date, _named, _plain], [55, 20, 8, 17])[0]
    shape = 0.0 if easy or (first and rng.random() < 0.8) else rng.random()
    lead, inner = ("The " + title, "the " + title) if article else (title, title)
    if shape < 0.55:  # the title stands in the sentence
        text, time, facts = maker(rng, lead, inner, inner)
        aliases: tuple[str, ...] = ()
        if text.startswith(lead + " ") and rng.random() < 0.12:
            alias = rng.choice(["".join(w[0] for w in title.split()).upper() + rng.choice("ABC"), name(rng)])
            join = rng.choice(
                [
                    f"({alias})",
                    f", also called {alias},",
                    f", often called {alias},",
                    f", known as {alias},",
                    f"({alias})",
                ]
            )
            text, aliases = text.replace(lead + " ", lead + (" " if join[0] == "(" else "") + join + " ", 1), (alias,)
        return Sentence(text, title, text, time.iso if time else None, tuple(facts), aliases)
    if shape < 0.80:  # a pronoun or "the port" stands for it
        pronoun = rng.choice(["It"] * 4 + ["He", "She"] + ["The " + rng.choice(NOUNS)] * 3)
        state = rng.getstate()
        text, time, _ = maker(rng, pronoun, pronoun[0].lower() + pronoun[1:], title)
        rng.setstate(state)
        statement, _, facts = maker(rng, title, title, title)
        return Sentence(text, title, statement, time.iso if time else None, tuple(facts))
    if shape < 0.87:  # "Its length is": the possessive
        state = rng.getstate()
        text, time, _ = maker(rng, "Its", "its", title)
        rng.setstate(state)
        statement, _, facts = maker(rng, title + "'s", title + "'s", title)
        own = words(rng, 1, 2)
        text, statement = (
            t.replace(p, f"{p} {own}", 1)
            for t, p in ((text, "Its" if "Its" in text else "its"), (statement, title + "'s"))
        )
        facts = [
            Fact(
                f.kind,
                title,
                f.answer,
                f.noun,
                "",
                f.time,
                f.bare,
                f"saw its {own} {f.predicate}" if f.predicate else "",
            )
            for f in facts
        ]
        return Sentence(
            text, title, statement, time.iso if time else None, tuple(f for f in facts if f.kind == "count")
        )
    if shape < 0.91:  # "They" is not resolved: no claim
        text, _, _ = maker(rng, "They", "they", title)
        return Sentence(text, title, "", None, (), (), claim=False)
    if shape < 0.96:  # a part of it, without its name
        part = "the " + words(rng, 2, 3)
        text, time, facts = maker(rng, _cap(part), part, title)
        if not text.startswith("The "):
            return Sentence(text, title, f"At {title}, {text[0].lower()}{text[1:]}", time.iso if time else None)
        return Sentence(
            text,
            title,
            f"At {title}, {text[0].lower()}{text[1:]}",
            time.iso if time else None,
            tuple(f for f in facts if f.kind == "count" and not f.verb),
        )
    other = name(rng)  # another subject
    text, time, facts = maker(rng, other, other, other)
    if not text.startswith(other):
        return sentence(rng, title, article=article, easy=True)
    return Sentence(text, other, text, time.iso if time else None, tuple(facts))


def passage(rng: Random, size: int, *, easy: bool = False) -> Passage:
    """Make a passage of `size` sentences; `easy`: the title stands in every one."""
    title = name(rng) if rng.random() < 0.95 else f"{syllables(rng)}'s {word(rng).capitalize()}"
    article = (
        title.split()[-1]
        in ("Bridge", "Tunnel", "Museum", "Observatory", "Dam", "Festival", "Railway", "Theatre", "Library")
        and rng.random() < 0.8
    )
    sentences = [sentence(rng, title, article=article, first=not i, easy=easy) for i in range(size)]
    return Passage(title, sentences)
