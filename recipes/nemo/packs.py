"""NeMo 2's data module for packs that are whole sequences."""

from __future__ import annotations

from typing import Any

from nemo.collections import llm


class PackDataModule(llm.PreTrainingDataModule):  # type: ignore[misc]  # no library where types are checked
    """Reads exactly one pack a sample; the library has no argument for either of the two.

    With the extra token that it reads by default, the last label of a pack is the first token of another, and each
    epoch loses a pack. Where TransformerEngine does not import, it would also build a dense mask of sequence x
    sequence.
    """

    @property
    def gpt_dataset_config(self) -> Any:
        """The library's configuration of the dataset."""
        config = super().gpt_dataset_config
        config.add_extra_token_to_sequence = False
        config.create_attention_mask = False
        return config
