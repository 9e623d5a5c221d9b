"""Is this process alive, is it ready for polls, and how are its parts: three questions, three answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from sampling.strategies_file import StrategiesFile
from server.address_file import AddressFile
from server.answers import Answers
from server.certificates import Certificate
from server.disk_space import DiskSpace
from server.follower import Follower
from server.integrations.dependency import Dependency
from server.redis_probe import RedisProbe
from server.served import Served
from server.strategies_file import StrategiesFileWatch
from storage.interface import Store

CLOCK_OFFSET_SECONDS = 1.0
"""A larger difference between the store's clock and ours is said: windows open and close by clocks."""


class Health:
    """Reads the state of the parts; asks none of them anything, so it costs the stores nothing."""

    def __init__(
        self,
        *,
        answers: Answers,
        served: Served,
        follower: Follower,
        store: Store,
        disk_space: DiskSpace,
        redis: RedisProbe | None,
        strategies_file: StrategiesFileWatch | None,
        certificates: Sequence[Certificate],
        address_files: Mapping[str, AddressFile],
        dependencies: Sequence[Dependency] = (),
    ) -> None:
        """``address_files`` by the component that is reached by them, ``db`` or ``redis``."""
        self._answers, self._served, self._follower, self._store = answers, served, follower, store
        self.disk_space, self._redis, self._strategies_file = disk_space, redis, strategies_file
        self.certificates = certificates
        self.address_files = address_files
        self.dependencies = dependencies
        self.stopping = False
        """Set at the first signal: readiness goes down, polls go on."""

    @property
    def ready(self) -> bool:
        return self._answers.ready and not self.stopping

    @property
    def database_up(self) -> bool:
        return self._follower.problem is None

    @property
    def redis_up(self) -> bool | None:
        """None where there is no Redis to use."""
        return None if self._redis is None else self._redis.up

    def report(self) -> dict[str, Any]:
        """All components, the three of the old service first. DOWN when ``db`` or ``diskSpace`` is; Redis down leaves it UP:
        losing it costs nothing.
        """
        components = {"db": self._database()}
        if self._redis is not None:
            components["redis"] = self._hot_copy(self._redis)
        components |= {"diskSpace": self._disk(), "catalog": self._catalog()}
        if self._strategies_file is not None:
            components["strategiesFile"] = self._file(self._strategies_file)
        if self.certificates:
            components["certificates"] = {
                "status": _status(all(one.problem is None and not one.expired for one in self.certificates)),
                "details": {one.use: one.report() for one in self.certificates},
            }
        components |= {one.name: one.report() for one in self.dependencies}
        up = all(components[name]["status"] == "UP" for name in ("db", "diskSpace"))
        return {"status": _status(up), "components": components}

    def _database(self) -> dict[str, Any]:
        details = {"database": self._store.name, "validationQuery": "isValid()", **_problem(self._follower.problem)}
        return {"status": _status(self.database_up), "details": {**details, **self._address_problem("db")}}

    def _address_problem(self, component: str) -> dict[str, str]:
        """What is wrong with the file of its address, of which the last good content stays in use."""
        file = self.address_files.get(component)
        return {"addressProblem": file.problem} if file is not None and file.problem is not None else {}

    def _hot_copy(self, redis: RedisProbe) -> dict[str, Any]:
        version = {} if redis.version is None else {"version": redis.version}
        details = {**version, **_problem(redis.problem), **self._address_problem("redis")}
        return {"status": _status(redis.up), "details": details}

    def _disk(self) -> dict[str, Any]:
        disk = self.disk_space
        room = {} if disk.room is None else {"total": disk.room.total, "free": disk.room.free}
        details = {**room, "threshold": disk.threshold, "exists": disk.exists, **_problem(disk.problem)}
        return {"status": _status(disk.up), "details": details}

    def _catalog(self) -> dict[str, Any]:
        follower, point = self._follower, self._served.point
        problems = self._served.catalog.problems
        details: dict[str, Any] = {
            "point": point and str(point),
            "revision": point and point.revision,
            "storeId": point and point.store_id,
            "stalenessSeconds": round(follower.staleness, 3),
        }
        if follower.store.foreign is not None:
            details["otherStoreId"] = follower.store.foreign.store_id
        if abs(follower.store.clock_offset) > CLOCK_OFFSET_SECONDS:
            details["clockOffsetSeconds"] = round(follower.store.clock_offset, 3)
        if problems:
            details["unreadableRecords"] = {f"{key.kind} {key.name}": text for key, text in list(problems.items())[:10]}
        return {"status": _status(self.ready), "details": details}

    def _file(self, watch: StrategiesFileWatch) -> dict[str, Any]:
        file: StrategiesFile = watch.current
        details = {"path": str(watch.path), "sha256": file.sha256, "services": len(file.services)}
        return {"status": _status(watch.problem is None), "details": {**details, **_problem(watch.problem)}}


def _status(up: bool) -> str:
    return "UP" if up else "DOWN"


def _problem(text: str | None) -> dict[str, str]:
    return {} if text is None else {"problem": text}
