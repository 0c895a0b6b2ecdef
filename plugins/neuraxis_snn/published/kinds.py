"""The actors of published networks by the names that scenarios use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from neuraxis_snn.published.bcpnn_memory import BcpnnMemory
from neuraxis_snn.published.brunel import Brunel
from neuraxis_snn.published.brunel_wide import BrunelSlice
from neuraxis_snn.published.coba import Coba
from neuraxis_snn.published.cuba import Cuba
from neuraxis_snn.published.hopfield import Hopfield
from neuraxis_snn.published.inhibitory_plasticity import InhibitoryPlasticity
from neuraxis_snn.published.microcircuit import Microcircuit
from neuraxis_snn.published.soak import Soak
from neuraxis_snn.published.stdp_balance import StdpBalance
from neuraxis_snn.published.triplet import Triplet
from neuraxis_snn.published.willshaw import Willshaw
from neuraxis_snn.published.willshaw_pairs import WillshawPairs
from neuraxis_snn.published.working_memory import WorkingMemory

if TYPE_CHECKING:
    from neuraxis_snn.published.actor import PublishedNetwork

KINDS: Final[dict[str, type[PublishedNetwork]]] = {
    "snn.bcpnn_memory": BcpnnMemory,
    "snn.brunel": Brunel,
    "snn.brunel_slice": BrunelSlice,
    "snn.coba": Coba,
    "snn.cuba": Cuba,
    "snn.hopfield": Hopfield,
    "snn.inhibitory_plasticity": InhibitoryPlasticity,
    "snn.microcircuit": Microcircuit,
    "snn.soak": Soak,
    "snn.stdp_balance": StdpBalance,
    "snn.triplet": Triplet,
    "snn.willshaw": Willshaw,
    "snn.willshaw_pairs": WillshawPairs,
    "snn.working_memory": WorkingMemory,
}
