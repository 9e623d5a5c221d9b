"""Eureka, by its REST protocol."""

from time import time
from typing import Any

import msgspec

from server.integrations.http_client import HttpClient, Unusable, json_object, segment
from server.integrations.registry import APPLICATION, BEAT_SECONDS, HEALTH_PATH, HOME_PATH, LEASE_SECONDS, Instance, is_address

_APPLICATION = APPLICATION.upper()
_WRONG_PATH = "give the address with its path, like http://eureka:8761/eureka"


class Eureka:
    """A Registry. Who is not ready is taken out: Eureka would keep an instance UP that says ``OUT_OF_SERVICE``."""

    kind = "eureka"

    def __init__(self, url: str) -> None:
        """``url`` with the path under which ``/apps`` is, perhaps with user and password."""
        self._client = HttpClient(url, headers={"Accept": "application/json"})
        self.url = self._client.url

    async def register(self, instance: Instance) -> None:
        host = instance.address or await self._client.local_address(instance.family)
        number = host if is_address(host) else await self._client.local_address(instance.family)
        body = msgspec.json.encode({"instance": _document(instance, host, number)})
        await self._client.request("POST", f"/apps/{_APPLICATION}", body=body, accepted=(204,))

    async def beat(self, instance_id: str) -> bool:
        answer = await self._client.request("PUT", _path(instance_id), accepted=(200, 404))
        return answer.status == 200

    async def deregister(self, instance_id: str) -> bool:
        answer = await self._client.request("DELETE", _path(instance_id), accepted=(200, 404))
        return answer.status == 200

    async def look(self, instance_id: str) -> bool:
        answer = await self._client.request("GET", _path(instance_id), accepted=(200, 404))
        known = answer.status == 200
        if not known:  # So answers any server under a wrong path. Of a name that nobody has Eureka tells an empty list.
            answer = await self._client.request("GET", f"/vips/{APPLICATION}", accepted=(200, 404))
        if ("instance" if known else "applications") not in json_object(answer, "Eureka"):
            raise Unusable(f"{self.url} is no Eureka", _WRONG_PATH)
        return known

    async def close(self) -> None:
        await self._client.close()


def _path(instance_id: str) -> str:
    return f"/apps/{_APPLICATION}/{segment(instance_id)}"


def _document(instance: Instance, host: str, number: str) -> dict[str, Any]:
    in_url = f"[{host}]" if ":" in host else host
    origin = f"{'https' if instance.secure else 'http'}://{in_url}:{instance.port}"
    now = str(int(1000 * time()))
    return {
        "instanceId": instance.id,
        "app": _APPLICATION,
        "hostName": in_url,  # Clients put it before the port as it is.
        "ipAddr": number,
        "status": "UP",
        "port": {"$": instance.port, "@enabled": str(not instance.secure).lower()},
        "securePort": {"$": instance.port, "@enabled": str(instance.secure).lower()},
        "vipAddress": APPLICATION,
        "secureVipAddress": APPLICATION,
        "homePageUrl": origin + HOME_PATH,
        "statusPageUrl": origin + HEALTH_PATH,
        "secureHealthCheckUrl" if instance.secure else "healthCheckUrl": origin + HEALTH_PATH,
        "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
        "leaseInfo": {"renewalIntervalInSecs": BEAT_SECONDS, "durationInSecs": LEASE_SECONDS},
        "metadata": instance.metadata,
        # The older of two with one id is not taken: this is what makes a restart replace what it left.
        "lastDirtyTimestamp": now,
        "lastUpdatedTimestamp": now,
    }
