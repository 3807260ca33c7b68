"""Answers and galleries as images."""
