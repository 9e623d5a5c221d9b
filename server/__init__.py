"""The process: settings, start and stop, transports, sidecar, telemetry, command line."""
