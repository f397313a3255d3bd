"""Loads a spec: every file it needs, every problem it has, one SpecError.

What can be known from the files alone is checked here; columns, templates, expressions and capabilities are the plan's.
A problem silences those that follow from it (a value with a broken reference is not judged again), nothing else.
A 60-line spec takes about 25 ms, most of it PyYAML and the imports of the verbs it uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synthkit.core.errors import Mark, Problem, SpecError
from synthkit.core.names import nearest
from synthkit.core.row import Value
from synthkit.core.tokens import missing_file
from synthkit.spec.document import Document, Site, YamlPath, shown
from synthkit.spec.model import LoadedSpec, ModelsKeys, Spec, SpecKeys, Step
from synthkit.spec.roles import is_secret, read_engines, read_roles
from synthkit.spec.search import Kind, Search
from synthkit.spec.steps import StepReader
from synthkit.spec.vars import Resolver, Variables, override
from synthkit.spec.verbs import Verbs
from synthkit.spec.wording import validate
from synthkit.spec.yaml import read_document

if TYPE_CHECKING:
    from synthkit.core.toolset import Toolset


def load_spec(
    path: Path,
    *,
    models: Path | None = None,
    sets: Mapping[str, str] | None = None,
    search: Sequence[Path] = (),
    given: Mapping[str, Value] | None = None,
    given_at: Mark | None = None,
) -> LoadedSpec:
    """The spec in `path` with everything it names; raises one SpecError with all problems.

    `models` takes the place of its engines and roles; `sets` are `--set` options; `search` are `--path` folders.
    `given` are the `with:` values of a spec that reads this one, written at `given_at`.
    """
    return _Loader(path, models, search).load(sets or {}, given or {}, given_at)


class _Loader:
    """One call of `load_spec`."""

    def __init__(self, path: Path, models: Path | None, search: Sequence[Path]) -> None:
        self.path = path
        self.models = models
        self.search = Search(path.parent, tuple(search))
        self.problems: list[Problem] = []
        self.reader = StepReader(Verbs((path.parent, Path())), self.problems)

    def load(self, sets: Mapping[str, str], given: Mapping[str, Value], given_at: Mark | None) -> LoadedSpec:
        """Read, resolve, validate, and raise what was found."""
        document, problems = override(self.mapping(read_document(self.path), _SPEC), sets, given, given_at)
        self.problems.extend(problems)
        variables = Variables(document, self.problems)
        values = {name: variables[name] for name in variables}
        raw = document
        resolver = Resolver(document, {"vars": variables}, self.problems, lambda path: is_secret(raw, path))
        document = resolver.whole(skip=frozenset({"vars"}))
        site = Site(document)
        keys = self.keys(document, site)
        steps: dict[str, Step] = {}
        if isinstance(document.get(("steps",)), dict):
            steps = self.reader.steps(document.value["steps"], site.at("steps"))
        models_document, models_keys = self.models_keys(keys, document) if keys else (document, None)
        models_site = Site(models_document)
        entries = models_keys.engines if models_keys else {}
        engines = read_engines(entries, models_site.at("engines"), self.problems)
        roles = read_roles(models_keys.models if models_keys else {}, entries, models_site.at("models"), self.problems)
        toolset = self.toolset(keys.toolset, site) if keys and keys.toolset is not None else None
        tokenizer = self.tokenizer(keys, site, models_keys, models_site) if keys else None
        self.references(site)
        self.problems.extend(self.reader.verbs.problems)
        if self.problems or keys is None:
            raise SpecError(_in_order(self.problems))
        name = keys.name or self.path.name.partition(".")[0]
        publish, audit = dict(keys.publish), dict(keys.audit)
        spec = Spec(name, keys.about, engines, roles, tokenizer, toolset, values, steps, publish, audit, keys.seed)
        return LoadedSpec(spec, self.path, document, models_document, self.search, self.prompts(), self.models)

    def mapping(self, document: Document, what: str) -> Document:
        """The document, if it holds a mapping."""
        value = document.value
        if not isinstance(value, dict):
            raise SpecError(document.problem(f"is {'empty' if value is None else 'no mapping'}", help=what))
        if "action" in value and "output" in value:
            verb = value["action"]
            raise SpecError(
                document.problem(
                    "is an action, not a spec", ("action",), key=True, help=f"use it in a step: {verb}: {{...}}"
                )
            )
        if what == _SPEC and "steps" not in value and {"engines", "models"} <= value.keys():
            hint = f"name it in a spec, or give it with --models {document.file}"
            raise SpecError(document.problem("is a models file, not a spec", ("engines",), key=True, help=hint))
        return document

    def keys(self, document: Document, site: Site) -> SpecKeys | None:
        """The top level; keys with problems are left out, so that the others are still looked at."""
        value = document.value
        keys = validate(SpecKeys, value, site, "a spec")
        if not isinstance(keys, list):
            return keys
        self.problems.extend(keys)
        sound = {
            k: v for k, v in value.items() if not isinstance(validate(SpecKeys, {"steps": _ANY, k: v}, site, ""), list)
        }
        again = validate(SpecKeys, {"steps": _ANY} | sound, site, "a spec")
        return None if isinstance(again, list) else again

    def models_keys(self, keys: SpecKeys, document: Document) -> tuple[Document, ModelsKeys | None]:
        """Where engines and roles stand, and what stands there."""
        if self.models is not None:
            file = self.models if self.models.is_file() else self.search.find("specs", str(self.models))
            if file is None:
                self.problems.append(
                    Problem("there is no such models file", Mark(f"--models {self.models}"), self.models_help())
                )
                return document, None
            return self.models_file(file)
        if isinstance(keys.models, str):
            if keys.engines:
                hint = f"they come from {keys.models}; leave one of the two out"
                self.problems.append(
                    document.problem("'engines' beside a models file", ("engines",), key=True, help=hint)
                )
            file = self.search.find("specs", keys.models)
            if file is None:
                message = f"there is no models file {keys.models!r}"
                self.problems.append(document.problem(message, ("models",), help=self.models_help()))
                return document, None
            return self.models_file(file)
        return document, ModelsKeys(engines=keys.engines, models=keys.models)

    def models_help(self) -> str:
        """Which models files there are, and where one is looked for."""
        known = [name for name in self.search.existing("specs") if Path(name).stem.startswith("models")]
        return f"models files: {', '.join(known) or 'none'}; looked up in {self.folders('specs')}"

    def folders(self, kind: Kind) -> str:
        """Where files of a kind are looked for, as text."""
        return ", ".join(shown(folder) for folder in self.search.folders(kind))

    def models_file(self, file: Path) -> tuple[Document, ModelsKeys | None]:
        """A models file; it may refer to the environment only."""
        try:
            raw = self.mapping(read_document(file), "a models file holds `engines` and `models`")
        except SpecError as error:
            self.problems.extend(error.problems)
            return Document(shown(file)), None
        document = Resolver(raw, {}, self.problems, lambda path: is_secret(raw, path)).whole()
        keys = validate(ModelsKeys, document.value, Site(document), "a models file")
        if isinstance(keys, list):
            self.problems.extend(keys)
            parts = [document.get((part,)) for part in ("engines", "models")]
            engines, roles = (part if isinstance(part, dict) else {} for part in parts)
            return document, ModelsKeys.model_construct(engines=engines, models=roles)
        return document, keys

    def toolset(self, name: str, site: Site) -> Toolset | None:
        """The declared tools."""
        from synthkit.core.toolset import load_toolset

        file = self.search.find("toolsets", name)
        if file is None:
            known = self.search.existing("toolsets")
            hint = f"toolsets: {', '.join(known) or 'none'}; looked up in {self.folders('toolsets')}"
            self.problems.append(site.problem(f"there is no toolset {name!r}", "toolset", help=hint))
            return None
        try:
            return load_toolset(Path(shown(file)))
        except SpecError as error:
            self.problems.extend(error.problems)
            return None

    def references(self, site: Site) -> None:
        """Steps that `publish` and `audit` name."""
        steps, publish, audit = (site.document.get((part,)) for part in ("steps", "publish", "audit"))
        if not isinstance(steps, dict):
            return
        named: list[tuple[Value, YamlPath, bool]] = []
        if isinstance(publish, dict):
            entries = [(name, entry.get("from")) for name, entry in publish.items() if isinstance(entry, dict)]
            named += [(source, ("publish", name, "from"), False) for name, source in entries]
        if isinstance(audit, dict):
            named += [(figure, ("audit", figure), True) for figure in audit if "." in figure]
        for name, path, key in named:
            head = name.partition(".")[0] if isinstance(name, str) else None
            if head is not None and head not in steps and not site.document.is_broken(path):
                hint = nearest(head, steps, "steps")
                self.problems.append(site.problem(f"there is no step {head!r}", *path, key=key, help=hint))

    def tokenizer(self, keys: SpecKeys, site: Site, models: ModelsKeys | None, models_site: Site) -> str | None:
        """The one of `--models`, else the spec's, else the models file's; a local one must be there."""
        both = [(keys.tokenizer, site), (models.tokenizer if models else None, models_site)]
        given = [(name, at) for name, at in (reversed(both) if self.models is not None else both) if name is not None]
        if not given:
            return None
        name, at = given[0]
        if (file := missing_file(name)) is not None:
            hint = "give 'nano', the path of a tokenizer.json or of a folder with one, or a hub name"
            self.problems.append(at.problem(f"there is no tokenizer file {file}", "tokenizer", help=hint))
        return name

    def prompts(self) -> tuple[Path, ...]:
        """Template folders: as the spec finds them, then those of its composites."""
        files = [composite.document.path for composite in self.reader.composites.values() if composite]
        theirs = [each for file in files if file for each in Search(file.parent).folders("prompts")]
        own = self.search.folders("prompts")
        return tuple(dict.fromkeys(Path(shown(each)) for each in (*own, *theirs)))


def _in_order(problems: Sequence[Problem]) -> list[Problem]:
    """Each problem once, by file as first met, then from top to bottom."""
    files = list(dict.fromkeys(problem.mark.file if problem.mark else "" for problem in problems))

    def place(problem: Problem) -> tuple[int, int, int]:
        mark = problem.mark or Mark("")
        return files.index(mark.file), mark.line, mark.column

    return sorted(dict.fromkeys(problems), key=place)


_SPEC = "a spec is a mapping of name, steps, publish and the like"
_ANY: dict[str, Value] = {"x": {}}
"""Stands for the steps while the other keys are looked at one by one."""
