"""JWTs as somebody else would make them, good and bad."""

import base64
import json
import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey

SECRET = "the-first-secret-of-the-tests-0123456789"
OTHER_SECRET = "another-secret-of-the-tests-0123456789"
HOUR = 3600


def claims(**others: Any) -> dict[str, Any]:
    """What a good token of an editor says, with some of it changed; None leaves a claim out."""
    said = {"sub": "deployer", "role": "editor", "exp": int(time.time()) + HOUR, **others}
    return {claim: value for claim, value in said.items() if value is not None}


def sign(said: dict[str, Any], secret: str = SECRET, algorithm: str = "HS256") -> str:
    """Signed as the header says."""
    return jwt.encode({"alg": algorithm}, said, OctKey.import_key(secret.encode()), algorithms=[algorithm])


def forged(header: Any, said: dict[str, Any], signed: str = "") -> str:
    """Any header before the claims, with the signature of another token."""
    parts = (json.dumps(header).encode(), json.dumps(said).encode())
    first = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
    return f"{first}.{signed.rpartition('.')[2]}"
