"""Tests of the objectness network's training."""
