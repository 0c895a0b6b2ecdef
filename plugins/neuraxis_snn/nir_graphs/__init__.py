"""Graphs of the Neuromorphic Intermediate Representation (NIR): read into networks, and written from them.

    errors    why a graph cannot be used
    files     NIR files, read without trust
    linear    what lies between neurons (weights, delays, convolutions) as synapses
    neurons   NIR's neurons as models
    reading   from a graph to a network
    writing   from a network to a graph
    actor     a NIR file as an actor

It needs the library `nir` (extra `nir`).
Source: Pedersen et al., Nat. Commun. 15, 8122 (2024); the definitions of nodes are those of `nir` 1.0.
"""

from neuraxis_snn.nir_graphs.errors import NirUnusable
from neuraxis_snn.nir_graphs.reading import NirNetwork, Outlet, read_nir
from neuraxis_snn.nir_graphs.writing import nir_graph, write_nir

__all__ = ["NirNetwork", "NirUnusable", "Outlet", "nir_graph", "read_nir", "write_nir"]
