"""Text in one normal form: NFKC, case-folded, no thousands separators; and what a word is.

It needs no dictionary, so it serves English and Chinese alike. Pure ASCII text skips the normalisation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from jinja2.runtime import Undefined

CJK = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
"""Scripts written without spaces: every character may begin or end a word."""
SPACED = re.compile(rf"[^\W{CJK}]")
"""A letter or digit of a spaced script."""
_GROUPING = re.compile(r"(?<=\d)[,\u066c](?=\d{3}(?!\d))")
WORD = re.compile(rf"\d+(?:\.\d+)+|[^\W_{CJK}]+|[{CJK}]+")
"""A word of a spaced script, a number with its points, or a run of Chinese."""


def norm(text: str) -> str:
    """NFKC and case-folded, thousands separators removed."""
    text = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    return _GROUPING.sub("", text) if "," in text or "\u066c" in text else text


def texts(value: Any) -> Iterator[str]:
    """The texts in a value: itself, or the items of a list at any depth; numbers as text, none as nothing."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int | float):
        yield f"{value:g}" if isinstance(value, float) else str(value)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)
    elif isinstance(value, Undefined):
        value._fail_with_undefined_error()
    else:
        raise TypeError(f"expected text or a list of texts, not {value.__class__.__name__}")
