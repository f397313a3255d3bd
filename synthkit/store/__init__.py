"""The Lance store: one directory a run, one writer, any number of readers; `kill -9` at any moment loses nothing.

`run.py` puts it together: `lock` and `manifest` (run.json), `journal` over `segment` (write-ahead) and `completions`,
`steps` with `snapshot` and `rejects`, `scan` (joined reading), `published`, `attempts`, `clean`. All commits go through
one thread (`writer`); all of Lance's handles live in `dataset`. Imported only when a run is opened: Lance takes 0.8 s.
"""
