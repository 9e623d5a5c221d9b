"""Certificates of the servers that stores are reached at: their files are checked, their refusals explained."""

import ssl

from storage.regular_file import open_regular

_HOST_MISMATCH, _ADDRESS_MISMATCH, _EXPIRED, _NOT_YET_VALID = 62, 64, 10, 9
"""OpenSSL's numbers of what is wrong with a certificate."""


def check_authority(parameter: str, path: str) -> None:
    """Check the file of certificates that a server's is verified by.

    Raises:
        ValueError: it cannot be used; the message names the parameter of the address and the file.
    """
    _check_readable(parameter, path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise ValueError(f"{parameter}: {path} holds no certificate; name a PEM file") from None


def check_pair(parameters: tuple[str, str], certificate: str, key: str | None, password: str) -> None:
    """Check our own certificate and its key, which may be in one file.

    Raises:
        ValueError: they cannot be used; the message names the parameters of the address and the files.
    """
    _check_readable(parameters[0], certificate)
    if key is not None:
        _check_readable(parameters[1], key)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, lambda: password)
    except ssl.SSLError:
        raise ValueError(
            f"{parameters[0]}, {parameters[1]}: {certificate} and {key or certificate} are no certificate with its key; "
            "name PEM files that belong together, and the key's password if it has one"
        ) from None


def refusal(error: BaseException | None, authority: str) -> str | None:
    """What is wrong with a server's certificate, and the cure; None where something else than that went wrong.

    ``authority`` is the parameter of the address that names the file with the authority's certificate.
    """
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    if error is None:
        return None
    match error.verify_code:
        case code if code in {_HOST_MISMATCH, _ADDRESS_MISMATCH}:
            cure = "name the host in the address as its certificate does, or give the server a certificate with this name"
        case code if code in {_EXPIRED, _NOT_YET_VALID}:
            cure = "give the server a new certificate, and look at the clocks"
        case _:
            cure = f"{authority} in the address must name the file of the authority that signed it"
    return f"the server's certificate is refused: {error.verify_message.rstrip('.')}; {cure}"


def _check_readable(parameter: str, path: str) -> None:
    try:
        with open_regular(path) as file:
            file.read(1)
    except OSError as error:
        raise ValueError(f"{parameter}: cannot read {path}: {error.strerror}; name a file that this user may read") from None
