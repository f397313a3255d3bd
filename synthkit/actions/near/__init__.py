"""Texts that are nearly the same: sketched as MinHash signatures, kept in Lance, paired by bands and verified."""
