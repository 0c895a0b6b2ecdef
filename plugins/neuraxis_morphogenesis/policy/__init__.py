"""The policy: sees the whole training after each epoch, and answers with one signed command.

actions        what can be done, and what is allowed now
risk           five signals, a level with hysteresis, conservative mode
graphs         what a policy sees, as a graph of arrays
reports        what came of a command, observed over some epochs
decider        actor: what all policies share
heuristics     actors: plateau and random, the controls
inference      the network as an effect, and its installation
updates        signatures and freshness of new weights
graph_policy   actor: the network decides
with_torch/    the network itself
"""
