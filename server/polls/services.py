"""The gRPC services of every poll server and the paths of their methods."""

SAMPLING = "jaeger.api_v2.SamplingManager"
HEALTH = "grpc.health.v1.Health"
REFLECTION = "grpc.reflection.v1alpha.ServerReflection"
SERVICES = (SAMPLING, HEALTH, REFLECTION)

POLL = f"/{SAMPLING}/GetSamplingStrategy"
HEALTH_CHECK = f"/{HEALTH}/Check"
HEALTH_WATCH = f"/{HEALTH}/Watch"
REFLECT = f"/{REFLECTION}/ServerReflectionInfo"
METHODS = (POLL, HEALTH_CHECK, HEALTH_WATCH, REFLECT)
STREAMS = (HEALTH_WATCH, REFLECT)
"""Those whose answers last until the client has enough, or the server stops."""
