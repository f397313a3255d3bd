"""The chat template that chats are measured by: the recipe's, else that beside the tokenizer, else its configuration's.

A `chat_template.jinja` beside tokenizer_config.json stands above what that file says, as it does in transformers.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from synthkit.core.errors import SpecError
from synthkit.core.resources import shipped
from synthkit.train.tokenizer import TrainTokenizer

FILE = "chat_template.jinja"


def with_template(tokenizer: TrainTokenizer, named: str | None) -> TrainTokenizer:
    """The tokenizer with the template that chats are measured by; SpecError where a file cannot be read."""
    file = Path(named) if named is not None else _beside(tokenizer.name)
    if file is None:
        return tokenizer
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SpecError(f"template {str(file)!r} cannot be read: {reason}") from error
    return replace(tokenizer, config={**tokenizer.config, "chat_template": text})


def written(tokenizer: TrainTokenizer) -> str | None:
    """The text of its template; of several the one called `default`."""
    text = tokenizer.config.get("chat_template")
    if isinstance(text, list):
        text = {each.get("name"): each.get("template") for each in text}.get("default")
    return text if isinstance(text, str) else None


def hashed(tokenizer: TrainTokenizer) -> str | None:
    """Tells templates apart."""
    text = written(tokenizer)
    return None if text is None else blake2b(text.encode(), digest_size=16).hexdigest()


def _beside(name: str) -> Path | None:
    """The file beside a tokenizer, in its folder or on the hub; None where there is none."""
    path = shipped("nano") if name == "nano" else Path(name)
    if path.exists():
        file = (path if path.is_dir() else path.parent) / FILE
        return file if file.is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(name, FILE))
    except EntryNotFoundError:  # also where the hub is not reached: then of what is on disk
        return None
    except Exception as error:  # a hub's client raises errors of many libraries
        raise SpecError(f"tokenizer {name!r}: whether it has a {FILE} cannot be told: {error}") from error
