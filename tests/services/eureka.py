"""A real Eureka server: Spring Cloud's, in a process of its own."""

from collections.abc import Sequence
from typing import ClassVar

from tests.services.java import JavaServer


class EurekaServer(JavaServer):
    """A Eureka that forgets everything when it ends. It is alone, and looks for lapsed leases every second."""

    name: ClassVar[str] = "eureka"
    project: ClassVar[str] = "eureka"
    main: ClassVar[str] = "eureka.Main"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/eureka"

    def options(self) -> Sequence[str]:
        settings = {
            "server.port": self.port,
            "server.address": "127.0.0.1",
            "spring.main.banner-mode": "off",
            "eureka.client.register-with-eureka": "false",
            "eureka.client.fetch-registry": "false",
            "eureka.server.enable-self-preservation": "false",
            "eureka.server.eviction-interval-timer-in-ms": 1000,
            "eureka.server.use-read-only-response-cache": "false",
            "eureka.server.wait-time-in-ms-when-sync-empty": 0,
        }
        small = ("-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        return [*small, *(f"-D{name}={value}" for name, value in settings.items())]
