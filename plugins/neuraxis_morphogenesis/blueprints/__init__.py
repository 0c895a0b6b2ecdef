"""Blueprints: what can be grafted, compiled ahead of time, and kept with checksums.

site          layout and shape of a place in the host
catalogue     fifty entries, and who may have which
with_torch/   their modules
compiler      from entries to artefacts, as effects
library       artefacts, checked at every fetch
"""
