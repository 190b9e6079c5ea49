"""The chaos suite: the real system under seeded faults, judged by one checker. See README.md."""
