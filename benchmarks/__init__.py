"""Benchmarks: each prints figures of ours and of the limit on the same work in the same run, and their ratio."""
