"""Sparse codes: texts and embeddings as few active neurons of many, alike where what they stand for is alike.

Determinism: exact. Features of a text are hashed with a key of their own, never with Python's `hash`; embeddings are
projected in whole numbers. Texts are normalised by the Unicode tables of the Python that runs.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from itertools import pairwise
from typing import Final, NoReturn, final

import numpy as np
from msgspec import Struct

from neuraxis_snn.errors import EngineMisuse
from neuraxis_snn.functions import functions
from neuraxis_snn.noise import words_of

PLACES: Final = 4
"""Neurons for which every feature of a text is a candidate: 64 bytes of its hash."""

VECTOR_BITS: Final = 20
"""Bits to which the entries of an embedding are rounded, beside the largest one."""

CHANCE_IN: Final = 6
"""One entry of a projection in so many is not 0."""


@final
class TextCode(Struct, frozen=True):
    """Texts as sets of neurons: those that its words and its runs of letters are hashed to, the most telling ones.

    Every feature draws a number u from 0 to 1 for each of four neurons, from a keyed hash. -ln(u) / weight orders
    all candidates of a text, and the first `active` neurons are its code. So two texts share neurons as they share
    features: about the weighted overlap of both sets. A feature weighs

        count in the text * ln((2 + texts) / (1 + texts with the feature))

    which is the count alone, up to a factor, where no texts were counted.

    Attributes:
        size: Neurons.
        active: Neurons of a code, at most; a text of a few letters has fewer.
        grams: Lengths of runs of letters.
        texts, found_in: How many texts were counted, and in how many of them each feature occurs; see `counted`.
        key: Of the hash. Other keys give other neurons.

    Sources: keeping the smallest hashes keeps the overlap of sets: Broder, On the resemblance and containment of
    documents (SEQUENCES 1997); weights: Efraimidis & Spirakis, Inf. Process. Lett. 97 (2006), and tf-idf, Spärck
    Jones, J. Doc. 28 (1972).
    """

    size: int = 2048
    active: int = 40
    grams: tuple[int, ...] = (3, 4)
    texts: int = 0
    found_in: Mapping[str, int] = {}
    key: bytes = b"neuraxis text code"

    def __post_init__(self) -> None:
        """Refuse codes that do not fit, with `EngineMisuse`."""
        if not 0 < self.active <= self.size:
            _refuse("text code", f"{self.active} of {self.size} neurons", "Use 1 … size active neurons.")
        if not self.grams or min(self.grams) < 1:
            _refuse("text code", f"its runs of letters are {self.grams} long", "Use lengths from 1 on.")
        if not 0 < len(self.key) <= blake2b.MAX_KEY_SIZE:
            _refuse("text code", f"its key has {len(self.key)} bytes", f"Use 1 … {blake2b.MAX_KEY_SIZE} bytes.")

    def counted(self, texts: Iterable[str]) -> TextCode:
        """Return the same code with features that are rare in these texts weighing more."""
        found: Counter[str] = Counter()
        number = 0
        for text in texts:
            found.update(self.features(text).keys())
            number += 1
        return TextCode(self.size, self.active, self.grams, number, dict(sorted(found.items())), self.key)

    def features(self, text: str) -> dict[str, int]:
        """Return how often each word and each run of letters occurs in a text, in alphabetical order.

        Case, width and spaces are made alike. Runs begin and end at the edges of words, which count as spaces.
        """
        words = "".join(each if each.isalnum() else " " for each in unicodedata.normalize("NFKC", text).casefold())
        counts: Counter[str] = Counter()
        for word in words.split():
            counts[f"word:{word}"] += 1
            edged = f" {word} "
            for length in self.grams:
                counts.update(f"{length}:{edged[i : i + length]}" for i in range(len(edged) - length + 1))
        counts.update(f"pair:{first} {second}" for first, second in pairwise(words.split()))
        return dict(sorted(counts.items()))

    def weights(self, text: str) -> dict[str, float]:
        """Return how much each feature of a text weighs: count times inverse frequency."""
        log = functions("float64", "array")["log"]
        counts = self.features(text)
        rarity = [(2 + self.texts) / (1 + self.found_in.get(each, 0)) for each in counts]
        telling = np.asarray(log(np.array(rarity, np.float64)))
        return {each: count * float(more) for (each, count), more in zip(counts.items(), telling, strict=True)}

    def encode(self, text: str) -> np.ndarray:
        """Return the active neurons of a text: (at most `active`,) int32, ascending; empty for one without letters."""
        return np.sort(np.array(list(self._chosen(text)), np.int32))

    def rates(self, text: str, top: float = 100.0) -> np.ndarray:
        """Return the rate of every neuron: `top` times the weight of its feature beside the largest, 0 if silent.

        Args:
            text: The text.
            top: Rate of the heaviest feature's neurons, Hz.

        Returns:
            (size,) Hz, float64.

        Raises:
            EngineMisuse: The top is negative or not finite.
        """
        if not (np.isfinite(top) and top >= 0):
            _refuse("text code", f"the top is {top:g} Hz", "Use a finite rate from 0 on.")
        found = np.zeros(self.size)
        chosen = self._chosen(text)
        largest = max(chosen.values(), default=1.0)
        for neuron, weight in chosen.items():
            found[neuron] = top * weight / largest
        return found

    def _chosen(self, text: str) -> dict[int, float]:
        """Return the active neurons in the order in which they were chosen, each with the weight of its feature."""
        weights = self.weights(text)
        if not weights:
            return {}
        digests = b"".join(blake2b(each.encode(), digest_size=64, key=self.key).digest() for each in weights)
        pairs = np.frombuffer(digests, "<u8").reshape(-1, 2)  # of every candidate: a draw, and a neuron
        draws = ((pairs[:, 0] >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        neurons = (pairs[:, 1] % np.uint64(self.size)).astype(np.int64)
        of_each = np.repeat(np.array(list(weights.values())), PLACES)
        order = np.lexsort((neurons, -np.asarray(functions("float64", "array")["log"](draws)) / of_each))
        chosen: dict[int, float] = {}
        for candidate in order.tolist():
            chosen.setdefault(int(neurons[candidate]), float(of_each[candidate]))
            if len(chosen) == self.active:
                break
        return chosen


@final
class VectorCode:
    """Embeddings as sets of neurons: a random projection onto many neurons, of which those with the largest sums win.

    A sixth of the entries of the projection are +1 or -1, the others 0. Codes of two embeddings share the more
    neurons, the larger their cosine is; those of x and -x share none but by ties.

    Args:
        inputs: Length of the embeddings.
        size: Neurons.
        active: Neurons of a code.
        seed: Two words of 32 bits, from which the projection is drawn.

    Raises:
        EngineMisuse: A number is below 1, or more neurons are active than there are.

    Sources: winners of a sparse random projection: Dasgupta, Stevens & Navlakha, Science 358 (2017); its entries:
    Achlioptas, J. Comput. Syst. Sci. 66 (2003).
    """

    def __init__(self, inputs: int, size: int = 2048, active: int = 40, *, seed: tuple[int, int] = (0, 0)) -> None:
        """Draw the projection."""
        if inputs < 1 or not 0 < active <= size:
            _refuse("vector code", f"{active} of {size} neurons for {inputs} inputs", "Use 1 … size, and an input.")
        self.inputs, self.size, self.active = inputs, size, active
        drawn = words_of(seed, 0, inputs * size, 0) % np.uint32(2 * CHANCE_IN)
        self._projection = ((drawn == 0).astype(np.int64) - (drawn == 1)).reshape(inputs, size)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sum at every neuron, in 2**-20ths of the largest entry: (size,) int64.

        Args:
            values: (inputs,).

        Raises:
            EngineMisuse: The shape differs, or a value is not finite.
        """
        values = np.asarray(values, dtype=np.float64)
        if values.shape != (self.inputs,) or not np.isfinite(values).all():
            _refuse("vector code", f"values have the shape {values.shape}", f"Use {self.inputs} finite numbers.")
        largest = np.abs(values).max()
        whole = np.rint(values / (largest if largest > 0 else 1.0) * 2.0**VECTOR_BITS).astype(np.int64)
        return np.asarray(whole @ self._projection)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return the winners: (active,) int32, ascending; of equal sums the first neurons. Empty where all is 0.

        Args:
            values: (inputs,).

        Raises:
            EngineMisuse: The shape differs, or a value is not finite.
        """
        sums = self.sums(values)
        if not sums.any():
            return np.empty(0, np.int32)
        return np.sort(np.argsort(-sums, kind="stable")[: self.active]).astype(np.int32)


def _refuse(subject: str, reason: str, remedy: str) -> NoReturn:
    raise EngineMisuse(subject=subject, reason=reason, remedy=remedy)
