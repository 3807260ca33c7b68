"""`shitu-edge demo`: a gallery and scenes, recognized and judged."""
