"""Comparisons with peers and bare engines, one command each; recorded results lie in `results/`."""

from shitu_edge.engines import telemetry

telemetry.turn_off()
