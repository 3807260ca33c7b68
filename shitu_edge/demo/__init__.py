"""`shitu-edge demo`: recognition of scenes, and its verdict."""
