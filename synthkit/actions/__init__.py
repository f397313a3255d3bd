"""The native verbs, one file each; composites as YAML in `composites/`. Reached through the registry only."""
