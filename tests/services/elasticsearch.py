"""A real Elasticsearch node, alone, from the project `elasticsearch` of the tests."""

import os
import shutil
import zipfile
from pathlib import Path
from typing import ClassVar

from tests.services.opensearch import OpenSearchServer

PLUGIN = "transport-netty4"
"""What speaks HTTP. Elasticsearch takes plugins from folders only, never from its class path."""


class ElasticsearchServer(OpenSearchServer):
    """Its core as far as Maven Central has it: without data streams, and without an answer at the path ``/``."""

    name: ClassVar[str] = "elasticsearch"
    project: ClassVar[str] = "elasticsearch"

    def command(self) -> list[str]:
        """It wants to be modules; only our own class is on the class path."""
        jars = [Path(jar) for jar in self._classpath.split(os.pathsep)]
        own = [jar for jar in jars if jar.name == f"{self.project}-1.jar"]
        plugin = [jar for jar in jars if jar.name.startswith(("netty-", PLUGIN))]
        self._install(plugin)
        modules = os.pathsep.join(str(jar) for jar in jars if jar not in (*own, *plugin))
        path = ["-p", modules, "--add-modules", "ALL-MODULE-PATH", "-cp", str(own[0])]
        return [str(self._java), *self.options(), *path, self.main, *self.arguments()]

    def _install(self, jars: list[Path]) -> None:
        folder = self.folder / "node" / "modules" / PLUGIN
        if folder.is_dir():
            return
        folder.mkdir(parents=True)
        for jar in jars:
            shutil.copy(jar, folder)
            if jar.name.startswith(PLUGIN):
                with zipfile.ZipFile(jar) as archive:
                    (folder / "plugin-descriptor.properties").write_bytes(
                        archive.read(f"META-INF/es-plugins/{PLUGIN}/plugin-descriptor.properties")
                    )
