"""Engines and roles: from the spec itself, from its models file, or from the one given with `--models`.

The file of `--models` takes the place of both mappings, here and in every spec that is read: one switch from
rehearsal to production. A secret is a reference to the environment and stays one; a literal key in a file is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from synthkit.core import registry
from synthkit.core.engine import EngineConfig, Role
from synthkit.core.errors import Problem
from synthkit.core.names import nearest
from synthkit.core.registry import RegistryError
from synthkit.core.row import Value
from synthkit.spec.document import Document, Site, YamlPath
from synthkit.spec.vars import ENVIRONMENT
from synthkit.spec.wording import validate


def is_secret(document: Document, path: YamlPath) -> bool:
    """Whether `${env.X}` may stand at that path: a secret field of an engine."""
    if len(path) != 3 or path[0] != "engines":
        return False
    entry = document.get(path[:2])
    config = _config(entry) if isinstance(entry, dict) else None
    return config is not None and path[2] in config.secrets


def read_engines(raw: Mapping[str, Value], site: Site, problems: list[Problem]) -> dict[str, EngineConfig]:
    """The entries of `engines:`, each by the class of its kind."""
    found: dict[str, EngineConfig] = {}
    for name, entry in raw.items():
        here = site.at(name)
        if not isinstance(entry, dict):
            continue
        kinds = [key for key in entry if key in registry.engines()]
        if len(kinds) > 1:
            message = f"engine {name!r} is of {len(kinds)} kinds: {', '.join(kinds)}"
            problems.append(here.problem(message, kinds[1], key=True, help="make it two engines"))
            continue
        if not kinds:
            first = next(iter(entry), "")
            hint = nearest(first, registry.engines(), "write e.g. {vllm: nano}; kinds")
            problems.append(here.problem(f"engine {name!r} has no kind", key=True, help=hint))
            continue
        try:
            config: type[EngineConfig] = registry.engines()[kinds[0]]
        except RegistryError as error:
            problems.append(here.problem(str(error), kinds[0], key=True))
            continue
        engine = validate(config, entry, here, f"engine {name!r}")
        if isinstance(engine, list):
            problems.extend(engine)
        elif literal := [key for key in sorted(config.secrets & entry.keys()) if not _is_reference(entry[key])]:
            hint = f'put it into the environment and write {literal[0]}: "${{env.NAME}}"'
            message = f"the secret {literal[0]!r} of engine {name!r} stands in the file"
            problems.append(here.problem(message, literal[0], help=hint))
        else:
            found[name] = engine
    return found


def read_roles(
    raw: Mapping[str, Value], engines: Mapping[str, Value], site: Site, problems: list[Problem]
) -> dict[str, Role]:
    """The entries of `models:`; each names an engine."""
    found: dict[str, Role] = {}
    for name, entry in raw.items():
        here = site.at(name)
        if not isinstance(entry, dict):
            continue
        role = validate(Role, entry, here, f"role {name!r}")
        if isinstance(role, list):
            problems.extend(role)
        elif role.engine not in engines:
            hint = nearest(role.engine, engines, "engines")
            problems.append(
                here.problem(f"role {name!r} names the engine {role.engine!r}, which is not there", "engine", help=hint)
            )
        else:
            found[name] = role
    return found


def _is_reference(value: Value) -> bool:
    return value is None or (isinstance(value, str) and ENVIRONMENT.fullmatch(value) is not None)


def _config(entry: Mapping[str, Value]) -> type[EngineConfig] | None:
    """The class of an engine's entry, where its kind is known."""
    kind = next((key for key in entry if key in registry.engines()), None)
    try:
        return registry.engines()[kind] if kind else None
    except RegistryError:
        return None
