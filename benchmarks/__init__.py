"""Comparisons with peers and bare engines, one command each; recorded results lie in `results/`."""
