"""Which GPUs the engines of this process hold, so that no two of them load onto the same ones.

vLLM takes the first GPUs unless it is told. Here each engine gets the lowest that are free. One whose entry names its
GPUs gets those, and one that limits its own memory may share: these two are the user's word against ours.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from synthkit.core.errors import EngineError


class Devices:
    """The GPUs of this machine that are taken, with the model that holds each."""

    def __init__(self) -> None:
        """None is taken."""
        self._held: list[tuple[str, Sequence[int | str]]] = []
        self._lock = threading.Lock()

    def take(
        self, model: str, count: int, present: int, named: Sequence[int | str] | None, shares: bool
    ) -> Sequence[int | str]:
        """`count` GPUs out of `present`, or the `named` ones; EngineError where they do not suffice."""
        with self._lock:
            holders = {gpu: other for other, gpus in self._held for gpu in gpus}
            free: list[int | str] = [gpu for gpu in range(present) if gpu not in holders]
            taken = list(free[:count] if named is None else named)
            if len(taken) < count and shares:
                taken = list(range(count))
            clash = [gpu for gpu in taken if gpu in holders]
            if len(taken) < count or (clash and not shares):
                held = ", ".join(f"{gpu} by {other!r}" for gpu, other in holders.items()) or "none"
                raise EngineError(
                    f"vllm: {model!r} takes {count} GPUs{f' ({list(taken)})' if clash else ''}, and of {present} there "
                    f"are held: {held}; use fewer `gpus` or `replicas`, name others (`args: {{device_ids: [...]}}`), "
                    "or give both engines a share of memory (`args: {gpu_memory_utilization: 0.45}`)"
                )
            self._held.append((model, taken))
            return taken

    def give_back(self, gpus: Sequence[int | str]) -> None:
        """What `take` returned is free again."""
        with self._lock:
            self._held = [(model, held) for model, held in self._held if held is not gpus]


DEVICES = Devices()
"""Those of this process."""
