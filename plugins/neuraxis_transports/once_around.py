"""A frame sent once around: the last thing that a transport does before it is trusted with a run."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from neuraxis.errors import TransportFailed, TransportUnusable

if TYPE_CHECKING:
    from neuraxis.seams.transport import Transport

REPLY_S: Final = 5.0


def send_once_around(transport: Transport) -> None:
    """Send a frame through a run of its own, and remove the run.

    Raises:
        TransportUnusable: It did not come back, or the other side lets this user not do all of it.
    """
    run = f"check-{uuid.uuid4().hex}"
    transport.create(run)
    try:
        link = transport.join(run, 0)
        try:
            link.send(0, [b"there"])
            if link.receive(REPLY_S) != b"there":
                raise TransportUnusable(
                    transport=transport.name,
                    reason=f"a frame that was sent to {transport.url} did not come back",
                    remedy="See the server's log.",
                )
        finally:
            link.close()
    except TransportFailed as error:
        raise TransportUnusable(transport=transport.name, reason=error.reason, remedy=error.remedy) from error
    finally:
        transport.remove(run)
