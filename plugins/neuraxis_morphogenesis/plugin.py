"""The plugin `morphogenesis`: networks that grow while they train."""

from __future__ import annotations

from neuraxis import Manifest, __version__

MANIFEST = Manifest(name="morphogenesis", version=__version__)
