"""JSON Web Tokens of this server: HS256, with a name, a role and an end.

Imported only where secrets are set: the library and what it needs are 18 MB.
"""

from collections.abc import Sequence

import msgspec
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError, UnsupportedAlgorithmError
from joserfc.jwk import OctKey

from server.sidecar.identity import Identity, Role, identity_of
from server.sidecar.refusal import Refusal

LEEWAY_SECONDS = 30
"""So far may the clocks of who signs and of this server differ: a token is taken that much before ``nbf`` and after ``exp``."""


class Claims(msgspec.Struct, frozen=True):
    """What a token must say; it may say more."""

    sub: str
    role: Role
    services: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class JsonWebTokens:
    """Finds the bearer of a JWT that is signed with any of the secrets."""

    algorithm = "HS256"
    """The only one, whatever a token says of itself."""

    def __init__(self, secrets: Sequence[str], issuer: str | None = None, audience: str | None = None) -> None:
        self._keys = [OctKey.import_key(secret.encode()) for secret in secrets]
        expected: dict[str, jwt.ClaimsOption] = {"exp": {"essential": True}}
        for claim, value in (("iss", issuer), ("aud", audience)):
            if value is not None:
                expected[claim] = {"essential": True, "value": value}
        self._registry = jwt.JWTClaimsRegistry(None, LEEWAY_SECONDS, **expected)

    def __len__(self) -> int:
        """How many secrets verify."""
        return len(self._keys)

    def bearer(self, token: str) -> Identity:
        """Whose token it is.

        Raises:
            Refusal: it is not signed by who knows a secret, not valid now, or its claims cannot be taken.
        """
        claims = self._verified(token)
        try:
            self._registry.validate(claims)
        except ExpiredTokenError:
            raise Refusal("expired", "the token has expired") from None
        except InvalidClaimError as error:
            if error.claim == "nbf" and not isinstance(claims["nbf"], bool) and isinstance(claims["nbf"], int | float):
                raise Refusal("not-yet-valid", "the token is not valid yet") from None
            raise Refusal("bad-claims", f"the claim {error.claim} of the token is not what this server takes") from None
        except JoseError as error:
            raise Refusal("bad-claims", f"the token lacks the claim {getattr(error, 'claim', '')}") from None
        try:
            said = msgspec.convert(claims, Claims)
            return identity_of(said.sub, said.role, None if said.services is msgspec.UNSET else said.services, "sub")
        except ValueError as error:
            raise Refusal("bad-claims", f"the claims of the token cannot be taken: {error}") from None

    def _verified(self, token: str) -> dict[str, object]:
        for key in self._keys:
            try:
                return jwt.decode(token, key, algorithms=[self.algorithm]).claims
            except UnsupportedAlgorithmError:
                raise Refusal("unknown-token", f"only JWTs signed with {self.algorithm} are taken") from None
            except Exception:  # noqa: BLE001, S112 - whatever a made-up token lets the library raise, it is not ours
                continue
        raise Refusal("unknown-token", "the token is not known")
