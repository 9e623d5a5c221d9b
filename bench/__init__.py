"""What the server costs, measured beside what it compares with: ``make bench``."""
