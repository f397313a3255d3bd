"""Finds prompt files on search paths and keeps what was compiled.

The first path that has a file wins; `Prompt.shadowed` names the others. A template can name only files on these
paths, by a relative name without `..`, and links that lead out of them are not followed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateNotFound, TemplateSyntaxError
from jinja2.loaders import BaseLoader
from jinja2.utils import Namespace, pass_context
from markupsafe import Markup

from synthkit.core.errors import Mark, Problem, SpecError
from synthkit.core.expr import FILTERS, TESTS
from synthkit.core.expr.compile import position
from synthkit.core.expr.sandbox import RANGE_LIMIT, TEXT_LIMIT, Sandbox, spend, text_of
from synthkit.core.prompt.escape import mark_data
from synthkit.core.prompt.prompt import Prompt
from synthkit.core.prompt.reads import PromptSyntaxError, Source, analyse
from synthkit.core.prompt.role import RoleExtension

FILE_LIMIT = 256 * 1024
"""Most bytes of a template file."""
_LISTED = 2000


class PromptNotFound(SpecError):
    """No search path has the file."""

    def __init__(self, name: str, known: Sequence[str], paths: Sequence[Path]) -> None:
        """`known` are the prompts that exist."""
        near = get_close_matches(name, known, 1, 0.4) or [each for each in known if each.endswith("/" + name)][:1]
        places = ", ".join(map(str, paths)) or "no search path"
        hint = f"did you mean '{near[0]}'? " if near else ""
        listed = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "") if known else "no prompt"
        self.message = f"there is no prompt '{name}'"
        self.help = f"{hint}{places} has: {listed}" if paths else f"{hint}no search path is set"
        super().__init__(Problem(self.message, help=self.help))
        self.name = name
        self.known = known
        self.nearest = near[0] if near else None


class PromptLibrary:
    """The prompts of some search paths."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Nothing is read before `get`."""
        self.paths = tuple(Path(path) for path in paths)
        self._sources: dict[str, Source] = {}
        self._prompts: dict[str, Prompt] = {}
        self._environment = _PromptSandbox(_Loader(self))

    def get(self, name: str) -> Prompt:
        """The prompt of that name; raises PromptNotFound or PromptSyntaxError."""
        if name not in self._prompts:
            try:
                source = self._source(name)
            except FileNotFoundError:
                raise PromptNotFound(name, self.names(), self.paths) from None
            reads = analyse(source, self._source)
            try:
                template = self._environment.get_template(name)
            except (SyntaxError, RecursionError, MemoryError, TemplateSyntaxError) as error:
                raise PromptSyntaxError(f"cannot be compiled: {error}", Mark(str(source.path))) from None
            self._prompts[name] = Prompt(source, reads, template, self.shadowed(name))
        return self._prompts[name]

    def names(self) -> list[str]:
        """Every prompt there is, sorted."""
        found: set[str] = set()
        for root in self.paths:
            files = (file for file in root.rglob("*.j2") if file.is_file())
            found.update(file.relative_to(root).as_posix() for file in islice(files, _LISTED))
        return sorted(found)

    def shadowed(self, name: str) -> list[Path]:
        """Files of that name on later paths."""
        return self._files(name)[1:]

    def _files(self, name: str) -> list[Path]:
        pure = PurePosixPath(name)
        if not name or pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name or ":" in name:
            return []
        found = []
        for root in self.paths:
            file = root / pure
            try:
                if file.is_file() and file.resolve().is_relative_to(root.resolve()):
                    found.append(file)
            except OSError:
                continue
        return found

    def _source(self, name: str) -> Source:
        """A parsed file; FileNotFoundError where there is none."""
        if name not in self._sources:
            files = self._files(name)
            if not files:
                raise FileNotFoundError(f"search paths are {', '.join(map(str, self.paths)) or 'not set'}")
            self._sources[name] = self._parse(name, files[0])
        return self._sources[name]

    def _parse(self, name: str, path: Path) -> Source:
        try:
            data = path.read_bytes()
            text = data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
        except (OSError, UnicodeDecodeError) as error:
            raise PromptSyntaxError(f"cannot be read: {error}", Mark(str(path))) from None
        if len(data) > FILE_LIMIT:
            raise PromptSyntaxError(f"a prompt file has at most {FILE_LIMIT // 1024} KB", Mark(str(path)))
        odd = (
            next((at for at, c in enumerate(text) if c == "\0" or "\ufdd0" <= c <= "\ufdef"), -1)
            if not text.isascii() or "\0" in text
            else -1
        )
        if odd >= 0:
            raise PromptSyntaxError("a character that no text should hold", Mark(str(path), *position(text, odd)))
        try:
            tree = self._environment.parse(text, name, str(path))
        except TemplateSyntaxError as error:
            ended = "end of template" in (error.message or "")
            mark = Mark(str(path), *position(text, len(text.rstrip()) if ended else max(error.lineno - 1, 0)))
            lines = text.splitlines()
            raise PromptSyntaxError(
                (error.message or "not a template").rstrip("."),
                mark,
                lines[mark.line - 1] if mark.line <= len(lines) else None,
            ) from None
        except (RecursionError, MemoryError, ValueError) as error:
            raise PromptSyntaxError(f"not a template: {error.__class__.__name__}: {error}", Mark(str(path))) from None
        return Source(name, path, text, tree)


class _Loader(BaseLoader):
    """Gives Jinja the text of a file of the library."""

    def __init__(self, library: PromptLibrary) -> None:
        self.library = library

    def get_source(self, environment: Any, template: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        try:
            source = self.library._source(template)
        except FileNotFoundError:
            raise TemplateNotFound(template) from None
        return source.text, str(source.path), None


class _PromptSandbox(Sandbox):
    """The sandbox with loops, includes and roles; everything substituted passes `finalize`."""

    def __init__(self, loader: BaseLoader) -> None:
        super().__init__(
            {**{name: each.call for name, each in FILTERS.items()}, "_each": _each},
            {name: each.call for name, each in TESTS.items()},
            loader=loader,
            autoescape=True,
            finalize=_finalize,
            cache_size=-1,
            extensions=[RoleExtension],
        )
        self.globals.update(range=_range, namespace=Namespace)

    def substitute(self, value: Any) -> str:
        """Data with its `<` marked."""
        return mark_data(text_of(value))

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        for loop in list(source.find_all(nodes.For)):
            loop.iter = nodes.Filter(loop.iter, "_each", [], [], None, None, lineno=loop.lineno).set_environment(self)
        return super()._generate(source, name, filename, defer_init)


def _finalize(value: Any) -> str:
    """Data on its way into the text; what a macro or a `set` block made is template text already."""
    kind = value.__class__
    if kind is not str:
        if kind is int:
            return str(value)
        if kind is Markup:
            return str(value)
        value = text_of(value)
    if len(value) > TEXT_LIMIT:
        raise OverflowError(f"a text of more than {TEXT_LIMIT} characters")
    return mark_data(value)


@pass_context
def _each(context: Any, items: Any) -> Any:
    """What a loop runs over, taken off the render's budget of turns."""
    if items is None:
        raise TypeError("none is not a list; give another with `or []`")
    if not hasattr(items, "__len__"):
        items = list(items)
    spend(context, len(items))
    return items


def _range(*bounds: int) -> range:
    """Python's range, up to the limit."""
    result = range(*bounds)
    if len(result) > RANGE_LIMIT:
        raise OverflowError(f"a range of more than {RANGE_LIMIT} numbers")
    return result
