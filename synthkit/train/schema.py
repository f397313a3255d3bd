"""The JSON Schema of recipes, for editors; the committed one is `recipes/recipe.schema.json`."""

from __future__ import annotations

from typing import Any

from synthkit.core.field_docs import about
from synthkit.spec.schema import models_below
from synthkit.train.recipe import RecipeKeys


def recipe_schema() -> dict[str, Any]:
    """Draft-07, each key with what its docstring says."""
    made = RecipeKeys.model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
    definitions: dict[str, Any] = made.pop("$defs")
    models = {each.__name__: each for each in models_below(RecipeKeys)}
    for name, each in ((RecipeKeys.__name__, made), *definitions.items()):
        model = models.get(name, RecipeKeys)
        for key, field in model.model_fields.items():
            if text := about(model, key):
                each["properties"][field.alias or key]["description"] = " ".join(text.split())
    untitled: dict[str, Any] = _untitled({**made, "definitions": definitions})
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "synthkit recipe", **untitled}


def _untitled(node: Any) -> Any:
    """The schema without titles, and with what stands beside a reference, which draft-07 would not see."""
    if isinstance(node, list):
        return [_untitled(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {
        key: {name: _untitled(each) for name, each in value.items()} if key == "properties" else _untitled(value)
        for key, value in node.items()
        if key != "title"
    }
    if "$ref" in found and len(found) > 1:
        found["allOf"] = [{"$ref": found.pop("$ref")}]
    return found
