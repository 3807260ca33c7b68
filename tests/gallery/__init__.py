"""Tests of `shitu_edge.gallery`."""
