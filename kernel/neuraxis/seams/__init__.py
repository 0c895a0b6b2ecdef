"""Seams: one Protocol a file, for what plugins supply and the kernel or other plugins use."""
