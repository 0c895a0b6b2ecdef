"""Arrays: each equation is computed for all neurons of a population at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from neuraxis_snn.backends.arrays import Arrays
from neuraxis_snn.backends.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuraxis_snn.engine import Engine
    from neuraxis_snn.network import Network

NAME: Final = "numpy"


@final
class NumpyBackend:
    """Computes networks with numpy."""

    name: str = NAME

    def build(self, network: Any) -> Engine:
        """Return an engine. Raises `NetworkInvalid` if `network` is none."""
        return self.build_batch([network])[0]

    def build_batch(self, networks: Sequence[Network]) -> Batch:
        """Return copies of a network that are computed together; see `Batch`.

        Args:
            networks: One for each copy: `[network] * 5`, or networks that differ in parameters, rates and weights.

        Raises:
            NetworkInvalid: They differ in more than that, or one is no network.
        """
        return Batch(networks, NAME, Arrays)
