"""The Dockerfile agrees with the program: settings, ports, user, package, health check."""

import os
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from server.cli.health import SECONDS
from server.settings import PREFIX, Settings, read_settings
from tests.deploy.dockerfile import ROOT, context, environment, instructions, of_image

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
STEPS = sorted((ROOT / "deploy" / "image").iterdir())


def test_every_step_is_a_script_of_the_image_folder() -> None:
    steps = [one for one in instructions() if one.name == "RUN"]
    assert {Path(one.words[0]).name for one in steps} == {step.name for step in STEPS}
    for one in steps:
        assert not set("&|;<>$`") & set(one.text), one.text


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_is_a_posix_script_that_stops_at_its_first_failure(step: Path) -> None:
    assert os.access(step, os.X_OK)
    lines = step.read_text().splitlines()
    assert lines[0] == "#!/bin/sh"
    assert next(line for line in lines if not line.startswith("#")) == "set -eu"


def test_all_stages_use_the_python_that_the_builder_names_and_none_a_digest() -> None:
    found = instructions()
    assert [one.words for one in found if one.name == "ARG"] == [["PYTHON_IMAGE=python:3.13-slim"], ["PIP_INDEX_URL"]]
    assert {one.words[0] for one in found if one.name == "FROM"} == {"${PYTHON_IMAGE}"}


def test_a_change_of_the_source_leaves_the_installed_packages_as_they_are() -> None:
    found = instructions()
    packages = next(place for place, one in enumerate(found) if one.name == "RUN")
    copied = [word for one in found[:packages] if one.name == "COPY" for word in one.words[:-1]]
    assert copied == ["requirements/s3.txt", "deploy/image/install-packages"]


def test_the_builder_gets_the_program_and_nothing_else() -> None:
    found = set(context())
    packages = {pattern.rstrip("*") for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert {name.split("/")[0] for name in found} == packages | {"LICENSE", "deploy", "pyproject.toml", "requirements"}
    assert {name for name in found if name.startswith("deploy/")} == {f"deploy/image/{step.name}" for step in STEPS}
    # The pins of the tests change often, and would have the packages installed anew.
    assert {name for name in found if name.startswith("requirements/")} == {"requirements/build.txt", "requirements/s3.txt"}
    assert not [name for name in found if name.endswith(".pyc")]
    for one in instructions():
        if one.name == "COPY" and "from" not in one.flags and one.words != [".", "."]:
            assert [word for word in one.words[:-1] if word not in found] == []


def test_the_pins_of_the_image_are_those_that_everything_else_is_tested_with() -> None:
    pinned = {
        name: set(re.findall(r"^\S+==\S+", (ROOT / "requirements" / name).read_text(), re.MULTILINE))
        for name in ("runtime.txt", "s3.txt", "dev.txt")
    }
    assert pinned["runtime.txt"] < pinned["s3.txt"] < pinned["dev.txt"]


def test_the_image_sets_only_settings_that_exist_to_values_they_can_have() -> None:
    given = {name: value for name, value in environment().items() if name.startswith(PREFIX)}
    settings = read_settings(given)
    assert {source.variable for source in settings.sources.values()} == set(given)
    assert (settings.host, settings.drain_seconds, settings.data_dir) == ("0.0.0.0", 5, Path("/app/data"))
    assert settings == msgspec.structs.replace(
        Settings(), host="0.0.0.0", drain_seconds=5.0, data_dir=Path("/app/data"), sources=settings.sources
    )


def test_the_ports_are_the_defaults() -> None:
    (exposed,) = of_image("EXPOSE")
    defaults = Settings()
    ports = [*defaults.grpc_ports, *defaults.http_ports, defaults.sidecar_port, defaults.metrics_port]
    assert [int(word) for word in exposed.words] == ports


def test_the_user_is_a_number_and_the_owner_of_what_it_may_write() -> None:
    (user,) = of_image("USER")
    (folders,) = of_image("RUN")
    assert user.words == ["65532:65532"]
    assert folders.words[1:] == ["/", "65532"]
    assert [one.words for one in of_image("VOLUME")] == [[environment()["TRACING_CONFIG_DATA_DIR"]]]


def test_the_process_is_the_program_itself_so_that_signals_reach_it() -> None:
    assert [one.text for name in ("ENTRYPOINT", "CMD") for one in of_image(name)] == ['["tracing-config"]', '["serve"]']
    assert [one.words for one in of_image("STOPSIGNAL")] == [["SIGTERM"]]


def test_the_health_check_is_the_command_and_it_can_tell_its_reason_in_time() -> None:
    (check,) = of_image("HEALTHCHECK")
    assert check.text == 'CMD ["tracing-config", "health"]'
    assert float(check.flags["timeout"].removesuffix("s")) > SECONDS


def test_the_labels_say_what_the_package_says() -> None:
    (labels,) = of_image("LABEL")
    package = PROJECT["project"]
    assert labels.pairs == {
        "org.opencontainers.image.title": package["name"],
        "org.opencontainers.image.description": package["description"],
        "org.opencontainers.image.version": package["version"],
        "org.opencontainers.image.licenses": package["license"],
    }
