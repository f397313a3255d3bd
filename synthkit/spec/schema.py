"""The JSON Schema of specs (draft-07), for yaml-language-server and CI.

A step is flat: every verb is a property, and exactly one of them is required, so an editor completes verbs and their
parameters without union tags. Draft-07 because that is what editors read. Every value also takes a `"${...}"` text.
The committed `specs/spec.schema.json` holds synthkit's own verbs; `synthkit schema` adds installed and local ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from synthkit.core import registry
from synthkit.core.action import Action, SourceAction
from synthkit.core.engine import EngineConfig, Role
from synthkit.core.field_docs import about
from synthkit.spec.composite import read_composite
from synthkit.spec.model import Composite, SpecKeys, StepKeys
from synthkit.spec.verbs import Verbs

Schema = dict[str, Any]

OWN = frozenset({"synthkit"})
"""The distribution whose verbs and engines the committed schema holds."""
_REFERENCE: Schema = {"type": "string", "pattern": r"\$\{[^{}]+\}"}


def spec_schema(packages: Collection[str] | None = None) -> Schema:
    """The schema with the verbs and engines of `packages` (distributions), or of all that is installed and local."""
    definitions: dict[str, Schema] = {}
    spec = _model(SpecKeys, "spec", definitions)
    properties = spec["properties"] = {name: _plain(each) for name, each in spec["properties"].items()}
    _entries(properties["steps"])["additionalProperties"] = {"$ref": "#/definitions/step"}
    _entries(properties["engines"])["additionalProperties"] = {"$ref": "#/definitions/engine"}
    _entries(properties["models"])["additionalProperties"] = {"$ref": "#/definitions/role"}
    _model(Role, "role", definitions)
    definitions["engine"] = _engine(packages, definitions)
    definitions["step"] = _step(packages, definitions)
    ordered = {name: definitions[name] for name in sorted(definitions) if name != "spec"}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "synthkit spec",
        "description": "A recipe of synthetic data: steps from sources to published tables.",
        **{key: value for key, value in spec.items() if key != "description"},
        "definitions": ordered,
    }


def native_verbs(packages: Collection[str] | None = None) -> Iterator[type[Action]]:
    """Classes of native verbs, installed and local, sorted by verb."""
    found: dict[str, type[Action]] = {name: registry.actions()[name] for name in _named(registry.actions(), packages)}
    if packages is None:
        verbs = Verbs((Path(),))
        verbs.names()
        found |= {name: each for name, each in verbs.classes.items() if name not in found}
    yield from (found[name] for name in sorted(found))


def composite_verbs(packages: Collection[str] | None = None) -> Iterator[Composite]:
    """Composite verbs, installed and local, sorted by verb."""
    verbs = Verbs((Path(),) if packages is None else ())
    native = set(registry.actions())
    names = verbs.names() if packages is None else _named(registry.group(registry.COMPOSITES), packages)
    for name in names:
        file = None if name in native or name in verbs.classes else verbs.composite(name)
        if file:
            yield read_composite(file, name)


def _named(group: registry.Group, packages: Collection[str] | None) -> list[str]:
    """Names that a group's entry points give to objects of these distributions."""
    return [
        name
        for name, point in sorted(group.points.items())
        if packages is None or (point.dist is not None and point.dist.name in packages)
    ]


def _step(packages: Collection[str] | None, definitions: dict[str, Schema]) -> Schema:
    """A step: common keys, every verb, exactly one of them."""
    step = _model(StepKeys, "step", definitions)
    choices: list[Schema] = []
    for action in native_verbs(packages):
        body = _model(action, action.verb, definitions)
        if action.shorthand:
            about = body.get("description", "")
            body = body["properties"][action.shorthand] | {"description": about}
            definitions[action.verb] = body
        step["properties"][action.verb] = {"$ref": f"#/definitions/{action.verb}"}
        if issubclass(action, SourceAction):
            choices.append({"required": [action.verb], "not": {"required": ["from"]}})
        else:
            choices.append({"required": ["from", action.verb]})
    for composite in composite_verbs(packages):
        definitions[composite.verb] = _composite(composite)
        step["properties"][composite.verb] = {"$ref": f"#/definitions/{composite.verb}"}
        choices.append({"required": ["from", composite.verb]})
    return {"type": "object", "additionalProperties": False, "properties": step["properties"], "oneOf": choices}


def _composite(composite: Composite) -> Schema:
    """The parameters of a composite verb."""
    properties = {
        param.name: {"description": param.declared}
        | ({"type": "string"} if param.type is None else _referable(_value(param.type)))
        | ({} if param.required else {"default": param.default})
        for param in composite.params.values()
    }
    required = [param.name for param in composite.params.values() if param.required]
    return {
        "description": composite.about,
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    } | ({"required": required} if required else {})


def _value(type: Any) -> Schema:
    """The schema of a parameter's type, as far as it can be said without a row."""
    from synthkit.core.types import Bool, Choice, Float, Int, ListOf, MapOf, Object, Str

    if isinstance(type, Int | Float):
        bounds = {"minimum": type.min, "maximum": type.max}
        kind = "integer" if isinstance(type, Int) else "number"
        return {"type": kind} | {key: bound for key, bound in bounds.items() if bound is not None}
    if isinstance(type, Choice):
        return {"enum": list(type.values)}
    kinds: list[tuple[Any, str]] = [(Bool, "boolean"), (Str, "string"), (ListOf, "array"), ((MapOf, Object), "object")]
    name = next((name for kind, name in kinds if isinstance(type, kind)), None)
    return {"type": name} if name else {}


def _engine(packages: Collection[str] | None, definitions: dict[str, Schema]) -> Schema:
    """An entry of `engines`: the kind is the key."""
    choices = []
    for kind in _named(registry.engines(), packages):
        config: type[EngineConfig] = registry.engines()[kind]
        body = _model(config, f"engine.{kind}", definitions)
        body["required"] = sorted({kind, *body.get("required", ())})
        choices.append({"$ref": f"#/definitions/engine.{kind}"})
    return {"description": "What is loaded; the kind is the key.", "anyOf": choices}


def _plain(schema: Schema) -> Schema:
    """A top-level key's schema as it was before it took references; nobody writes `steps: "${vars.steps}"`."""
    members = [each for each in schema.get("anyOf", ()) if each is not _REFERENCE]
    if len(members) != 1:
        return schema
    member: Schema = members[0]
    return {key: value for key, value in schema.items() if key != "anyOf"} | member


def _entries(schema: Schema) -> Schema:
    """The part of a key's schema that is a mapping of names to entries."""
    members: list[Schema] = schema.get("anyOf", [schema])
    return next(each for each in members if each.get("type") == "object")


def _model(model: type[BaseModel], name: str, definitions: dict[str, Schema]) -> Schema:
    """A model as an editor needs it; what it refers to goes under `definitions`, named after it."""
    raw = model.model_json_schema(by_alias=True, ref_template=f"#/definitions/{name}.{{model}}")
    _describe(raw, model)
    inner = raw.pop("$defs", {})
    models = {each.__name__: each for each in models_below(model)}
    for key, each in inner.items():
        if key in models:
            _describe(each, models[key])
        definitions[f"{name}.{key}"] = _draft7(each)
    definitions[name] = _draft7(raw)
    return definitions[name]


def _describe(schema: Schema, model: type[BaseModel]) -> None:
    """Give each property its field's docstring."""
    for name, field in model.model_fields.items():
        if text := about(model, name):
            schema["properties"][field.alias or name].setdefault("description", text)


def models_below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The models that a model's fields hold, at any depth."""
    for field in model.model_fields.values():
        waiting = [field.annotation]
        while waiting:
            each = waiting.pop()
            if isinstance(each, type) and issubclass(each, BaseModel):
                yield each
                yield from models_below(each)
            waiting.extend(get_args(each))


def _draft7(schema: Schema) -> Schema:
    """A model's schema in draft-07, its values referable, without titles."""
    result = {key: value for key, value in schema.items() if key != "title"}
    if "description" in result:
        result["description"] = " ".join(str(result["description"]).split())
    if "properties" in result:
        result["properties"] = {key: _referable(_node(each)) for key, each in result["properties"].items()}
    elif result.get("type") != "object":
        result = _node(schema)
    return result


def _node(schema: Any) -> Any:
    """A value's schema in draft-07."""
    if not isinstance(schema, dict):
        return schema
    result: Schema = {}
    for key, value in schema.items():
        if key == "title":
            continue
        if key in ("anyOf", "oneOf", "allOf"):
            result[key] = [_node(each) for each in value]
        elif key in ("items", "additionalProperties"):
            result[key] = _referable(_node(value))
        elif key == "patternProperties":
            ((pattern, entry),) = value.items()
            result |= {"propertyNames": {"pattern": pattern}, "additionalProperties": _referable(_node(entry))}
        elif key == "prefixItems":
            result["items"] = [_referable(_node(each)) for each in value]
        elif key == "description":
            result[key] = " ".join(value.split())
        else:
            result[key] = value
    if "$ref" in result and len(result) > 1:
        result["allOf"] = [{"$ref": result.pop("$ref")}]  # draft-07 ignores what stands beside a $ref
    return result


def _referable(schema: Any) -> Any:
    """The schema, or a text with a reference where it takes no plain text yet."""
    if not isinstance(schema, dict) or not schema.keys() & _DECIDING or _takes_text(schema):
        return schema
    kept = {key: value for key, value in schema.items() if key in ("description", "default")}
    rest = {key: value for key, value in schema.items() if key not in kept}
    members = rest["anyOf"] if rest.keys() == {"anyOf"} else [rest]
    return kept | {"anyOf": [*members, _REFERENCE]}


_DECIDING = frozenset({"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"})


def _takes_text(schema: Mapping[str, Any]) -> bool:
    if schema.get("type") == "string":
        return not schema.keys() & {"pattern", "enum", "const", "minLength", "maxLength", "format"}
    return any(_takes_text(each) for each in schema.get("anyOf", ()))
