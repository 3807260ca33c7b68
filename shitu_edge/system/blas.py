"""Size limit of NumPy's matrix products."""

SMALL_PRODUCT = 1 << 18
"""Multiplications up to which OpenBLAS stays on the calling thread; larger products are cut in pieces.

Its own threads gain nothing on the narrow products here, and wait for each other while another process keeps a core
busy: a resize of 12 ms took 600 ms, an exact search of 1 ms 35 ms.
"""
