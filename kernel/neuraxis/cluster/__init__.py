"""Runs over several workers: what they agree on, how they reach each other, and how they are replaced."""
