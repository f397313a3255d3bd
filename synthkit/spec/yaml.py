"""YAML 1.2 core, read from PyYAML's events straight into plain values and marks.

PyYAML's own constructor follows YAML 1.1 (`on` is true, `1_000` is a number), keeps the last of two equal keys and
expands aliases without bound. So values are built here: core schema only, duplicate keys and tags refused, depth, size
and alias expansion bounded. The pure-Python scanner reads 500 KB/s; the C one is 12 times faster but words its
errors otherwise, and a spec is 3 KB.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NoReturn

from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import AliasEvent, DocumentStartEvent, MappingStartEvent, ScalarEvent, SequenceStartEvent
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.scanner import Scanner

from synthkit.core.errors import Mark, Problem, SpecError
from synthkit.core.row import Value
from synthkit.spec.document import Document, YamlPath, shown

MAX_CHARACTERS = 128 * 1024
MAX_DEPTH = 40
MAX_VALUES = 20_000
"""Values of a document with every alias expanded."""
_TOO_LARGE = f"is larger than {MAX_CHARACTERS // 1024} KiB"

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = {"inf": float("inf"), "+inf": float("inf"), "-inf": float("-inf")}
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_document(path: Path) -> Document:
    """Parse a file; SpecError where it cannot be read or is not YAML."""
    file = shown(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(4 * MAX_CHARACTERS + 1)
    except (OSError, ValueError) as error:
        raise SpecError(Problem(f"cannot be read: {getattr(error, 'strerror', error)}", Mark(file))) from error
    if len(data) > 4 * MAX_CHARACTERS:
        raise SpecError(Problem(_TOO_LARGE, Mark(file), "keep data in data files"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise SpecError(
            Problem(f"is not UTF-8: byte 0x{data[error.start]:02x}", Mark(file, line, column), "save the file as UTF-8")
        ) from error
    return parse_document(text, file, path)


def parse_document(text: str, file: str, path: Path | None = None) -> Document:
    """Parse YAML text; SpecError with the place of what is wrong."""
    return _Composer(text, file, path).document()


def parse_value(text: str) -> Value:
    """One YAML value, as on the command line (`--set vars.k=8`); ValueError where it is none."""
    try:
        return parse_document(text, "").value
    except SpecError as error:
        raise ValueError(error.problems[0].message) from error


def scalar(text: str) -> Value:
    """The value of a plain scalar by the YAML 1.2 core schema; ValueError for a number that fits no 64 bits."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.fullmatch(text):
        number = int(text, {"0o": 8, "0x": 16}.get(text[:2], 10)) if len(text) <= 40 else 1 << 64
        if not -(1 << 63) <= number < 1 << 63:
            raise ValueError("the number does not fit into 64 bits; quote it if it is text")
        return number
    if _FLOAT.fullmatch(text):
        return float(text)
    if text[-4:].lower() == ".inf" and text.lower().replace(".", "") in _INFINITE:
        return _INFINITE[text.lower().replace(".", "")]
    return float("nan") if text in (".nan", ".NaN", ".NAN") else text


class _Events(Reader, Scanner, Parser):
    """PyYAML's scanner and parser without its composer and constructor."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)


class _Composer:
    """Builds the values of one document and remembers where they stand."""

    def __init__(self, text: str, file: str, path: Path | None) -> None:
        self.blank = Document(file, path, text)
        self.events: Any = None
        self.keys: dict[YamlPath, Mark] = {}
        self.values: dict[YamlPath, Mark] = {}
        self.blocks: set[YamlPath] = set()
        self.anchors: dict[str, tuple[Value, int] | None] = {}
        self.count = 0
        self.problems: list[Problem] = []

    def document(self) -> Document:
        """The whole file as one document."""
        text = self.blank.text
        if len(text) > MAX_CHARACTERS:
            self.fail(_TOO_LARGE, Mark(self.blank.file), "keep data in data files")
        try:
            self.events = _Events(text)
            self.events.get_event()
            value: Value = None
            if self.events.check_event(DocumentStartEvent):
                self.events.get_event()
                value = self.value((), self.events.get_event(), 0)
                self.events.get_event()
                if self.events.check_event(DocumentStartEvent):
                    self.fail("a second document begins here", self.here(self.events.peek_event()), "one per file")
        except ReaderError as error:
            before = text[: error.position]
            mark = Mark(self.blank.file, before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1)
            self.fail(f"the character U+{ord(text[error.position]):04X} is not allowed in YAML", mark)
        except MarkedYAMLError as error:
            self.fail(*_worded(error, self.blank))
        except (YAMLError, ValueError, OverflowError) as error:
            # chr() of an escape such as "\UFFFFFFFF" is not caught by PyYAML
            mark = Mark(self.blank.file, self.events.line + 1, self.events.column + 1)
            self.fail(f"cannot be read as YAML: {error}", mark)
        if self.problems:
            raise SpecError(self.problems)
        return Document(self.blank.file, self.blank.path, text, value, self.keys, self.values, frozenset(self.blocks))

    def value(self, path: YamlPath, event: Any, depth: int) -> Value:
        """The value that begins with `event`."""
        mark = self.values[path] = self.here(event)
        self.grow(1, mark)
        if isinstance(event, AliasEvent):
            return self.alias(event, mark)
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            self.problem(f"the tag {event.tag!r} means nothing in a spec", mark, "leave it out")
        if depth > MAX_DEPTH:
            self.fail(f"is nested deeper than {MAX_DEPTH} levels", mark)
        start = self.count
        if event.anchor:
            self.anchors[event.anchor] = None
        result: Value
        if isinstance(event, ScalarEvent):
            result = self.text(event, mark)
        else:
            if not event.flow_style:
                self.blocks.add(path)
            if isinstance(event, SequenceStartEvent):
                result = self.sequence(path, depth)
            else:
                result = self.mapping(path, depth)
        if event.anchor:
            self.anchors[event.anchor] = (result, self.count - start + 1)
        return result

    def text(self, event: Any, mark: Mark) -> Value:
        """A scalar: plain ones by the core schema, quoted and tagged ones as they are."""
        if _SURROGATE.search(event.value):
            self.problem("half of a surrogate pair is no character", mark, r"write the whole character, or \U0001F600")
            return ""
        if not event.implicit[0] or event.tag:
            return str(event.value)
        try:
            return scalar(event.value)
        except ValueError as error:
            self.problem(str(error), mark)
            return 0

    def sequence(self, path: YamlPath, depth: int) -> list[Value]:
        """The items up to the end of the list."""
        items: list[Value] = []
        while True:
            event = self.events.get_event()
            if type(event).__name__ == "SequenceEndEvent":
                return items
            items.append(self.value((*path, len(items)), event, depth + 1))

    def mapping(self, path: YamlPath, depth: int) -> dict[str, Value]:
        """The entries up to the end of the mapping; keys are texts as written."""
        entries: dict[str, Value] = {}
        while True:
            event = self.events.get_event()
            if type(event).__name__ == "MappingEndEvent":
                return entries
            mark = self.here(event)
            if not isinstance(event, ScalarEvent):
                self.complex_key(event, mark)
            key = str(event.value)
            if key == "<<" and event.style is None:
                self.problem("'<<' does not merge mappings in YAML 1.2", mark, "write the keys out")
            if _SURROGATE.search(key):
                self.fail("half of a surrogate pair is no character", mark)
            at = (*path, key)
            if key in entries:
                first = self.keys[at]
                self.problem(
                    f"the key {key!r} stands twice in one mapping", mark, f"it is set first in line {first.line}"
                )
                self.value((*at, ""), self.events.get_event(), depth + 1)
                continue
            self.keys[at] = mark
            entries[key] = self.value(at, self.events.get_event(), depth + 1)

    def complex_key(self, event: Any, mark: Mark) -> NoReturn:
        """A key that is no text; most often an unquoted `{{ x }}`."""
        source = self.blank.lines[mark.line - 1]
        if isinstance(event, MappingStartEvent) and source[max(mark.column - 2, 0) : mark.column] == "{{":
            self.fail(
                "'{{ }}' is the language of prompt files; here it reads as a mapping",
                mark,
                'write "${vars.x}" for a variable, or quote the text',
            )
        self.fail("a key must be plain text", mark)

    def alias(self, event: Any, mark: Mark) -> Value:
        """The value of `*name`, counted as if it stood here."""
        if event.anchor not in self.anchors:
            known = ", ".join(self.anchors) or "none"
            self.problem(f"the alias *{event.anchor} has no anchor above it", mark, f"anchors here: {known}")
            return None
        known_value = self.anchors[event.anchor]
        if known_value is None:
            self.fail(f"the alias *{event.anchor} stands inside its own anchor", mark)
        value, size = known_value
        self.grow(size, mark)
        return value

    def grow(self, size: int, mark: Mark) -> None:
        """Count values, aliases expanded."""
        self.count += size
        if self.count > MAX_VALUES:
            self.fail(f"holds more than {MAX_VALUES} values, with aliases expanded", mark)

    def here(self, event: Any) -> Mark:
        """Where an event begins."""
        return Mark(self.blank.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def problem(self, message: str, mark: Mark, help: str | None = None) -> None:
        """Note a problem and read on."""
        self.problems.append(self.blank.problem_at(message, mark, help=help))

    def fail(self, message: str, mark: Mark, help: str | None = None) -> NoReturn:
        """Stop at a problem after which nothing can be read."""
        self.problem(message, mark, help)
        raise SpecError(self.problems)


def _worded(error: MarkedYAMLError, document: Document) -> tuple[str, Mark, str | None]:
    """What a PyYAML error means, where, and what to do."""
    place = error.problem_mark or error.context_mark
    mark = Mark(document.file, place.line + 1, place.column + 1) if place else Mark(document.file)
    problem, context = error.problem or "", error.context or ""
    lines = document.lines
    line = lines[mark.line - 1] if 0 < mark.line <= len(lines) else ""
    before = line[: max(mark.column - 1, 0)]
    if line[len(before) : len(before) + 1] == "{" and before.endswith("$"):
        end = line.find("}", len(before))
        reference = line[len(before) - 1 : end + 1] if end > 0 else "${vars.x}"
        return "'${' inside braces or brackets reads as a mapping", mark, f'quote it: "{reference}"'
    if "'\\t'" in problem:
        return "a tab cannot indent YAML", mark, "use spaces"
    if "mapping values are not allowed" in problem:
        return "a second ':' in one value", mark, "quote text that contains ': ', or check the indentation"
    if "could not find expected ':'" in problem:
        return "a key without ':'", mark, "write `key: value`, or quote text of several lines"
    if "expected <block end>" in problem and before.strip():
        return "this does not belong to the value before it", mark, "quote the whole text"
    if "expected <block end>" in problem:
        return "the indentation fits no block above", mark, "align it with its siblings"
    if "flow mapping" in context or "flow sequence" in context:
        opened = f" that opens in line {error.context_mark.line + 1}" if error.context_mark else ""
        bracket = "'{'" if "mapping" in context else "'['"
        return f"the {bracket}{opened} is not well formed here", mark, "check the commas and the closing bracket"
    if "cannot start any token" in problem:
        return f"a plain text cannot begin with {line[len(before) : len(before) + 1]!r}", mark, "quote it"
    if "end of stream" in problem or "document separator" in problem:
        start = error.context_mark or place
        begun = Mark(document.file, start.line + 1, start.column + 1) if start else mark
        return "the quoted text that begins here is never closed", begun, None
    return " ".join(f"{context}: {problem}".strip(": ").split()), mark, None
