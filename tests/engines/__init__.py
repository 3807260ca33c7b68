"""Tests of `shitu_edge.engines`."""
