"""Records for people and tests: digests, full traces, the first divergence, causes, goldens."""
