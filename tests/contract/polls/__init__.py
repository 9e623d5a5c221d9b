"""What every poll server does, over sockets and with real clients."""
