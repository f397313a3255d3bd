"""What one process of a benchmark runs; those of peers run in environments of their own and import nothing of ours."""
