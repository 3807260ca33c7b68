"""Detector training data from real images: pasted scenes, and boxes by a teacher network."""
