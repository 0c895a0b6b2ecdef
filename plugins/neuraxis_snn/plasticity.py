"""The built-in rules of plasticity, as data; see `rule` for how they are read.

Traces of the sending neuron are named for what they do to the weight when the receiving one spikes, and the other
way round. Weights, and what is added to them, have the unit of the input at which the synapses end.

Determinism: exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.models import Constants, Value
from neuraxis_snn.numbers import DIGITS, decay, ratio
from neuraxis_snn.rule import TRACE_FLOOR, Rule, RuleProgram

__all__ = [
    "BCPNN",
    "INHIBITORY_STDP",
    "NEAREST_STDP",
    "PAIR_STDP",
    "REWARD_STDP",
    "RULES",
    "TRACE_FLOOR",
    "TRIPLETS",
    "TRIPLET_FULL",
    "TRIPLET_NEAREST",
    "TRIPLET_STDP",
    "WEIGHTED_STDP",
    "Rule",
    "RuleProgram",
]


def _decays(**taus: str) -> Constants:
    """Return constants that decay traces: name of the constant to parameter with the time constant."""
    return lambda p, dt: {name: decay(dt, p[tau]) for name, tau in taus.items()}


PAIR_STDP: Final = Rule(
    name="pair_stdp",
    parameters={
        "tau_pre": Value("20 ms", "ms", "time constant of the arriving spike's trace"),
        "tau_post": Value("20 ms", "ms", "time constant of the outgoing spike's trace"),
        "gain_pre": Value(0.01, None, "what an arriving spike adds to its trace: potentiation, for spikes that follow"),
        "gain_post": Value(-0.0105, None, "what an outgoing spike adds to its trace: depression, when negative"),
    },
    pre_traces={"pre": "decay_pre"},
    post_traces={"post": "decay_post"},
    on_pre="w = w + post",
    on_post="w = w + pre",
    bump_pre="pre = pre + gain_pre",
    bump_post="post = post + gain_post",
    constants=_decays(decay_pre="tau_pre", decay_post="tau_post"),
    source="Additive, all pairs of spikes: Song, Miller & Abbott, Nat. Neurosci. 3 (2000).",
)

TRIPLET_STDP: Final = Rule(
    name="triplet_stdp",
    parameters={
        "tau_pre": Value("20 ms", "ms", "time constant of the arriving spike's trace"),
        "tau_post": Value("20 ms", "ms", "time constant of the outgoing spike's fast trace"),
        "tau_slow": Value("40 ms", "ms", "time constant of the outgoing spike's slow trace"),
        "rate_pre": Value(1e-4, None, "how much an arriving spike weakens"),
        "rate_post": Value(1e-2, None, "how much an outgoing spike strengthens"),
    },
    pre_traces={"pre": "decay_pre"},
    post_traces={"fast": "decay_fast", "slow": "decay_slow"},
    on_pre="w = w - rate_pre * fast",
    on_post="w = w + rate_post * (pre * slow)",
    bump_pre="pre = 1",
    bump_post="""
        fast = 1
        slow = 1
    """,
    constants=_decays(decay_pre="tau_pre", decay_fast="tau_post", decay_slow="tau_slow"),
    source="Nearest spikes, as in Diehl & Cook, Front. Comput. Neurosci. 9:99 (2015); after Pfister & Gerstner, "
    "J. Neurosci. 26 (2006).",
)


def _pairs(name: str, bump: str, source: str) -> Rule:
    """Return a pair rule whose weight dependence lies between additive (mu = 0) and multiplicative (mu = 1)."""

    def constants(p: Mapping[str, Decimal], dt: Decimal) -> Mapping[str, Decimal]:
        return {
            "decay_pre": decay(dt, p["tau_pre"]),
            "decay_post": decay(dt, p["tau_post"]),
            "fixed": 1 - p["mu"],
            "slope": DIGITS.divide(p["mu"], p["w_max"] - p["w_min"]),
        }

    return Rule(
        name=name,
        parameters={**PAIR_STDP.parameters, "mu": Value(1.0, None, "share of the change that follows the weight")},
        pre_traces={"pre": "decay_pre"},
        post_traces={"post": "decay_post"},
        on_pre="w = w + post * (fixed + slope * (w - w_min))",
        on_post="w = w + pre * (fixed + slope * (w_max - w))",
        bump_pre=f"pre = {bump.format('pre')}",
        bump_post=f"post = {bump.format('post')}",
        constants=constants,
        source=source,
    )


WEIGHTED_STDP: Final = _pairs(
    "weighted_stdp",
    "{0} + gain_{0}",
    "All pairs. Potentiation goes with the distance to w_max, depression with that to w_min: mu = 0 is additive, "
    "mu = 1 multiplicative as in Rubin, Lee & Sompolinsky, Phys. Rev. Lett. 86 (2001). Between, it is their mixture "
    "(1 - mu) + mu * x, not the power x**mu of Guetig et al., J. Neurosci. 23 (2003): rules know no powers.",
)

NEAREST_STDP: Final = _pairs(
    "nearest_stdp",
    "gain_{0}",
    "Like weighted_stdp, but each spike is paired only with the newest one of the other side, in both directions: "
    "symmetric nearest-neighbour pairing of Morrison, Diesmann & Gerstner, Biol. Cybern. 98 (2008).",
)


def _triplets(name: str, bump: str, a: Mapping[str, float], taus: Mapping[str, str], source: str) -> Rule:
    return Rule(
        name=name,
        parameters={
            "tau_plus": Value("16.8 ms", "ms", "time constant of r1, the fast trace of arriving spikes"),
            "tau_x": Value(taus["tau_x"], "ms", "time constant of r2, the slow trace of arriving spikes"),
            "tau_minus": Value("33.7 ms", "ms", "time constant of o1, the fast trace of outgoing spikes"),
            "tau_y": Value(taus["tau_y"], "ms", "time constant of o2, the slow trace of outgoing spikes"),
            "a2_plus": Value(a["a2_plus"], None, "potentiation by pairs"),
            "a3_plus": Value(a["a3_plus"], None, "potentiation by triplets post-pre-post"),
            "a2_minus": Value(a["a2_minus"], None, "depression by pairs"),
            "a3_minus": Value(a["a3_minus"], None, "depression by triplets pre-post-pre"),
        },
        pre_traces={"r1": "decay_r1", "r2": "decay_r2"},
        post_traces={"o1": "decay_o1", "o2": "decay_o2"},
        on_pre="w = w - o1 * (a2_minus + a3_minus * r2)",
        on_post="w = w + r1 * (a2_plus + a3_plus * o2)",
        bump_pre=bump.format("r1", "r2"),
        bump_post=bump.format("o1", "o2"),
        constants=_decays(decay_r1="tau_plus", decay_r2="tau_x", decay_o1="tau_minus", decay_o2="tau_y"),
        source=source,
    )


TRIPLETS: Final[Mapping[str, Mapping[str, float | str]]] = {
    "all_full": {
        "a2_plus": 5e-10, "a3_plus": 6.2e-3, "a2_minus": 7e-3, "a3_minus": 2.3e-4, "tau_x": "101 ms", "tau_y": "125 ms"
    },
    "all_minimal": {"a2_plus": 0.0, "a3_plus": 6.5e-3, "a2_minus": 7.1e-3, "a3_minus": 0.0, "tau_y": "114 ms"},
    "nearest_full": {
        "a2_plus": 8.8e-11, "a3_plus": 5.3e-2, "a2_minus": 6.6e-3, "a3_minus": 3.1e-3,
        "tau_x": "714 ms", "tau_y": "40 ms",
    },
    "nearest_minimal": {"a2_plus": 0.0, "a3_plus": 5e-2, "a2_minus": 8e-3, "a3_minus": 0.0, "tau_y": "40 ms"},
}  # fmt: skip
"""Parameters fitted to visual cortex, by set: `all_*` for `TRIPLET_FULL`, `nearest_*` for `TRIPLET_NEAREST`.

Source: Pfister & Gerstner, J. Neurosci. 26 (2006). Minimal sets do not use r2, so they give no tau_x.
"""

_PFISTER: Final = (
    "The triplet rule of Pfister & Gerstner, J. Neurosci. 26 (2006): r2 and o2 are read as they were before the spike. "
)

TRIPLET_FULL: Final = _triplets(
    "triplet_full",
    "{0} = {0} + 1\n{1} = {1} + 1",
    {"a2_plus": 5e-10, "a3_plus": 6.2e-3, "a2_minus": 7e-3, "a3_minus": 2.3e-4},
    {"tau_x": "101 ms", "tau_y": "125 ms"},
    _PFISTER + "All spikes interact; the defaults are the full set for visual cortex.",
)

TRIPLET_NEAREST: Final = _triplets(
    "triplet_nearest",
    "{0} = 1\n{1} = 1",
    {"a2_plus": 8.8e-11, "a3_plus": 5.3e-2, "a2_minus": 6.6e-3, "a3_minus": 3.1e-3},
    {"tau_x": "714 ms", "tau_y": "40 ms"},
    _PFISTER + "Only the newest spikes interact; the defaults are the full set for visual cortex.",
)


def _inhibitory(p: Mapping[str, Decimal], dt: Decimal) -> Mapping[str, Decimal]:
    both = 2 * DIGITS.multiply(p["rate"], p["tau"]) / 1000  # Hz times ms
    return {"decay_trace": decay(dt, p["tau"]), "alpha": both}


INHIBITORY_STDP: Final = Rule(
    name="inhibitory_stdp",
    parameters={
        "tau": Value("20 ms", "ms", "time constant of both traces"),
        "rate": Value("3 Hz", "Hz", "rate at which the receiving neuron is held"),
        "eta": Value(0.01, None, "learning rate: what a pair of spikes at once adds to the weight"),
    },
    pre_traces={"pre": "decay_trace"},
    post_traces={"post": "decay_trace"},
    on_pre="w = w + eta * (post - alpha)",
    on_post="w = w + eta * pre",
    bump_pre="pre = pre + 1",
    bump_post="post = post + 1",
    constants=_inhibitory,
    source="Inhibitory plasticity of Vogels et al., Science 334 (2011): alpha = 2 * rate * tau. Where inhibition is a "
    "negative weight, use w_max = 0 and a negative eta.",
)


def _rewarded(p: Mapping[str, Decimal], dt: Decimal) -> Mapping[str, Decimal]:
    both = p["tau_c"] + p["tau_d"]
    return {
        "decay_pre": decay(dt, p["tau_pre"]),
        "decay_post": decay(dt, p["tau_post"]),
        "decay_d": decay(dt, p["tau_d"]),
        "rate_c": ratio(-dt, p["tau_c"]),
        "rate_both": DIGITS.divide(DIGITS.multiply(-dt, both), DIGITS.multiply(p["tau_c"], p["tau_d"])),
        "span": ratio(p["tau_c"], both),
    }


REWARD_STDP: Final = Rule(
    name="reward_stdp",
    parameters={
        **PAIR_STDP.parameters,
        "tau_c": Value("1 s", "ms", "time constant of eligibility"),
        "tau_d": Value("200 ms", "ms", "time constant of dopamine"),
    },
    pre_traces={"pre": "decay_pre"},
    post_traces={"post": "decay_post"},
    signals={"d": "decay_d"},
    synapse_traces={"c": 0.0, "push": 0.0},
    evolve="""
        w = w + push * (span - span * exp(since * rate_both))
        c = c * exp(since * rate_c)
        push = c * d
    """,
    on_pre="""
        c = c + post
        push = c * d
    """,
    on_post="""
        c = c + pre
        push = c * d
    """,
    on_reward="push = c * d",
    bump_pre="pre = pre + gain_pre",
    bump_post="post = post + gain_post",
    constants=_rewarded,
    source="Pairs change an eligibility c, and dopamine d turns it into weight: dw/dt = c d / tau_d, so a reward of "
    "1 makes w grow by c * tau_c / (tau_c + tau_d) in the end. Izhikevich, Cereb. Cortex 17 (2007). Between events "
    "c and d decay exponentially, so the integral is exact.",
)


def _bayes(p: Mapping[str, Decimal], dt: Decimal) -> Mapping[str, Decimal]:
    z, e, slow = p["tau_z"], p["tau_e"], p["tau_p"]
    if len({z, z / 2, e, slow}) < 4:
        raise NetworkInvalid(
            subject="rule bcpnn",
            reason=f"tau_z is {z} ms, tau_e {e} ms, tau_p {slow} ms",
            remedy="Use three different times, and a tau_e and tau_p that are not half of tau_z.",
        )
    if p["rate_max"] <= 0 or p["eps"] <= 0:
        reason = f"rate_max is {p['rate_max']} Hz, eps is {p['eps']}"
        raise NetworkInvalid(subject="rule bcpnn", reason=reason, remedy="Use numbers above 0 for rate_max and eps.")

    def share(fast: Decimal, other: Decimal) -> Decimal:
        return DIGITS.divide(fast, fast - other)

    fall_z, fall_e, fall_p = (decay(dt, tau) for tau in (z, e, slow))
    numbers = {"decay_z": fall_z, "decay_e": fall_e, "decay_p": fall_p}
    numbers["e_from_z"] = share(z, e) * (fall_z - fall_e)
    numbers["p_from_e"] = share(e, slow) * (fall_e - fall_p)
    numbers["p_from_z"] = share(z, e) * (share(z, slow) * (fall_z - fall_p) - numbers["p_from_e"])
    numbers |= {"rate_q": ratio(-dt * 2, z), "rate_e": ratio(-dt, e), "rate_p": ratio(-dt, slow)}
    numbers |= {"share_q": share(z / 2, e), "share_e": share(e, slow), "share_qp": share(z / 2, slow)}
    return {**numbers, "add": DIGITS.divide(Decimal(1000), p["rate_max"] * z), "eps_two": p["eps"] * p["eps"]}


def _drift(z: str, e: str, slow: str) -> str:
    return f"""
        {slow} = {slow} * decay_p + ({e} * p_from_e + {z} * p_from_z)
        {e} = {e} * decay_e + {z} * e_from_z
        {z} = {z} * decay_z
    """


BCPNN: Final = Rule(
    name="bcpnn",
    parameters={
        "w_min": Value(-10.0, None, "smallest weight"),
        "w_max": Value(10.0, None, "largest weight"),
        "gain": Value(1.0, None, "weight of a logarithm of 1"),
        "tau_z": Value("5 ms", "ms", "time constant of z, the traces of spikes"),
        "tau_e": Value("100 ms", "ms", "time constant of e, the traces of eligibility"),
        "tau_p": Value("5 s", "ms", "time constant of p, the probabilities"),
        "rate_max": Value("50 Hz", "Hz", "rate that counts as a probability of 1"),
        "eps": Value(0.001, None, "what every neuron's z and p have on top: activity that never ceases"),
    },
    pre_traces={"zi": "", "ei": "", "pi": ""},
    post_traces={"zj": "", "ej": "", "pj": ""},
    synapse_traces={"q": 0.0, "e": 0.0, "p": 0.0},
    drift_pre=_drift("zi", "ei", "pi"),
    drift_post=_drift("zj", "ej", "pj"),
    evolve="""
        fall_q = exp(since * rate_q)
        fall_e = exp(since * rate_e)
        fall_p = exp(since * rate_p)
        given = share_q * q
        p = p * fall_p + ((e - given) * (share_e * (fall_e - fall_p)) + given * (share_qp * (fall_q - fall_p)))
        e = e * fall_e + given * (fall_q - fall_e)
        q = q * fall_q
        w = gain * log((p + (eps * (pi + pj) + eps_two)) / ((pi + eps) * (pj + eps)))
    """,
    on_pre="q = (zi + add) * zj",
    on_post="q = zi * (zj + add)",
    bump_pre="zi = zi + add",
    bump_post="zj = zj + add",
    constants=_bayes,
    source="Bayesian confidence propagation: w = gain * ln(p_ij / (p_i p_j)), with chains of traces z, e, p of both "
    "neurons and of their product. Tully, Hennig & Lansner, Front. Synaptic Neurosci. 6:8 (2014). Between events "
    "all traces have closed forms, which are used. They are kept without eps, so the product's is p + eps (pi + pj) + "
    "eps**2. The bias ln p_j is left to the model: `Engine.trace` gives pj.",
)

RULES: Final = {
    each.name: each
    for each in (
        PAIR_STDP,
        WEIGHTED_STDP,
        NEAREST_STDP,
        TRIPLET_STDP,
        TRIPLET_FULL,
        TRIPLET_NEAREST,
        INHIBITORY_STDP,
        REWARD_STDP,
        BCPNN,
    )
}
"""The built-in rules by name."""
