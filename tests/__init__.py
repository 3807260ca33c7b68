"""Tests mirror the source tree; the engines that they import report nothing."""

from shitu_edge.engines import telemetry

telemetry.turn_off()
