"""Backends: one way each to compute a network, all with the same bits.

reference.py       one neuron and one synapse at a time, in plain Python: slow, obvious, the oracle
with_numpy.py      arrays; the portable default
with_torch.py      tensors, on the processor or on a CUDA device
with_cupy.py       CuPy's arrays, and kernels for the equations
    cuda_code.py       writes the kernels
with_norse.py      arrays, and Norse's own step function for the model `lif_norse`
    batch.py           many copies of a network, or one, for these four
    flat.py            computes all copies, on flat arrays
    flat_synapses.py   their synapses
    arrays.py          the few operations in which libraries of arrays differ
with_numba.py      the whole network compiled into one function; the fast default
    plan.py            how the network lies in memory
    generate.py        writes that function
    primitives.py      what it is made of
    kept.py            keeps machine code on disk
"""
