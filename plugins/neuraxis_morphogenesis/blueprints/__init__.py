"""Blueprints: what can be grafted, compiled ahead of time, and kept with checksums.

site          layout and shape of a place in the host
catalogue     fifty entries, and who may have which
kernels       blueprints made for a site: tensors, digests and an id, sealed by a checksum
library       a store of kernels, checked at every fetch
forging       a process of its own for each kernel, with limits; the quarantine
compiler      actor: from entries to kernels, as effects
librarian     actor: from the library to those who ask
with_torch/   the modules themselves, the forge's child, and the way from kernels to modules
"""
