"""The text form of a declaration, read by hand, so that every error carries its offset in the text."""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from functools import lru_cache

from synthkit.core.errors import Problem, SpecError
from synthkit.core.types.model import (
    NAMES,
    SIMPLE_NAMES,
    WORD,
    Bool,
    Call,
    Choice,
    Date,
    External,
    Float,
    Int,
    Json,
    ListOf,
    MapOf,
    Object,
    Optional,
    Ref,
    Str,
    Type,
    Vector,
)

Path = tuple[str | int, ...]

DEPTH_LIMIT = 24
"""Deepest nesting of a declaration."""
_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?")
_EXTERNAL = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')
_SIMPLE: dict[str, Type] = {"bool": Bool(), "date": Date(), "json": Json(), "call": Call()}


class TypeSyntaxError(SpecError):
    """A declaration that is not in the language: what, at which path of the YAML, at which character."""

    def __init__(self, message: str, at: Path = (), offset: int = 0, help: str | None = None) -> None:
        """`at` leads from the declaration's root to the text at fault, `offset` counts characters in it."""
        super().__init__(Problem(message, help=help))
        self.message = message
        self.at = at
        self.offset = offset
        self.help = help


@lru_cache(maxsize=1024)
def parse_text(text: str, depth: int) -> Type:
    """The type that a text declares, `depth` levels below the root; raises TypeSyntaxError."""
    scanner = _Scanner(text, depth)
    found = scanner.type()
    scanner.end()
    return found


def parse_bounds(text: str) -> tuple[int, int | None]:
    """The fewest and the most items that `low..high` allows; raises TypeSyntaxError."""
    try:
        scanner = _Scanner(f"({text})", 0)
        low, high = scanner.bounds(whole=True)
        scanner.end()
    except TypeSyntaxError as error:
        raise TypeSyntaxError(error.message, (), max(error.offset - 1, 0), error.help) from None
    return int(low or 0), None if high is None else int(high)


class _Scanner:
    """One declaration in text form."""

    def __init__(self, text: str, depth: int) -> None:
        self.text = text
        self.at = 0
        self.depth = depth

    def fail(self, message: str, offset: int | None = None, help: str | None = None) -> TypeSyntaxError:
        return TypeSyntaxError(message, (), self.at if offset is None else offset, help)

    def peek(self) -> str:
        """The next character that is not space; empty at the end."""
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.text[self.at : self.at + 1]

    def take(self, mark: str, why: str) -> None:
        if self.peek() != mark:
            raise self.fail(f"expected '{mark}' {why}, found {self.found()}")
        self.at += 1

    def found(self) -> str:
        """What stands here, for messages."""
        self.peek()
        word = WORD.match(self.text, self.at)
        rest = word.group() if word else self.text[self.at : self.at + 1]
        return f"'{rest}'" if rest else "the end"

    def end(self) -> None:
        if self.peek():
            raise self.fail(f"unexpected {self.found()} after the type")

    def type(self) -> Type:
        """`member | member | ...`: choices, or one type and `none`."""
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise self.fail(f"types are nested more than {DEPTH_LIMIT} deep")
        start = self.at
        members: list[tuple[int, Type | str | None]] = []
        while True:
            self.peek()
            members.append((self.at, self.member()))
            if self.peek() != "|":
                break
            self.at += 1
        self.depth -= 1
        return self.union(members, start)

    def union(self, members: list[tuple[int, Type | str | None]], start: int) -> Type:
        words = [(at, m) for at, m in members if isinstance(m, str)]
        types = [(at, m) for at, m in members if isinstance(m, Type)]
        nones = [at for at, m in members if m is None]
        if len(nones) > 1:
            raise self.fail("'none' stands here twice", nones[1])
        if not words and not types:
            raise self.fail("'none' alone is not a type", start, help="write T|none")
        if types and (words or len(types) > 1):
            at = types[1][0] if len(types) > 1 and not words else max(types[0][0], words[0][0] if words else 0)
            raise self.fail(
                "a union is of words, or of one type and none",
                at,
                help='quote a choice that is also the name of a type: "date"|place',
            )
        if types:
            of = types[0][1]
        else:
            values = [word for _, word in words]
            for index, (at, word) in enumerate(words):
                if word in values[:index]:
                    raise self.fail(f"choice {word!r} stands here twice", at)
            if len(values) == 1 and self.text[words[0][0]] not in "\"'" and len(members) == 1:
                raise self.unknown(values[0], words[0][0])
            of = Choice(tuple(values))
        return Optional(of) if nones else of

    def unknown(self, word: str, at: int) -> TypeSyntaxError:
        near = get_close_matches(word, NAMES, 1, 0.5)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return self.fail(
            f"unknown type '{word}'", at, help=f"{hint}types are {', '.join(NAMES[:-1])}, a|b|c, T|none, [T], {{k: T}}"
        )

    def member(self) -> Type | str | None:
        """A type, a choice (str) or `none`."""
        mark = self.peek()
        if mark == "[":
            return self.list()
        if mark == "{":
            return self.object()
        if mark in ("'", '"') and mark:
            return self.quoted()
        external = _EXTERNAL.match(self.text, self.at)
        if external:
            self.at = external.end()
            return External(external.group())
        word = WORD.match(self.text, self.at)
        if not word:
            if _NUMBER.match(self.text, self.at):
                raise self.fail(
                    "a bare number is not a type", help='for a range write int(1..5); a choice is quoted: "1"|"2"'
                )
            raise self.fail(f"expected a type, found {self.found()}")
        start, self.at = self.at, word.end()
        name = word.group()
        if name == "none":
            return None
        if name in NAMES:
            return self.named(name)
        if self.peek() == "(":
            raise self.unknown(name, start)
        return name

    def named(self, name: str) -> Type:
        if name == "str":
            low, high = self.bounds(whole=True)
            return Str(int(low or 0), None if high is None else int(high))
        if name == "int":
            low, high = self.bounds(whole=True, negative=True)
            return Int(None if low is None else int(low), None if high is None else int(high))
        if name == "float":
            low, high = self.bounds(negative=True)
            return Float(low, high)
        if name == "ref":
            self.take("(", "and the column whose items are meant, as in ref(statements)")
            self.peek()
            word = WORD.match(self.text, self.at)
            if not word or not word.group().isidentifier():
                raise self.fail(f"expected the name of a column, found {self.found()}")
            self.at = word.end()
            self.take(")", "after the column")
            return Ref(word.group())
        if name == "vector":
            self.take("(", "and the name of the model, as in vector(e5)")
            self.peek()
            word = WORD.match(self.text, self.at)
            if not word:
                raise self.fail(f"expected the name of the model, found {self.found()}")
            self.at = word.end()
            self.take(")", "after the name of the model")
            return Vector(word.group())
        if name == "map":
            self.take("(", "and the type of the values, as in map(float)")
            of = self.type()
            self.take(")", "after the type of the values")
            return MapOf(of)
        if self.peek() == "(":
            raise self.fail(
                f"'{name}' takes no bounds", help=f"of {', '.join(SIMPLE_NAMES)}, bounds go on str, int, float"
            )
        return _SIMPLE[name]

    def quoted(self) -> str:
        match = _QUOTED.match(self.text, self.at)
        if not match:
            raise self.fail("the quote is not closed")
        raw = match.group()
        try:
            value = raw[1:-1] if raw[0] == "'" else json.loads(raw)
        except ValueError:
            raise self.fail("not a valid quoted text", help="escapes are those of JSON") from None
        if not value or not value.isprintable():
            raise self.fail("a choice must be printable text, not empty")
        self.at = match.end()
        return str(value)

    def list(self) -> Type:
        self.at += 1
        of = self.type()
        self.take("]", "after the item type")
        low, high = self.bounds(whole=True)
        return ListOf(of, int(low or 0), None if high is None else int(high))

    def object(self) -> Type:
        self.at += 1
        fields: dict[str, Type] = {}
        while True:
            if self.peek() == "}" and fields:
                break
            start = self.at
            word = WORD.match(self.text, self.at)
            if not word and re.match(r"[0-9]", self.text[self.at :]):
                raise self.fail("a field name does not begin with a digit")
            if not word and self.text[self.at : self.at + 1] != "_":
                raise self.fail(f"expected a field name, found {self.found()}", help="write {name: type, ...}")
            name = word.group() if word else "_"
            problem = field_problem(name)
            if problem or name in fields:
                raise self.fail(problem or f"field '{name}' stands here twice", start)
            self.at += len(name)
            self.take(":", f"after the field name '{name}'")
            fields[name] = self.type()
            if self.peek() != ",":
                break
            self.at += 1
        self.take("}", "after the fields")
        return Object(fields)

    def bounds(self, whole: bool = False, negative: bool = False) -> tuple[float | None, float | None]:
        """`(low..high)`, either side may be left out; (None, None) where there is no bracket."""
        if self.peek() != "(":
            return None, None
        start = self.at
        self.at += 1
        low = self.number(whole, negative)
        self.peek()
        if not self.text.startswith("..", self.at):
            raise self.fail(
                f"expected '..' in the bounds, found {self.found()}",
                help="bounds are written (20..400), (20..) or (..400)",
            )
        self.at += 2
        high = self.number(whole, negative)
        self.take(")", "after the bounds")
        if low is None and high is None:
            raise self.fail("bounds without a number", start)
        if low is not None and high is not None and low > high:
            raise self.fail(f"the bounds are turned round: {low:g} is more than {high:g}", start)
        return low, high

    def number(self, whole: bool, negative: bool) -> float | None:
        self.peek()
        match = _NUMBER.match(self.text, self.at)
        if not match:
            return None
        text = match.group()
        if whole and not text.lstrip("-").isdigit():
            raise self.fail(f"'{text}' is not a whole number")
        if text.startswith("-") and not negative:
            raise self.fail(f"'{text}': a length is not negative")
        if len(text) > 20 or abs(float(text)) > 1e18:
            raise self.fail(f"'{text}' is too large a bound")
        self.at = match.end()
        return int(text) if whole else float(text)


def field_problem(name: object) -> str | None:
    """Why this cannot be a field's name."""
    if not isinstance(name, str):
        return f"a field name must be text, not {name!r}"
    if not name.isidentifier():
        return f"{name!r} cannot be a field name: letters, digits and underscores only"
    if name.startswith("_"):
        return f"{name!r} cannot be a field name: a leading underscore is kept for synthkit's own columns"
    return None
