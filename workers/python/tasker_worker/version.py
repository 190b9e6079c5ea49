"""The SDK's version, announced in `hello`."""

SDK_VERSION = "0.1.0"
LANGUAGE = "python"
PROTOCOL_VERSION = "1.0"
