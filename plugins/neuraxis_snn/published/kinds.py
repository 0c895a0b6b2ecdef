"""The actors of published networks by the names that scenarios use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from neuraxis_snn.published.brunel import Brunel
from neuraxis_snn.published.cuba import Cuba
from neuraxis_snn.published.triplet import Triplet
from neuraxis_snn.published.willshaw import Willshaw

if TYPE_CHECKING:
    from neuraxis_snn.published.actor import PublishedNetwork

KINDS: Final[dict[str, type[PublishedNetwork]]] = {
    "snn.brunel": Brunel,
    "snn.cuba": Cuba,
    "snn.triplet": Triplet,
    "snn.willshaw": Willshaw,
}
