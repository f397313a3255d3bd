"""For tests of specs, actions and engines, without a model: public, and as stable as the rest.

`ScriptedEngine` replies by a script, `ReplayEngine` from a recording, `FaultServer` over HTTP with planned faults;
`RecordingContext` runs one row action without a run; `EngineContract` is the suite that every engine passes,
`EmbeddingContract` that of engines that embed. Each is
loaded when it is first named, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthkit.testing.context import Asked, Ran, RecordingContext, Rejected
    from synthkit.testing.embedding_contract import EmbeddingContract
    from synthkit.testing.engine_contract import EngineContract
    from synthkit.testing.replay import Recorder, ReplayConfig, ReplayEngine
    from synthkit.testing.scripted import Faults, ScriptedConfig, ScriptedEngine, read_log, request_key
    from synthkit.testing.server import FaultServer

_HOMES = {
    "Asked": "context",
    "EmbeddingContract": "embedding_contract",
    "EngineContract": "engine_contract",
    "FaultServer": "server",
    "Faults": "scripted",
    "Ran": "context",
    "Recorder": "replay",
    "RecordingContext": "context",
    "Rejected": "context",
    "ReplayConfig": "replay",
    "ReplayEngine": "replay",
    "ScriptedConfig": "scripted",
    "ScriptedEngine": "scripted",
    "read_log": "scripted",
    "request_key": "scripted",
}
__all__ = [
    "Asked",
    "EmbeddingContract",
    "EngineContract",
    "FaultServer",
    "Faults",
    "Ran",
    "Recorder",
    "RecordingContext",
    "Rejected",
    "ReplayConfig",
    "ReplayEngine",
    "ScriptedConfig",
    "ScriptedEngine",
    "read_log",
    "request_key",
]


def __getattr__(name: str) -> Any:
    """Load a name from the module it lives in."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"synthkit.testing.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'synthkit.testing' has no attribute {name!r}; it has {', '.join(__all__)}")
