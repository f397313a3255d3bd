"""The blocks of code in a page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"(?:^<!-- (?P<note>[^\n]*?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
ROOT = Path(__file__).parents[2]
PAGES = [
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
]


@dataclass(frozen=True)
class Block:
    kind: str
    """The word after the back quotes."""
    text: str
    note: str
    """The HTML comment in the line before."""
    line: int


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(m["kind"], m["text"], m["note"] or "", text.count("\n", 0, m.start("text")) + 1)
        for m in _BLOCK.finditer(text)
    ]
