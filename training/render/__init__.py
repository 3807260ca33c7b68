"""Drawn retail products: crops of single products and scenes with boxes, endless and seeded."""
