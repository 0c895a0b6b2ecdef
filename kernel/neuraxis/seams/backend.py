"""The seam of backends: what computes networks.

The kernel knows no neuron. It resolves the name of a backend (`--backend`, `NEURAXIS_BACKEND`, the scenario) to
an object of this protocol and gives it to every actor that declares a parameter of kind `Backend`:

    backend: Backend = parameter(Backend, semantic=False)

Results never depend on which backend computes: that is what the backend suite of the plugin proves that owns
the networks (`neuraxis_snn.conformance.BackendSuite`).
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Backend(Protocol):
    """Something that makes networks ready to run."""

    @property
    def name(self) -> str:
        """The name by which scenarios and `--backend` ask for it."""

    def build(self, network: Any) -> Any:
        """Return an engine that computes `network`.

        Args:
            network: A description of a network, as the plugin that owns such networks defines it.

        Raises:
            InputError: The backend cannot compute this network; the error names what can.
        """
