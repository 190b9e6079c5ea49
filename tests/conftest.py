"""Plugins for all Python tests below tests/: fixtures, and the sharing of a suite among processes."""

pytest_plugins = ["tests.support.fixtures", "tests.support.shares"]
