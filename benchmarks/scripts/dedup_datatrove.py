"""`python dedup_datatrove.py FILE OUT FOLDER`: datatrove's four stages with two workers.

Its tokenizer (spaCy) is replaced by `str.split`, which is faster, so that the figure tells of the deduplication.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import minhash
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter

WORKERS = 2


class Split:
    """A tokenizer by spaces."""

    def word_tokenize(self, text: str) -> list[str]:
        return text.split()


minhash.load_word_tokenizer = lambda _: Split()


def main(source: Path, out: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    inputs = folder / "input"
    inputs.mkdir()
    with source.open() as file:
        parts = [(inputs / f"{part}.jsonl").open("w") for part in range(WORKERS)]
        ids = []
        for number, line in enumerate(file):
            ids.append(json.loads(line)["id"])
            parts[number % WORKERS].write(line)
        for part in parts:
            part.close()
    began = time.monotonic()
    config = minhash.MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
    signatures, buckets, removed, kept = (str(folder / name) for name in ("signatures", "buckets", "removed", "kept"))

    def reader() -> Any:
        return JsonlReader(str(inputs))

    stages = [
        ([reader(), minhash.MinhashDedupSignature(signatures, config=config)], WORKERS),
        ([minhash.MinhashDedupBuckets(signatures, buckets, config=config)], config.num_buckets),
        ([minhash.MinhashDedupCluster(buckets, removed, config=config)], 1),
        ([reader(), minhash.MinhashDedupFilter(removed), JsonlWriter(kept, compression=None)], WORKERS),
    ]
    for number, (pipeline, tasks) in enumerate(stages):
        logs = str(folder / f"logs{number}")
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=min(tasks, WORKERS), logging_dir=logs).run()
    seconds = time.monotonic() - began
    left = {json.loads(line)["id"] for path in Path(kept).glob("*.jsonl") for line in path.open()}
    out.write_text(json.dumps({"seconds": seconds, "dropped": [each for each in ids if each not in left]}))


if __name__ == "__main__":
    os.environ["DATATROVE_COLORIZE_LOGS"] = "0"
    main(*map(Path, sys.argv[1:]))
