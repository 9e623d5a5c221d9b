"""Where a request comes from, for the log: what proxies tell of it is believed as far as the settings say."""

from ipaddress import ip_address

from aiohttp import web


def client_address(request: web.Request, trusted_proxies: int) -> str | None:
    """The address of the client.

    Each trusted proxy adds the address of who connected to it at the right of ``X-Forwarded-For``, so theirs are counted from
    there; what is further left was sent by the client, and says nothing. Where there are fewer, the request did not come
    through all of them, and only the address of the connection is certain.
    """
    if trusted_proxies:
        added = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        if len(added) >= trusted_proxies and (address := _address(added[-trusted_proxies].strip())):
            return address
    return request.remote


def _address(text: str) -> str | None:
    """An address without the port that some proxies add; None for what is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0] if "]" in text else text
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text.partition("%")[0]))  # The zone of an address is any text, and means nothing elsewhere.
    except ValueError:
        return None
