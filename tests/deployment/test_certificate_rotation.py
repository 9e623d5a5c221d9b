"""New certificates under polls that must not notice."""

import asyncio
from pathlib import Path
from time import monotonic

import pytest

from tests.deployment.poll_load import PollLoad
from tests.e2e.certificates import Authority, MountedSecret, shown_serial
from tests.e2e.replica import Replica
from tests.waiting import eventually

SHOWN_SECONDS = 5.0
"""After its files changed, a new handshake shows the certificate within this time."""


@pytest.mark.parametrize("poll_server", ["h2corn", "grpcio"])
async def test_a_new_certificate_is_shown_within_5_s_and_no_poll_fails(tmp_path: Path, poll_server: str) -> None:
    authority, secret = Authority(tmp_path / "authority"), MountedSecret(tmp_path / "certs")
    new = secret.hold(authority)
    tls = {
        f"TRACING_CONFIG_{kind}_TLS_{part}": str(path)
        for kind in ("POLL", "SIDECAR")
        for part, path in (("CERT", secret.cert), ("KEY", secret.key))
    }
    replica = Replica(tmp_path / "data", TRACING_CONFIG_POLL_SERVER=poll_server, **tls).trusted(authority.context())
    with await asyncio.to_thread(replica.start):
        assert replica.put_rate("shop", 0.25).status_code == 200
        addresses = [
            replica.grpc_address,
            replica.http_url.removeprefix("https://"),
            replica.sidecar_url.removeprefix("https://"),
            replica.metrics_url.removeprefix("https://"),
        ]
        shown = [await asyncio.to_thread(shown_serial, address) for address in addresses]
        assert shown == [new.serial] * len(addresses)

        def check(_service: str, rate: float, _asked: float) -> str | None:
            return None if rate == 0.25 else f"answered {rate}"

        async with PollLoad(addresses[0], addresses[1], ["shop"], check, authority) as load:
            for _ in range(3):
                new = secret.hold(authority)
                changed = monotonic()
                for address in addresses:
                    await eventually(
                        lambda address=address, new=new: shown_serial(address) == new.serial,  # type: ignore[misc]
                        SHOWN_SECONDS,
                    )
                print(f"shown on {len(addresses)} ports after {monotonic() - changed:.2f} s")
                before = load.count
                await eventually(lambda before=before: load.count > before + 200)  # type: ignore[misc]
        print(load.report())
        assert load.failures == []
        assert load.in_time
        assert load.cancelled == 0
        assert load.per_second > 150
        assert replica.health()["components"]["certificates"]["details"]["polls"]["serial"] == f"{new.serial:X}"
