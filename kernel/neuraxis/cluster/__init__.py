"""A run over several workers, with the bits of one process. `docs/distribution.md` tells how."""
