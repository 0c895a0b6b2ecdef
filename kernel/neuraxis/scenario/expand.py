"""Groups of alike actors, and patterns of channels between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WIDTH_MIN: Final = 2


def members(name: str, count: int) -> tuple[str, ...]:
    """Return the paths of a group's members: `NAME/00`, `NAME/01`, …"""
    width = max(WIDTH_MIN, len(str(count - 1)))
    return tuple(f"{name}/{number:0{width}d}" for number in range(count))


@final
class PatternUnfit(Exception):
    """A pattern cannot join these ends: `got` is what they are, `expected` a sentence on what to write."""

    def __init__(self, got: str, expected: str) -> None:
        super().__init__(got, expected)
        self.got = got
        self.expected = expected


def pairs(source: str, target: str, pattern: str, groups: Mapping[str, tuple[str, ...]]) -> Iterable[tuple[str, str]]:
    """Return which member of one end sends to which member of the other.

    Args:
        source, target: Names of groups or single actors.
        pattern: `each` joins members of one number, `all` every one with every other one, `ring` each to
            the next; empty joins a single actor with another one, or with all of a group.
        groups: Members by name of group.

    Raises:
        PatternUnfit: The ends are not what the pattern needs, or it is not clear how to join two groups.
    """
    senders, receivers = groups.get(source, (source,)), groups.get(target, (target,))
    if pattern == "ring":
        if source not in groups or source != target:
            raise PatternUnfit("a ring over other than one group", "Write the same group in `from` and `to`.")
        return zip(senders, (*senders[1:], senders[0]), strict=True)
    if pattern == "each":
        if len(senders) != len(receivers):
            got = f"{len(senders)} senders and {len(receivers)} receivers"
            raise PatternUnfit(got, 'Give both groups the same count, or use pattern = "all".')
        return zip(senders, receivers, strict=True)
    if not pattern and source in groups and target in groups:
        expected = 'Write pattern = "each" (member to member), "all" (every one to every other) or "ring".'
        raise PatternUnfit("missing, but both ends are groups", expected)
    return ((one, other) for one in senders for other in receivers if one != other or source not in groups)
