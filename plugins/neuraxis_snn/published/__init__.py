"""Published networks, one a module: how to build them, what the publication says, and an actor that shows both.

cuba                    Vogels & Abbott 2005, currents: self-sustained irregular firing
coba                    the same with conductances: firing in bursts
brunel                  Brunel 2000: four states of one sparse network
microcircuit            Potjans & Diesmann 2014: four layers of cortex, at any size up to the full one
inhibitory_plasticity   Vogels et al. 2011: inhibition learns to hold a rate
stdp_balance            Song, Miller & Abbott 2000: synapses compete
triplet                 Pfister & Gerstner 2006 beside the data of Sjöström et al. 2001
willshaw                Willshaw et al. 1969, by spikes: recall from parts of patterns
willshaw_pairs          the same between two layers, as full as it can be
hopfield                Hopfield 1982 and sparse patterns: attractors up to a critical load; theory in `mean_field`
bcpnn_memory            BCPNN between hypercolumns: completion, distortion, rivalry, prototypes
working_memory          Mongillo, Barak & Tsodyks 2008: an item is held in facilitated synapses
soak                    learning that never ends, with what keeps it within bounds

claims                  published figures as data, and the table beside ours
tally                   statistics while a network runs, in bounded memory
draws                   what differs from neuron to neuron at the start
actor                   what all these actors do alike
kinds                   these actors by the names that scenarios use

Every module has `build(...) -> Network`, a pure function of its arguments, and perhaps `begin(engine, ...)`, which
sets what differs from neuron to neuron at the start. `seed` is two words of 32 bits.
"""
