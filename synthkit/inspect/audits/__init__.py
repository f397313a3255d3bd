"""Audits of a run's rows: planned calls, leaks of answers, lengths, biases of judges; and the report that holds them.

The ledger says where every row is, these say what is in them. Each reads the run directory alone, a batch at a time.
"""
