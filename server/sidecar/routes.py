"""Every route of the sidecar."""

from server.sidecar import (
    actuator,
    admin_api,
    batch_api,
    boosts_api,
    configprops,
    default_api,
    explain_api,
    export_api,
    history_api,
    import_api,
    info,
    metrics_api,
    policies_api,
    rollback_api,
    services_api,
    telemetry_api,
    threaddump,
    traces_api,
)
from server.sidecar.actuator_links import links_route
from server.sidecar.openapi import openapi_route
from server.sidecar.route import Routes

ROUTES: Routes = [
    *services_api.ROUTES,
    *explain_api.ROUTES,
    *telemetry_api.ROUTES,
    *policies_api.ROUTES,
    *default_api.ROUTES,
    *boosts_api.ROUTES,
    *batch_api.ROUTES,
    *history_api.ROUTES,
    *rollback_api.ROUTES,
    *export_api.ROUTES,
    *import_api.ROUTES,
    *admin_api.ROUTES,
    *traces_api.ROUTES,
    *actuator.ROUTES,
    *metrics_api.ROUTES,
    *configprops.ROUTES,
    *info.ROUTES,
    *threaddump.ROUTES,
]

ROUTES.append(links_route(ROUTES))
ROUTES.append(openapi_route(ROUTES))
