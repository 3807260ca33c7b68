"""shitu-edge-export: PP-ShiTu's networks from Paddle to ONNX, OpenVINO IR and INT8, with a receipt of what it cost."""

from shitu_edge.engines import telemetry

telemetry.turn_off()
