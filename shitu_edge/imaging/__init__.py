"""Pixels: boxes, resizing, input tensors, formats."""
