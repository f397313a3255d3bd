"""Training on what `synthkit export` wrote, by NVIDIA's libraries: settings in YAML, one adapter a library, a launcher.

It stands beside `synthkit/` and imports none of it, because it changes when NVIDIA's libraries do, and runs in their
container. The exported folder is the whole contract: `corpus` reads it, `settings` says what a user changes, `plan`
turns both into field -> value, and `bridge` and `nemo2` put those onto the library's own recipe. So every trap is
handled in one place that needs no library to be tested, and an adapter only knows names. docs/nemo.md lists the traps
and what was proven.
"""
