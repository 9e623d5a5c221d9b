"""Consul, by its HTTP API for agents."""

import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote

import msgspec

from server.integrations.http_client import HttpClient, json_object, segment
from server.integrations.registry import APPLICATION, LEASE_SECONDS, Instance

REMOVED_AFTER = "1m"
"""Of being critical, that is without heartbeats. Consul takes no less."""

_OURS = quote(f'Service == "{APPLICATION}"')


class Consul:
    """A Registry: a service with a check that becomes critical when no heartbeat comes."""

    kind = "consul"

    def __init__(self, url: str, token: str | None) -> None:
        """``url`` of an agent: it should be the one of this machine, which checks and tells its address."""
        self._client = HttpClient(url, headers={} if token is None else {"X-Consul-Token": token})
        self.url = self._client.url

    async def register(self, instance: Instance) -> None:
        address = instance.address
        if address is None:
            found = await self._client.local_address(instance.family)
            # An agent on this machine knows under which address others see it.
            address = "" if ip_address(found).is_loopback else found
        body = msgspec.json.encode(_document(instance, address))
        await self._client.request("PUT", "/v1/agent/service/register?replace-existing-checks=true", body=body)

    async def beat(self, instance_id: str) -> bool:
        # Unknown is 404, and 500 in older versions; where 500 says something else, so will the answer to what follows.
        path = f"/v1/agent/check/pass/{segment(_check(instance_id))}"
        return (await self._client.request("PUT", path, accepted=(200, 404, 500))).status == 200

    async def deregister(self, instance_id: str) -> bool:
        path = f"/v1/agent/service/deregister/{segment(instance_id)}"
        return (await self._client.request("PUT", path, accepted=(200, 404))).status == 200

    async def look(self, instance_id: str) -> bool:
        answer = await self._client.request("GET", f"/v1/agent/services?filter={_OURS}")
        return instance_id in json_object(answer, "Consul agent")

    async def close(self) -> None:
        await self._client.close()


def _check(instance_id: str) -> str:
    return f"service:{instance_id}"


def _document(instance: Instance, address: str) -> dict[str, Any]:
    return {
        "ID": instance.id,
        "Name": APPLICATION,
        "Address": address,
        "Port": instance.port,
        "Meta": {re.sub(r"[^A-Za-z0-9_-]", "_", key): value for key, value in instance.metadata.items()},
        "Check": {
            "CheckID": _check(instance.id),
            "Name": "heartbeats of the replica",
            "TTL": f"{LEASE_SECONDS}s",
            "Status": "passing",
            "DeregisterCriticalServiceAfter": REMOVED_AFTER,
        },
    }
