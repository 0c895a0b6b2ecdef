"""Connection rules that draw the same network in every part, on every machine and on every path.

rules         which neurons are joined: `all_to_all`, `fixed_total`, `distance_based`, …
values        weights and delays: `Constant`, `Uniform`, `Normal`
table         synapses by source, ready to be delivered
ends          what a rule returns, and what all rules check
loops         drawing and sorting, one synapse at a time; `with_numba` compiles it, `with_numpy` says it for arrays
"""

from neuraxis_snn.connect.ends import Ends
from neuraxis_snn.connect.rules import (
    all_to_all,
    distance_based,
    ends_of,
    fixed_in_degree,
    fixed_out_degree,
    fixed_probability,
    fixed_total,
    one_to_one,
    total_of,
)
from neuraxis_snn.connect.table import Table, csr, table
from neuraxis_snn.connect.values import Constant, Normal, Uniform, delays, weights

__all__ = [
    "Constant",
    "Ends",
    "Normal",
    "Table",
    "Uniform",
    "all_to_all",
    "csr",
    "delays",
    "distance_based",
    "ends_of",
    "fixed_in_degree",
    "fixed_out_degree",
    "fixed_probability",
    "fixed_total",
    "one_to_one",
    "table",
    "total_of",
    "weights",
]
