"""Detector training data from real pictures: pasted scenes, and boxes by a teacher network."""
