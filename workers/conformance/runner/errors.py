"""How a rule ends when it does not end well."""


class Violation(Exception):
    """The worker broke the rule; the text says what was seen."""


class NoHello(Violation):
    """The worker never said hello, so no other rule can be tried."""


class Stopped(Exception):
    """The runner itself was told to end."""
