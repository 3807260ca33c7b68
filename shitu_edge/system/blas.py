"""What NumPy's matrix products cost beside their arithmetic."""

SMALL_PRODUCT = 1 << 18
"""Multiplications up to which OpenBLAS stays on the calling thread.

Its own threads gain nothing on the narrow products here, and while another process keeps a core busy they wait for
each other: a resize of 12 ms took 600 ms, an exact search of 1 ms 35 ms. Larger products are therefore cut in pieces.
"""
