"""Long waits: what takes long says what it does, and who shows progress shows it.

A plugin that makes its caller wait, as a compiler does, writes

    with waiting("machine code is being made"):
        …

and whoever shows progress has entered `shown_by`. Where nobody has, nothing happens. No result depends on it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Show = Callable[[str], AbstractContextManager[None]]

_SHOW: Final[ContextVar[Show | None]] = ContextVar("neuraxis_waiting", default=None)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say what goes on while the block runs.

    Args:
        what: A few words to go before the number of seconds: "machine code is being made".
    """
    show = _SHOW.get()
    if show is None:
        yield
    else:
        with show(what):
            yield


@contextmanager
def shown_by(show: Show) -> Iterator[None]:
    """Have the waits of this thread shown while the block runs.

    Args:
        show: Takes what goes on, and returns a context that is entered when a wait begins and left when it ends.
    """
    token = _SHOW.set(show)
    try:
        yield
    finally:
        _SHOW.reset(token)
