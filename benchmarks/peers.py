"""Other toolkits, each in a virtual environment of its own, made when it is first asked for and then kept.

They want other versions than synthkit does, so they are never installed beside it. `SYNTHKIT_PEERS` names the folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from synthkit.core.ids import digest

PEERS: dict[str, tuple[str, ...]] = {
    "datasketch": ("datasketch==2.0.0",),
    "datatrove": ("datatrove[processing,io]==0.10.1", "orjson>=3.10"),
}
"""What `pip` installs, pinned: a figure is of one version."""


def python(peer: str) -> Path:
    """The interpreter of a peer's environment."""
    folder = Path(os.environ.get("SYNTHKIT_PEERS", Path.home() / ".cache" / "synthkit" / "peers"))
    place = folder / f"{peer}-{digest([*PEERS[peer], sys.version])[:12]}"
    found = place / "bin" / "python"
    if not (place / "whole").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        subprocess.run([str(found), "-m", "pip", "install", "--quiet", *PEERS[peer]], check=True)
        (place / "whole").touch()
    return found
