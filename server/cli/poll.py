"""``tracing-config poll``: ask as an SDK would."""

import json
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import typer

from server.cli.client import DEFAULT_URL, Url, checked_url
from server.cli.credential import is_loopback
from server.cli.failures import Failed, WrongUsage
from server.cli.output import AsJson, number, print_json, say
from server.cli.table import say_table
from server.cli.trust import channel_credentials, verification

SECONDS = 10.0
GRPC_PORT, HTTP_PORT = 14250, 5778
SHOWN_CHARACTERS = 1000


def poll(
    service: Annotated[str, typer.Argument(help="The service name that the SDK sends.")],
    over_http: Annotated[bool, typer.Option("--http", help="Ask over HTTP, not over gRPC.")] = False,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            help="A poll port, like localhost:14250, or https://localhost:14250 over TLS; else that of the host in --url.",
        ),
    ] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Ask a poll port as an SDK would, and print the strategy."""
    host = urlsplit(checked_url(url)).hostname or ""
    host = f"[{host}]" if ":" in host else host
    if at is not None and "://" in at and not over_http and not at.startswith("https://"):
        raise WrongUsage(
            f"--at: {at!r} is a URL; give it with --http, or a host and port for gRPC (https:// before it for TLS)"
        )
    if at is not None:
        _check_address(at, over_http=over_http)
    if over_http:
        place = at or f"{host}:{HTTP_PORT}"
        answer = _over_http(place if "://" in place else f"http://{place}", service)
    else:
        answer = _over_grpc(at or f"{host}:{GRPC_PORT}", service)
    if as_json:
        print_json(answer)
    else:
        _say(service, answer)


def _check_address(at: str, *, over_http: bool) -> None:
    """Refuse what the libraries would take for an address with another port. A URL needs none.

    Raises:
        WrongUsage: naming the option and the cure.
    """
    is_url = "://" in at
    try:
        parts = urlsplit(at if is_url else f"//{at}")
        has_port = parts.port != 0 if is_url else bool(parts.port)
        usable = bool(parts.hostname) and has_port and (over_http or not parts.path)
    except ValueError:
        usable = False
    if not usable:
        raise WrongUsage(f"--at: {at!r} must be a host and a port up to 65535, like localhost:14250 or [::1]:14250")


def _say(service: str, answer: dict[str, Any]) -> None:
    operations = answer.get("operationSampling")
    if "rateLimitingSampling" in answer:
        given = f"rate limit {answer['rateLimitingSampling']['maxTracesPerSecond']}/s"
    elif operations is not None:
        given = f"probability {number(operations['defaultSamplingProbability'])}"
        if bound := operations.get("defaultLowerBoundTracesPerSecond"):
            given += f", lower bound {number(bound)}/s"
    else:
        given = f"probability {number(answer['probabilisticSampling']['samplingRate'])}"
    say(f"{service or '(no name)'} gets {given}", "bold green")
    if operations is not None:
        each = operations["perOperationStrategies"]
        rows = ([one["operation"], number(one["probabilisticSampling"]["samplingRate"])] for one in each)
        say_table(("operation", "probability"), rows)


def _over_http(address: str, service: str) -> dict[str, Any]:
    import httpx  # noqa: PLC0415 - a second for those who ask over gRPC

    parts = urlsplit(address)
    url = address if parts.path not in ("", "/") else f"{address.rstrip('/')}/sampling"
    # Any bytes can be polled.
    asked = f"{url}?service={quote(service, safe='', errors='surrogateescape')}"
    try:
        response = httpx.get(asked, timeout=SECONDS, verify=verification(url), trust_env=not is_loopback(url))
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Failed(f"{url} cannot be polled: {str(error) or 'no answer in time'}; name the port with --at") from None
    if response.status_code != 200:
        raise Failed(f"{url} answered {response.status_code}: {response.text.strip()[:SHOWN_CHARACTERS]}")
    try:
        answer: dict[str, Any] = json.loads(response.text)
    except ValueError:
        raise Failed(f"{url} answers something else than sampling strategies; name a poll port with --at") from None
    return answer


def _over_grpc(address: str, service: str) -> dict[str, Any]:
    import grpc  # noqa: PLC0415 - a third of a second for those who ask over HTTP
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415

    from sampling.pb.jaeger.api_v2 import sampling_pb2  # noqa: PLC0415

    try:
        request = sampling_pb2.SamplingStrategyParameters(serviceName=service)
    except ValueError:
        raise WrongUsage("the name is not valid UTF-8 text, which gRPC needs; ask with --http") from None
    secure, place = address.startswith("https://"), address.removeprefix("https://").rstrip("/")
    options = [("grpc.enable_http_proxy", int(not is_loopback(f"http://{place}")))]
    opened = grpc.secure_channel(place, channel_credentials(), options) if secure else grpc.insecure_channel(place, options)
    with opened as channel:
        method = channel.unary_unary(
            "/jaeger.api_v2.SamplingManager/GetSamplingStrategy",
            request_serializer=sampling_pb2.SamplingStrategyParameters.SerializeToString,
            response_deserializer=sampling_pb2.SamplingStrategyResponse.FromString,
        )
        try:
            answer = method(request, timeout=SECONDS)
        except grpc.RpcError as error:
            cure = "; name the port with --at" if error.code() == grpc.StatusCode.UNAVAILABLE else ""
            raise Failed(f"{address} cannot be polled: {error.code().name}: {error.details()}{cure}") from None
    found: dict[str, Any] = MessageToDict(answer, always_print_fields_with_no_presence=True)
    return found
