"""PP-ShiTu's recipe: networks for people with their own products. Run from the checkout, see README.md."""

from shitu_edge.engines import telemetry

telemetry.turn_off()
