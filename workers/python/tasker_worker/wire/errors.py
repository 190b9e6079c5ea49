"""Why a frame or message was refused."""


class DecodeError(Exception):
    """A message that breaks the protocol.

    `code` is one of bad_frame, invalid_utf8, malformed_json, unknown_type, missing_field, wrong_type,
    unsupported_version, too_deep, too_large, out_of_range (the same in every language); `field` is the
    path inside the message ("steps[2].metadata.attempt"), empty when the fault is the whole message.
    """

    def __init__(self, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field

    def __str__(self) -> str:
        where = f" in {self.field}" if self.field else ""
        return f"{self.code}{where}: {self.message}"

    def inside(self, name: str) -> "DecodeError":
        """The same error, seen from the object that holds it under `name`."""
        joint = "" if not self.field or self.field.startswith("[") else "."
        self.field = f"{name}{joint}{self.field}"
        return self
