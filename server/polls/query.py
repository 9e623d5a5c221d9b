"""Which service an HTTP poll asks for, read from the query string as Go's ``net/url`` reads it."""

import re
from urllib.parse import unquote_to_bytes

SERVICE_ONCE = "'service' parameter must be provided once"
"""Jaeger's own words; it sends them with a newline."""

_BAD_ESCAPE = re.compile(rb"%(?![0-9a-fA-F]{2})")


def service_names(query: bytes) -> list[str]:
    """Every value of ``service``. A pair with a semicolon or a broken escape does not count, as in Go.

    Bytes that are no UTF-8 become lone surrogates, which no configured name has.
    """
    names = []
    for pair in query.split(b"&"):
        if b";" in pair or _BAD_ESCAPE.search(pair):
            continue
        key, _, value = pair.replace(b"+", b" ").partition(b"=")
        if unquote_to_bytes(key) == b"service":
            names.append(unquote_to_bytes(value).decode(errors="surrogateescape"))
    return names
