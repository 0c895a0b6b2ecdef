"""URLs of brokers: where, who, with which secret, over TLS or not. No secret is ever printed.

    scheme://[USER[:PASSWORD]@]HOST[:PORT][/PLACE][?ca=…&cert=…&key=…&password_file=…&token_file=…]

A secret is better not in the URL, where other users of the host see it: it comes from the file that the URL names,
or from the environment variable `NEURAXIS_TRANSPORT_PASSWORD` or `NEURAXIS_TRANSPORT_TOKEN`.
"""

from __future__ import annotations

import os
import ssl
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from msgspec import Struct

from neuraxis.errors import TransportUnusable, suggestion

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PASSWORD: Final = "NEURAXIS_TRANSPORT_PASSWORD"
TOKEN: Final = "NEURAXIS_TRANSPORT_TOKEN"

TLS_REMEDY: Final = "Name who signed its certificate with ?ca=…, and what it asks for with &cert=…&key=…."

_QUERY: Final = ("ca", "cert", "key", "password_file", "token_file")


@final
class Address(Struct, frozen=True, kw_only=True):
    """A broker.

    Attributes:
        shown: The URL as it may be printed.
        place: What stands behind the first `/` of the path.
        options: What the query says beside what every broker knows.
    """

    transport: str
    shown: str
    host: str
    port: int
    user: str | None
    password: str | None
    token: str | None
    tls: bool
    files: Mapping[str, str]
    place: str
    options: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    @property
    def remedy(self) -> str:
        """What to do when nobody answers there."""
        if self.tls:  # a server that misses the certificate of a client may just hang up
            return f"Start a server there, or correct host and port. {TLS_REMEDY}"
        return "Start a server there, or correct host, port and scheme (which is another one where it speaks TLS)."

    def tls_context(self) -> ssl.SSLContext | None:
        """Return how to speak TLS: certificates are always checked.

        Raises:
            TransportUnusable: A file that the URL names is missing, or is no certificate or key.
        """
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.files.get("ca"))
            if "cert" in self.files:
                context.load_cert_chain(self.files["cert"], self.files.get("key"))
        except (OSError, ssl.SSLError) as error:
            named = ", ".join(f"{key}={self.files[key]}" for key in ("ca", "cert", "key") if key in self.files)
            raise TransportUnusable(
                transport=self.transport,
                reason=f"the certificates cannot be used ({named}): {error}",
                remedy="Name PEM files in the URL: ?ca=…&cert=…&key=…",
            ) from error
        return context


def parse(
    url: str, *, transport: str, schemes: Mapping[str, bool], port: int, options: Collection[str] = ()
) -> Address:
    """Read a URL, and fetch the secrets that belong to it.

    Args:
        url: The URL.
        transport: Name of the transport, for errors.
        schemes: Scheme to whether it means TLS.
        port: The port if the URL names none.
        options: Keys of the query that this broker knows beside the common ones.

    Raises:
        TransportUnusable: The URL is none, or says what is not known, or a file of a secret cannot be read.
    """

    refuse = partial(TransportUnusable, transport=transport)

    form = f"Write {next(iter(schemes))}://HOST:PORT."
    try:
        split = urlsplit(url)
        named_port = split.port
    except ValueError as error:
        # the error of the library may show what stands in the URL, a password among it
        raise refuse(reason="the URL cannot be read", remedy=form) from error.with_traceback(None)
    if split.scheme not in schemes or not split.hostname or split.fragment:
        raise refuse(reason=f"{split.scheme}://… is no URL of a broker", remedy=form)
    query = dict(parse_qsl(split.query, keep_blank_values=True))
    for key in query:
        if key not in _QUERY and key not in options:
            known = suggestion(key, (*_QUERY, *options))
            raise refuse(reason=f"the URL says {key!r}, which is not known", remedy=known)
    tls = schemes[split.scheme]
    if not tls and {"ca", "cert", "key"} & query.keys():
        secure = next(scheme for scheme, encrypted in schemes.items() if encrypted)
        reason = "certificates are named, but the scheme is not encrypted"
        raise refuse(reason=reason, remedy=f"Write {secure}://… instead.")
    user = unquote(split.username) if split.username else None
    password = unquote(split.password) if split.password else None
    password = password or _secret(transport, query, "password_file", PASSWORD)
    token = None if user and password else _secret(transport, query, "token_file", TOKEN)
    host = f"[{split.hostname}]" if ":" in split.hostname else split.hostname
    # a user without a password may be a token, which is a secret
    who = f"{quote(user)}@" if user and password else ""
    said = f"?{urlencode(query, safe='/')}" if query else ""
    return Address(
        transport=transport,
        shown=f"{split.scheme}://{who}{host}:{named_port or port}{split.path}{said}",
        host=split.hostname,
        port=named_port or port,
        user=user,
        password=password,
        token=token,
        tls=tls,
        files={key: query[key] for key in ("ca", "cert", "key") if key in query},
        place=split.path.strip("/"),
        options={key: value for key, value in query.items() if key in options},
    )


def _secret(transport: str, query: Mapping[str, str], key: str, variable: str) -> str | None:
    """Return a secret from the file that the query names, or from the environment."""
    if key not in query:
        return os.environ.get(variable) or None
    try:
        return Path(query[key]).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        reason = f"the file {query[key]} cannot be read: {type(error).__name__}"
        raise TransportUnusable(transport=transport, reason=reason, remedy=f"Name another: {key}=…") from error
