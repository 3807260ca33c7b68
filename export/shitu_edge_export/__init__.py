"""shitu-edge-export: PP-ShiTu's networks from Paddle to ONNX, OpenVINO IR and INT8, with a receipt of what it cost."""
