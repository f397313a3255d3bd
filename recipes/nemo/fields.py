"""Put values into a library's configuration by name, and refuse names and sections it does not have.

Both Bridge versions take an unknown attribute in silence, since their configurations are plain dataclasses: a misspelt
`create_atention_mask` costs 64 GiB a sample at 128K instead of an error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from recipes.nemo.errors import LaunchError, nearest

Values = Mapping[str, Mapping[str, Any]]
"""Section -> field -> value."""


def put(config: Any, values: Values) -> None:
    """Set each field of each section; LaunchError for a name that the dataclass does not have."""
    for section, fields in values.items():
        known = {each.name for each in dataclasses.fields(config)}
        target = getattr(config, section, None) if section in known else None
        if target is None or not dataclasses.is_dataclass(target):
            raise LaunchError(f"{type(config).__name__} has no section {section}", nearest(section, known))
        names = {each.name for each in dataclasses.fields(target)}
        for name, value in fields.items():
            if name not in names:
                raise LaunchError(f"{section} ({type(target).__name__}) has no field {name}", nearest(name, names))
            setattr(target, name, value)


def sections(flat: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`{"model.seq_length": 4}` as `{"model": {"seq_length": 4}}`."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in flat.items():
        section, dot, field = name.partition(".")
        if not dot or "." in field:
            raise LaunchError(f"overrides: {name} is no section.field", "for instance model.moe_aux_loss_coeff")
        found.setdefault(section, {})[field] = value
    return found
