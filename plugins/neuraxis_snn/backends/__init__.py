"""Backends: one way each to compute a network, all with the same bits.

reference.py    one neuron and one synapse at a time, in plain Python: slow, obvious, the oracle
with_numpy.py   arrays; the portable default
with_numba.py   the whole network compiled into one function; the fast default
generate.py     writes that function
with_norse.py   Norse's own step function, for the model `lif_norse`
"""
