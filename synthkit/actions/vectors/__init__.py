"""Vectors that are nearly the same: all pairs of a cosine at or above a threshold, exactly."""
