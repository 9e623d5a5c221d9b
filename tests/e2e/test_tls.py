"""TLS on polls, on the sidecar and on the metrics port, with real clients."""

import os
import re
import socket
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import httpx
import pytest

from sampling.pb.jaeger.api_v2.sampling_pb2 import SamplingStrategyParameters
from server.tls_listener import GRACE_SECONDS
from tests.e2e.certificates import Authority, Issued, shown_serial
from tests.e2e.command_line import FAILED, USAGE, runner
from tests.e2e.replica import Replica, poll
from tests.e2e.test_start_errors import refused
from tests.waiting import eventually

POLL_SERVERS = ("h2corn", "grpcio")
BOTH_KINDS = ("POLL", "SIDECAR")


def tls(kind: str, issued: Issued, authority: Authority | None = None, names: str = "") -> dict[str, str]:
    """The settings of one kind of port; with an authority, clients need certificates of it."""
    clients = {} if authority is None else {"CLIENT_CA": str(authority.file), "CLIENT_NAMES": names}
    parts = {"CERT": str(issued.cert), "KEY": str(issued.key), **clients}
    return {f"TRACING_CONFIG_{kind}_TLS_{part}": value for part, value in parts.items()}


def s_client(address: str, *arguments: str) -> str:
    """What ``openssl s_client`` says of a handshake."""
    command = ["openssl", "s_client", "-connect", address, *arguments]
    return subprocess.run(command, input=b"", capture_output=True, timeout=20, check=False).stdout.decode(errors="replace")


def ask(replica: Replica, credentials: grpc.ChannelCredentials) -> float:
    with grpc.secure_channel(replica.grpc_address, credentials) as channel:
        answer = poll(channel)(SamplingStrategyParameters(serviceName="shop"), timeout=5)
        return answer.probabilisticSampling.samplingRate


def is_refusal(event: dict[str, Any]) -> bool:
    return bool(event["message"] == "a TLS connection was refused")


@pytest.mark.parametrize("poll_server", POLL_SERVERS)
def test_polls_and_sidecar_speak_tls_and_nothing_else(tmp_path: Path, poll_server: str) -> None:
    authority = Authority(tmp_path / "authority")
    issued = authority.server(tmp_path / "certs")
    settings = {**tls("POLL", issued), **tls("SIDECAR", issued)}
    replica = Replica(tmp_path / "data", TRACING_CONFIG_POLL_SERVER=poll_server, **settings)
    with replica.trusted(authority.context()).start():
        assert replica.put_rate("shop", 0.25).status_code == 200

        assert ask(replica, authority.channel_credentials()) == 0.25
        assert replica.poll_http("shop")["probabilisticSampling"]["samplingRate"] == 0.25
        assert replica.metrics()["tracing_config_ready"] == 1
        assert replica.health()["components"]["certificates"]["status"] == "UP"

        for url in (replica.http_url, replica.sidecar_url, replica.metrics_url):
            with pytest.raises(httpx.TransportError):
                httpx.get(url.replace("https:", "http:"), timeout=5, verify=False)
        with pytest.raises(httpx.ConnectError, match=r"self-signed|unable to get local issuer"):
            httpx.get(f"{replica.http_url}/sampling", params={"service": "shop"}, timeout=5)
        with grpc.insecure_channel(replica.grpc_address) as channel, pytest.raises(grpc.RpcError):
            poll(channel)(SamplingStrategyParameters(serviceName="shop"), timeout=5)
        for use in ("polls", "sidecar"):
            told = replica.wait_for_event(is_refusal)
            assert told["use"] == use
            assert told["reason"] == "the client does not speak TLS"


@pytest.mark.parametrize("poll_server", POLL_SERVERS)
def test_openssl_sees_tls_1_2_and_1_3_with_http_2_and_nothing_older(tmp_path: Path, poll_server: str) -> None:
    authority = Authority(tmp_path / "authority")
    issued = authority.server(tmp_path / "certs")
    settings = {**tls("POLL", issued), **tls("SIDECAR", issued)}
    with Replica(tmp_path / "data", TRACING_CONFIG_POLL_SERVER=poll_server, **settings).start() as replica:
        trusting = ("-CAfile", str(authority.file), "-alpn", "h2,http/1.1")
        for address, protocol in (
            (replica.grpc_address, "h2"),
            (replica.sidecar_url.removeprefix("https://"), "http/1.1"),
            (replica.metrics_url.removeprefix("https://"), "http/1.1"),
        ):
            for version in ("1.2", "1.3"):
                said = s_client(address, *trusting, f"-tls{version.replace('.', '_')}")
                assert f"TLSv{version}, Cipher is" in said
                assert "Verify return code: 0 (ok)" in said
                assert f"ALPN protocol: {protocol}" in said
            for old in ("-tls1_1", "-tls1"):
                said = s_client(address, *trusting, old, "-cipher", "DEFAULT@SECLEVEL=0")
                assert "Cipher is (NONE)" in said


@pytest.mark.parametrize("poll_server", POLL_SERVERS)
def test_only_clients_with_a_certificate_of_the_authority_and_a_name_that_is_listed_may_poll(
    tmp_path: Path, poll_server: str
) -> None:
    authority, other = Authority(tmp_path / "authority"), Authority(tmp_path / "other")
    issued = authority.server(tmp_path / "certs")
    settings = tls("POLL", issued, authority, "collector.example.org, *.shop.example.org")
    with Replica(tmp_path / "data", TRACING_CONFIG_POLL_SERVER=poll_server, **settings).start() as replica:
        for name in ("collector.example.org", "cart.shop.example.org"):
            client = authority.client(name)
            assert ask(replica, authority.channel_credentials(client)) == 0.001
            assert httpx.get(f"{replica.http_url}/sampling?service=shop", verify=authority.context(client)).status_code == 200

        strangers: list[tuple[Issued | None, str]] = [
            (None, "the client sent no certificate"),
            (authority.client("old.shop.example.org", days=-1), "the client's certificate has expired"),
            (
                other.client("collector.example.org"),
                "the client's certificate is not signed by an authority in TRACING_CONFIG_POLL_TLS_CLIENT_CA",
            ),
            (
                authority.client("billing.example.org"),
                "the client's certificate is for billing.example.org, which is not in TRACING_CONFIG_POLL_TLS_CLIENT_NAMES",
            ),
        ]
        for stranger, reason in strangers:
            with pytest.raises(grpc.RpcError):
                ask(replica, authority.channel_credentials(stranger))
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{replica.http_url}/sampling?service=shop", verify=authority.context(stranger), timeout=5)

            told = replica.wait_for_event(is_refusal)
            assert (told["level"], told["use"], told["remote_addr"], told["reason"]) == ("WARN", "polls", "127.0.0.1", reason)

        assert replica.metrics()['tracing_config_tls_refused_total{use="polls"}'] >= 2 * len(strangers)


async def test_a_resumed_session_lets_no_client_in_whose_certificate_has_expired(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    settings = tls("POLL", authority.server(tmp_path / "certs"), authority)
    with Replica(tmp_path / "data", **settings).start() as replica:
        client, session = authority.client("collector.example.org", days=4 / 86400), tmp_path / "session"
        address = replica.http_url.removeprefix("https://")
        shown = ("-cert", str(client.cert), "-key", str(client.key), "-CAfile", str(authority.file))
        request = b"GET /sampling?service=shop HTTP/1.1\r\nHost: polls\r\nConnection: close\r\n\r\n"

        def answered(*arguments: str) -> str:
            # TLS 1.2 has sessions that need no ticket of the server.
            command = ["openssl", "s_client", "-connect", address, "-tls1_2", "-ign_eof", *shown, *arguments]
            return subprocess.run(command, input=request, capture_output=True, timeout=20, check=False).stdout.decode()

        def is_resumed_and_refused() -> bool:
            said = answered("-sess_in", str(session))
            return "Reused, TLSv1.2" in said and "HTTP/1.1 200" not in said

        assert "HTTP/1.1 200" in answered("-sess_out", str(session))
        await eventually(is_resumed_and_refused)
        assert replica.wait_for_event(is_refusal)["reason"] == "the client's certificate has expired"


@pytest.mark.parametrize("poll_server", POLL_SERVERS)
def test_polls_over_tls_need_nothing_that_stays_in_the_folder_for_temporary_files(tmp_path: Path, poll_server: str) -> None:
    authority, temporary = (
        Authority(tmp_path / "authority"),
        tmp_path / ("temporary" * 12),
    )  # Longer than the path of a socket may be.
    temporary.mkdir()
    settings = {"TMPDIR": str(temporary), **tls("POLL", authority.server(tmp_path / "certs"))}
    replica = Replica(tmp_path / "data", TRACING_CONFIG_POLL_SERVER=poll_server, **settings)
    with replica.trusted(authority.context()).start():
        assert list(temporary.iterdir()) == []
        assert ask(replica, authority.channel_credentials()) == 0.001
        assert replica.poll_http("shop")["probabilisticSampling"]["samplingRate"] == 0.001


def test_a_stop_waits_for_handshakes_on_all_ports_at_once(tmp_path: Path) -> None:
    issued = Authority(tmp_path / "authority").server(tmp_path / "certs")
    settings = {"TRACING_CONFIG_DRAIN_SECONDS": "0", **tls("POLL", issued), **tls("SIDECAR", issued)}
    with Replica(tmp_path / "data", **settings).start() as replica:
        addresses = [replica.grpc_address, *(url[8:] for url in (replica.http_url, replica.sidecar_url, replica.metrics_url))]
        silent = [socket.create_connection((host, int(port))) for host, port in (one.split(":") for one in addresses)]
        began = monotonic()
        assert replica.stop() == 0
        assert monotonic() - began < 3 * GRACE_SECONDS  # Polls first, then the sidecar.
        for connection in silent:
            connection.close()


def test_a_client_that_is_refused_again_and_again_is_logged_once_a_minute(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    settings = tls("SIDECAR", authority.server(tmp_path / "certs"), authority)
    client = authority.client("prometheus.example.org")
    with Replica(tmp_path / "data", **settings).trusted(authority.context(client)).start() as replica:
        for _ in range(5):
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{replica.metrics_url}/metrics", verify=authority.context(), timeout=5)
        assert replica.metrics()['tracing_config_tls_refused_total{use="sidecar"}'] == 5
        assert replica.stop() == 0
        replica.wait_for_event(lambda event: event["message"] == "stopped")
        assert [event["message"] for event in replica.events].count("a TLS connection was refused") == 1


def test_health_and_metrics_tell_when_each_certificate_ends(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    issued = authority.server(tmp_path / "certs")
    settings = {**tls("POLL", issued), **tls("SIDECAR", issued, authority)}
    client = authority.client("admin.example.org")
    with Replica(tmp_path / "data", **settings).trusted(authority.context(client)).start() as replica:
        told = replica.health()["components"]["certificates"]
        metrics = replica.metrics()

    assert told["status"] == "UP"
    assert set(told["details"]) == {"polls", "sidecar"}
    assert told["details"]["polls"]["serial"] == f"{issued.serial:X}"
    assert told["details"]["polls"]["names"] == ["tracing-config.example.org", "127.0.0.1"]
    assert told["details"]["sidecar"]["clientCertificates"] == "required"
    ends = {use: metrics[f'tracing_config_certificate_expiry_timestamp_seconds{{use="{use}"}}'] for use in told["details"]}
    assert ends["polls"] == ends["sidecar"] > 2_000_000_000


def test_the_command_line_trusts_and_shows_what_its_variables_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    issued, client = authority.server(tmp_path / "certs"), authority.client("admin.example.org")
    settings = {**tls("POLL", issued, authority), **tls("SIDECAR", issued, authority)}
    with Replica(tmp_path / "data", **settings).start() as replica:
        run = partial(runner(replica), SSL_CERT_FILE=str(authority.file))
        shown = {"TRACING_CONFIG_CLIENT_CERT": str(client.cert), "TRACING_CONFIG_CLIENT_KEY": str(client.key)}

        run("set", "service", "shop", "--probability", "0.5", **shown)
        for at in (["--at", f"https://{replica.grpc_address}"], ["--http", "--at", replica.http_url]):
            assert "shop gets probability 0.5" in run("poll", "shop", *at, **shown).output

        for arguments in (["get", "service", "shop"], ["poll", "shop", "--at", f"https://{replica.grpc_address}"]):
            run(*arguments, code=FAILED)
        half = run("get", "service", "shop", code=USAGE, TRACING_CONFIG_CLIENT_KEY=str(client.key))
        assert "TRACING_CONFIG_CLIENT_CERT: is not set" in half.output


Spoil = Callable[[Path, Path, Authority], None]


def _missing(cert: Path, _key: Path, _authority: Authority) -> None:
    cert.unlink()


def _no_pem(cert: Path, _key: Path, _authority: Authority) -> None:
    cert.write_text("this is no certificate")


def _key_of_another(_cert: Path, key: Path, authority: Authority) -> None:
    key.write_bytes(authority.server(key.parent / "another").key.read_bytes())


def _encrypted_key(_cert: Path, key: Path, _authority: Authority) -> None:
    secret = key.with_suffix(".secret")
    subprocess.run(["openssl", "pkcs8", "-topk8", "-in", str(key), "-out", str(secret), "-passout", "pass:hunter2"], check=True)
    secret.rename(key)


def _pipe(cert: Path, _key: Path, _authority: Authority) -> None:
    cert.unlink()
    os.mkfifo(cert)


SPOILT = [
    pytest.param(_pipe, "_CERT: cannot read .*: it is no regular file", id="pipe"),
    pytest.param(_missing, "_CERT: cannot read .*: No such file or directory", id="missing"),
    pytest.param(_no_pem, "_CERT: .* are no PEM certificate and private key that can be used", id="no PEM"),
    pytest.param(_key_of_another, "_KEY: .* is not the key of the certificate in", id="key of another"),
    pytest.param(_encrypted_key, "_KEY: .* is encrypted; give a key without a password", id="encrypted key"),
]


@pytest.mark.parametrize(("spoil", "problem"), SPOILT)
async def test_a_certificate_that_cannot_be_used_leaves_the_last_good_one_and_health_says_so(
    tmp_path: Path, spoil: Spoil, problem: str
) -> None:
    authority = Authority(tmp_path / "authority")
    first = authority.server(tmp_path / "certs")
    with Replica(tmp_path / "data", **tls("POLL", first)).trusted(authority.context()).start() as replica:
        spoil(first.cert, first.key, authority)

        told = replica.wait_for_event(lambda event: event["message"].startswith("the certificate cannot be replaced"))
        assert told["level"] == "ERROR"
        assert re.search(f"TRACING_CONFIG_POLL_TLS{problem}", told["reason"])
        component = replica.health()["components"]["certificates"]
        assert component["status"] == "DOWN"
        assert replica.health()["status"] == "UP"
        assert component["details"]["polls"]["problem"] == told["reason"]
        assert shown_serial(replica.grpc_address) == first.serial

        second = authority.server(tmp_path / "certs")
        await eventually(lambda: shown_serial(replica.grpc_address) == second.serial)
        assert replica.health()["components"]["certificates"]["status"] == "UP"
        assert "problem" not in replica.health()["components"]["certificates"]["details"]["polls"]


@pytest.mark.parametrize(("spoil", "problem"), SPOILT)
@pytest.mark.parametrize("kind", BOTH_KINDS)
def test_a_certificate_that_cannot_be_used_stops_the_start_with_its_setting(
    tmp_path: Path, kind: str, spoil: Spoil, problem: str
) -> None:
    authority = Authority(tmp_path / "authority")
    issued = authority.server(tmp_path / "certs")
    spoil(issued.cert, issued.key, authority)

    line = refused(tmp_path / "data", **tls(kind, issued))

    assert re.fullmatch(f"tracing-config: TRACING_CONFIG_{kind}_TLS{problem}.*", line)
    assert "hunter2" not in line
    assert not (tmp_path / "data" / "tracing-config.db").exists()


def test_a_client_authority_without_certificates_stops_the_start(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    issued = authority.server(tmp_path / "certs")
    authority.file.write_text("no certificates")

    line = refused(tmp_path / "data", **tls("POLL", issued, authority))

    assert "TRACING_CONFIG_POLL_TLS_CLIENT_CA" in line
    assert "holds no PEM certificates" in line


@pytest.mark.parametrize(
    ("given", "missing"),
    [("KEY", "CERT"), ("CERT", "KEY"), ("CLIENT_CA", "CERT"), ("CLIENT_NAMES", "CLIENT_CA")],
)
def test_a_setting_that_is_of_no_use_without_another_names_it(tmp_path: Path, given: str, missing: str) -> None:
    authority = Authority(tmp_path / "authority")
    issued = authority.server(tmp_path / "certs")
    settings = tls("POLL", issued, authority, "a.example.org") if given == "CLIENT_NAMES" else tls("POLL", issued)
    settings[f"TRACING_CONFIG_POLL_TLS_{given}"] = settings.get(f"TRACING_CONFIG_POLL_TLS_{given}", str(authority.file))
    del settings[f"TRACING_CONFIG_POLL_TLS_{missing}"]
    if given == "CLIENT_CA":
        del settings["TRACING_CONFIG_POLL_TLS_KEY"]

    line = refused(tmp_path / "data", **settings)

    assert re.match(f"tracing-config: TRACING_CONFIG_POLL_TLS_{given}: .* set TRACING_CONFIG_POLL_TLS_{missing} too", line)
