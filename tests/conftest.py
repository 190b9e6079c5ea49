"""Fixtures for all Python tests below tests/; see tests/support/fixtures.py."""

pytest_plugins = ["tests.support.fixtures"]
