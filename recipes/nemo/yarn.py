"""A model whose YaRN settings are fields of its configuration.

In Bridge 0.3 only GPT-OSS has them: on a Qwen3 provider they can be set as attributes, work, and are lost when the
configuration is written into a checkpoint, so a resumed or exported model silently has plain rope. 0.6 has the fields.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from megatron.bridge.models.gpt_provider import GPTModelProvider


@dataclass
class YarnGPTModelProvider(GPTModelProvider):  # type: ignore[misc]  # the library is not installed where types are checked
    """The library's provider with the fields that Megatron reads by name."""

    yarn_rotary_scaling_factor: float | None = None
    yarn_original_max_position_embeddings: int | None = None
    yarn_beta_fast: float | None = None
    yarn_beta_slow: float | None = None
    yarn_mscale: float | None = None
    yarn_mscale_all_dim: float | None = None
    yarn_correction_range_round_to_int: bool | None = None


def stretchable(model: Any) -> Any:
    """The same model with YaRN's fields; itself where it has them."""
    if any(each.name == "yarn_beta_fast" for each in dataclasses.fields(model)):
        return model
    known = {each.name for each in dataclasses.fields(model) if each.init}
    made = YarnGPTModelProvider(**{name: getattr(model, name) for name in known})
    for each in dataclasses.fields(model):
        if not each.init:
            setattr(made, each.name, getattr(model, each.name))
    return made
