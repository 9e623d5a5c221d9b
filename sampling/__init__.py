"""What a strategy is, which one a service gets and why, and its bytes: pure, no I/O, no framework."""
