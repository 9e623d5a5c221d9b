"""The Kubernetes manifests, as far as they can be proven without a cluster, and that the checks of them find mistakes."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.deploy import kubernetes_checks, kubernetes_program_checks, kubernetes_tls_checks
from tests.deploy.kubernetes import COMPONENTS, COMPOSITIONS, FOLDER, Composition, Manifests, copy, render
from tests.deploy.kubernetes_planted import MISTAKES, Mistake

Check = Callable[[Manifests], None]

CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (*kubernetes_checks.CHECKS, *kubernetes_program_checks.CHECKS, *kubernetes_tls_checks.CHECKS)
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Manifests]:
    """A composition by its name, rendered once."""
    tree = copy(tmp_path_factory.mktemp("manifests"))
    return cache(lambda name: render(tree, COMPOSITIONS[name]))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", COMPOSITIONS)
def test_what_is_applied_is_right(rendered: Callable[[str], Manifests], name: str, check: str) -> None:
    CHECKS[check](rendered(name))


def test_every_component_and_overlay_is_rendered() -> None:
    parts = {folder.name for folder in (FOLDER / "components").iterdir()} - {"certificate-required"}
    assert parts == set(COMPONENTS)
    overlays = {f"overlays/{folder.name}" for folder in (FOLDER / "overlays").iterdir()}
    assert overlays == {composition.resource for composition in COMPOSITIONS.values()} - {"base"}


def test_the_base_has_standard_resources_only(rendered: Callable[[str], Manifests]) -> None:
    kinds = {document["kind"] for document in rendered("base").documents}
    assert not kinds & kubernetes_checks.CUSTOM
    assert not kinds & {"CronJob", "PersistentVolumeClaim"}


def test_the_base_has_two_replicas_and_in_production_the_autoscaler_says_how_many(
    rendered: Callable[[str], Manifests],
) -> None:
    found = [rendered(name).one("Deployment", "tracing-config")["spec"].get("replicas") for name in ("base", "production")]
    assert found == [2, None]


def test_one_replica_on_sqlite_needs_nothing_that_is_not_applied(rendered: Callable[[str], Manifests]) -> None:
    manifests = rendered("sqlite-single")
    settings = kubernetes_program_checks.settings_of(manifests)
    assert (settings.database_url, settings.redis_url, settings.admin_token, settings.jwt_secrets) == (None, None, None, ())
    deployment = manifests.one("Deployment", "tracing-config")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert manifests.server.volumes["data"]["persistentVolumeClaim"] == {"claimName": "tracing-config-data"}
    assert "secrets" not in manifests.server.volumes
    assert not manifests.of("HorizontalPodAutoscaler")


PLANTED = [(composition, file, mistake) for (composition, file), mistakes in MISTAKES.items() for mistake in mistakes]


@pytest.mark.parametrize(
    ("composition", "file", "mistake"), PLANTED, ids=[f"{file}: {one.wrong!r}" for _, file, one in PLANTED]
)
def test_a_mistake_is_found(tmp_path: Path, composition: str, file: str, mistake: Mistake) -> None:
    tree = copy(tmp_path)
    (tree / "base" / "secret.yaml").write_text((tree / "secret.example.yaml").read_text())
    planted = tree / file
    text = planted.read_text()
    assert mistake.right in text
    planted.write_text(text.replace(mistake.right, mistake.wrong, 1))
    manifests = render(tree, COMPOSITIONS[composition])
    with pytest.raises(AssertionError):
        CHECKS[mistake.check](manifests)


def test_an_overlay_of_somebodys_own_may_use_another_namespace(tmp_path: Path) -> None:
    tree = copy(tmp_path)
    folder = tree / "overlays" / "other"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text("resources: [../production]\nnamespace: other\n")
    manifests = render(tree, Composition("overlays/other"))
    assert manifests.has("Namespace", "other")
    assert {one["metadata"].get("namespace", "other") for one in manifests.documents} == {"other"}
    assert manifests.one("RoleBinding", "tracing-config-role")["subjects"][0]["namespace"] == "other"
