"""What lies between neurons in a NIR graph, as synapses.

Weights, scales, convolutions, pools and delays are linear maps of spikes. A chain of them is one set of synapses:
the product of its maps, with the sum of its delays. Products and sums are made in float64, in a stated order.

Determinism: exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SYNAPSES_MAX: Final = 2**24
"""Synapses that a chain of nodes may unroll to."""

Shape = tuple[int, ...]
Steps = Callable[[np.ndarray], np.ndarray]


class Unfit(Exception):
    """A node cannot be unrolled: reason, and remedy."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason, remedy)
        self.reason = reason
        self.remedy = remedy


@final
class Synapses(Struct, frozen=True, eq=False):
    """Synapses from the neurons of one node to the places of another, in order of (post, pre, delay).

    Attributes:
        pre, post: (n,) int64.
        weights: (n,) float64.
        delays: (n,) int64 steps.
    """

    pre: np.ndarray
    post: np.ndarray
    weights: np.ndarray
    delays: np.ndarray

    @classmethod
    def one_to_one(cls, size: int) -> Synapses:
        """Return what joins every neuron to the place of its own number, unchanged."""
        each = np.arange(size, dtype=np.int64)
        return cls(each, each, np.ones(size), np.zeros(size, np.int64))

    @property
    def distinct(self) -> np.ndarray:
        """(n,) bool: whether a synapse has other ends or another delay than the one before it."""
        same = [each[1:] == each[:-1] for each in (self.pre, self.post, self.delays)]
        return np.concatenate([np.ones(min(1, len(self.pre)), bool), ~(same[0] & same[1] & same[2])])

    def is_one_to_one(self, size: int) -> bool:
        """Return whether every one of `size` neurons is joined to the place of its own number, unchanged."""
        ends = np.array_equal(self.pre, self.post) and np.array_equal(self.pre, np.arange(size))
        return bool(ends and (self.weights == 1).all() and (self.delays == 0).all())

    def through(self, map: Map) -> Synapses:
        """Return these synapses, continued by a map."""
        begins = np.searchsorted(map.pre, self.post, "left")
        counts = np.searchsorted(map.pre, self.post, "right") - begins
        total = int(counts.sum())
        if total > SYNAPSES_MAX:
            raise Unfit(f"it unrolls to {total:,} synapses, more than {SYNAPSES_MAX:,}", "Use a smaller graph.")
        before = np.repeat(np.arange(len(self.pre)), counts)
        first = np.concatenate([[0], np.cumsum(counts)[:-1]]) if len(counts) else counts
        after = np.arange(total) - np.repeat(first, counts) + np.repeat(begins, counts)
        weights = self.weights[before] * map.weights[after]
        return summed(together([Synapses(self.pre[before], map.post[after], weights, self.delays[before])]))

    def later(self, delays: np.ndarray) -> Synapses:
        """Return these synapses with the delays of their places added."""
        return together([Synapses(self.pre, self.post, self.weights, self.delays + delays[self.post])])


def together(parts: Iterable[Synapses]) -> Synapses:
    """Return all synapses as one set."""
    every = list(parts)
    pre, post, weights, delays = (
        np.concatenate([getattr(each, name) for each in every]) for name in ("pre", "post", "weights", "delays")
    )
    order = np.lexsort((delays, pre, post))  # stable: those with the same ends and delay stay as they came
    return Synapses(pre[order], post[order], weights[order], delays[order])


def summed(synapses: Synapses) -> Synapses:
    """Return synapses of which those with the same ends and delay became one, with the sum of their weights.

    Those whose weight is then 0 are left out.
    """
    new = synapses.distinct
    sums = np.zeros(int(new.sum()))
    np.add.at(sums, np.cumsum(new) - 1, synapses.weights)
    kept = sums != 0
    return Synapses(synapses.pre[new][kept], synapses.post[new][kept], sums[kept], synapses.delays[new][kept])


@final
class Map(Struct, frozen=True, eq=False):
    """A linear map, in order of `pre`, with its shapes and what it adds.

    Attributes:
        pre, post: (n,) int64 places that it joins.
        weights: (n,) float64.
        takes, gives: Shapes.
        bias: (places,) float64, or None.
    """

    pre: np.ndarray
    post: np.ndarray
    weights: np.ndarray
    takes: Shape
    gives: Shape
    bias: np.ndarray | None = None

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return the map of a vector, added up in the order of `pre`."""
        found = np.zeros(size_of(self.gives))
        np.add.at(found, self.post, self.weights * values[self.pre])
        return found


def size_of(shape: Shape) -> int:
    """Return how many places a shape has."""
    size = 1
    for each in shape:
        size *= each
    return size


def matrix(weight: np.ndarray, takes: Shape, bias: np.ndarray | None) -> Map:
    """Return y = W x + b.

    Raises:
        Unfit: Shapes differ.
    """
    if weight.ndim != 2:
        raise Unfit(f"its weight has the shape {weight.shape}", "Use a matrix (outputs, inputs).")
    if takes != weight.shape[1:]:
        raise Unfit(f"it takes {weight.shape[1:]} and gets {takes}", "Correct the shapes, or add a Flatten.")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise Unfit(f"its bias has the shape {bias.shape}", f"Use {weight.shape[:1]}.")
    pre, post = np.nonzero(weight.T)
    return Map(pre, post, weight.T[pre, post], takes, weight.shape[:1], bias)


def scale(factor: np.ndarray, takes: Shape) -> Map:
    """Return y = s x, place by place.

    Raises:
        Unfit: Shapes differ.
    """
    if factor.shape not in ((), takes):
        raise Unfit(f"its scale has the shape {factor.shape} and it gets {takes}", "Correct the shapes.")
    each = np.arange(size_of(takes), dtype=np.int64)
    return Map(each, each, np.broadcast_to(factor, takes).reshape(-1).copy(), takes, takes)


def flatten(takes: Shape, first: int, last: int) -> Shape:
    """Return the shape after dimensions `first` … `last` became one.

    Raises:
        Unfit: There are no such dimensions.
    """
    begin, end = first % max(len(takes), 1), last % max(len(takes), 1)
    if not takes or not -len(takes) <= first < len(takes) or not -len(takes) <= last < len(takes) or begin > end:
        raise Unfit(f"it flattens dimensions {first} … {last} of {takes}", "Correct start_dim and end_dim.")
    return (*takes[:begin], size_of(takes[begin : end + 1]), *takes[end + 1 :])


@final
class Window(Struct, frozen=True):
    """How a convolution or pool moves over an image: (rows, columns) each.

    Attributes:
        stride, padding, dilation: Places; a padding of None keeps the size of the image (`same`).
    """

    stride: tuple[int, int]
    padding: tuple[int, int] | None
    dilation: tuple[int, int]

    def before(self, kernel: tuple[int, int]) -> tuple[int, int]:
        """Return the places that are padded before the image."""
        if self.padding is not None:
            return self.padding
        rows, columns = (d * (k - 1) // 2 for d, k in zip(self.dilation, kernel, strict=True))
        return rows, columns

    def sizes(self, image: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
        """Return the size of what comes out.

        Raises:
            Unfit: The kernel is larger than the image, or the stride is not 1 where the size is to be kept.
        """
        if self.padding is None:
            if self.stride != (1, 1):
                raise Unfit("it pads to the same size with a stride", "Write the padding in numbers.")
            return image
        rows, columns = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(image, self.padding, self.dilation, kernel, self.stride, strict=True)
        )
        if min(rows, columns) < 1:
            raise Unfit(f"its kernel {kernel} is larger than the image {image}", "Correct the shapes.")
        return rows, columns


def convolution(weight: np.ndarray, takes: Shape, window: Window, groups: int, bias: np.ndarray | None) -> Map:
    """Return a convolution (a cross-correlation, as everywhere in deep learning), unrolled.

    Args:
        weight: (channels out, channels in / groups, rows, columns).
        takes: (channels in, rows, columns).
        window: How it moves.
        groups: Groups of channels that do not mix.
        bias: (channels out,), or None.

    Raises:
        Unfit: Shapes differ, or there are too many synapses.
    """
    many, fewer, *kernel_sizes = weight.shape
    kernel = (kernel_sizes[0], kernel_sizes[1])
    if len(takes) != 3 or groups < 1 or many % groups or fewer * groups != takes[0]:
        reason = f"its weight has the shape {weight.shape} in {groups} groups, and it gets {takes}"
        raise Unfit(reason, "Correct the shapes.")
    if bias is not None and bias.shape != (many,):
        raise Unfit(f"its bias has the shape {bias.shape}", f"Use {(many,)}.")
    image = (takes[1], takes[2])
    sizes, before = window.sizes(image, kernel), window.before(kernel)
    if size_of((*weight.shape, *sizes)) > SYNAPSES_MAX:
        count = size_of((*weight.shape, *sizes))
        raise Unfit(f"it unrolls to {count:,} synapses, more than {SYNAPSES_MAX:,}", "Use a smaller image or kernel.")
    out, inner, row, column, y, x = (
        part.reshape(-1) for part in np.indices((many, fewer, *kernel, *sizes), dtype=np.int64)
    )
    from_row = y * window.stride[0] - before[0] + row * window.dilation[0]
    from_column = x * window.stride[1] - before[1] + column * window.dilation[1]
    channel = out // (many // groups) * fewer + inner
    values = weight[out, inner, row, column]
    inside = (from_row >= 0) & (from_row < image[0]) & (from_column >= 0) & (from_column < image[1]) & (values != 0)
    pre = ((channel * image[0] + from_row) * image[1] + from_column)[inside]
    post = ((out * sizes[0] + y) * sizes[1] + x)[inside]
    order = np.lexsort((post, pre))
    shared = np.repeat(bias, sizes[0] * sizes[1]) if bias is not None else None
    return Map(pre[order], post[order], values[inside][order], takes, (many, *sizes), shared)


def pool(kernel: tuple[int, int], takes: Shape, window: Window, factor: float) -> Map:
    """Return sums over windows, times a factor. Raises `Unfit` like `convolution`."""
    if len(takes) != 3:
        raise Unfit(f"it gets the shape {takes}", "Give it (channels, rows, columns).")
    return convolution(np.full((takes[0], 1, *kernel), factor), takes, window, takes[0], None)


def unrolled(kind: str, node: Mapping[str, Any], takes: Shape) -> Map:
    """Return the map of a node.

    Args:
        kind: Type of the node.
        node: Its attributes: float64 arrays, and texts.
        takes: Shape of what it gets.

    Raises:
        Unfit: Shapes differ, or a number is none that makes sense.
    """
    if kind in ("Linear", "Affine"):
        return matrix(node["weight"], takes, node.get("bias"))
    if kind == "Scale":
        return scale(node["scale"], takes)
    if kind == "Flatten":
        gives = flatten(takes, whole(node["start_dim"], "start_dim", -9), whole(node["end_dim"], "end_dim", -9))
        each = np.arange(size_of(takes), dtype=np.int64)
        return Map(each, each, np.ones(size_of(takes)), takes, gives)
    if kind in ("SumPool2d", "AvgPool2d"):
        kernel = pair(node["kernel_size"], "kernel_size", 1)
        window = Window(pair(node["stride"], "stride", 1), pair(node["padding"], "padding", 0), (1, 1))
        return pool(kernel, takes, window, 1.0 if kind == "SumPool2d" else 1.0 / (kernel[0] * kernel[1]))
    weight, flat = node["weight"], kind == "Conv1d"
    if weight.ndim != (3 if flat else 4):
        raise Unfit(f"its weight has the shape {weight.shape}", "Use (outputs, inputs, kernel sizes).")
    padding = node["padding"]
    names = {"valid": (0, 0), "same": None}
    if isinstance(padding, str) and padding not in names:
        raise Unfit(f"its padding is {padding[:20]!r}", "Use numbers, 'same' or 'valid'.")
    padded = names[padding] if isinstance(padding, str) else pair(padding, "padding", 0, flat=flat)
    stride, dilation = (pair(node[name], name, 1, flat=flat) for name in ("stride", "dilation"))
    window, groups = Window(stride, padded, dilation), whole(node["groups"], "groups", 1)
    if not flat:
        return convolution(weight, takes, window, groups, node["bias"])
    if len(takes) != 2:
        raise Unfit(f"it gets the shape {takes}", "Give it (channels, places).")
    found = convolution(weight[:, :, None, :], (takes[0], 1, takes[1]), window, groups, node["bias"])
    return Map(found.pre, found.post, found.weights, takes, (found.gives[0], found.gives[2]), found.bias)


def whole(value: Any, name: str, least: int) -> int:
    """Return a whole number. Raises `Unfit` if it is none, or below `least`."""
    value = np.asarray(value, dtype=np.float64)
    if value.size != 1 or value.reshape(-1)[0] != np.rint(value.reshape(-1)[0]):
        raise Unfit(f"its {name} is no whole number", "Correct it.")
    number = int(value.reshape(-1)[0])
    if not least <= number <= SYNAPSES_MAX:
        raise Unfit(f"its {name} is {number}", f"Use at least {least}.")
    return number


def pair(value: np.ndarray, name: str, least: int, *, flat: bool = False) -> tuple[int, int]:
    """Return a number of rows and of columns: one for both, or each. Raises `Unfit` like `whole`.

    Args:
        value: Numbers.
        name: For errors.
        least: Smallest number.
        flat: Whether there is one row only.
    """
    numbers = [whole(each, name, least) for each in value.reshape(-1)]
    if flat and len(numbers) == 1:
        return least, numbers[0]
    if flat or len(numbers) not in (1, 2):
        raise Unfit(f"its {name} has {len(numbers)} numbers", "Use one for each dimension.")
    return numbers[0], numbers[-1]
