"""Every exception Ossia raises on purpose, in one tree.

    OssiaError                      the caller's fault, always with value, limit and remedy
    ├── InputError                  a prompt, message, file or option that cannot be used
    │   ├── ContextLengthError      prompt + answer exceed the model's context, or the memory for it
    │   ├── EncryptedContentError   sealed content that is forged, changed or another's
    │   ├── PreviousResponseError   the response to go on from is not here
    │   ├── HarmonyError            malformed Harmony where only well-formed is accepted
    │   └── ToolDefinitionError     a function that cannot be described as a tool
    ├── SettingsError               an environment variable or option with an impossible value
    │   └── IsaUnavailableError     OSSIA_ISA names an instruction set this CPU lacks
    ├── ModelError
    │   ├── ModelNotFoundError      no model of that name here (or anywhere known)
    │   ├── ConfigError             config.json asks for something Ossia does not know
    │   ├── CheckpointError         tensors missing, unused, truncated or of the wrong shape
    │   └── HashMismatchError       a file is not the file it should be
    ├── ResourceError
    │   ├── DiskSpaceError          not enough disk for what was asked
    │   └── MemoryLimitError        not enough memory for what was asked
    ├── DownloadError               a source that cannot be reached or refuses
    ├── UnauthorizedError           no API key, or a wrong one
    ├── ForbiddenError              a key that may not do this
    ├── NotFoundError               nothing is stored, or served, under that name
    ├── ConflictError               what is there does not allow it now
    ├── TooLargeError               a request larger than the server takes
    ├── SlowRequestError            a request that did not arrive in time
    ├── OverloadedError             the queue is full
    ├── StoppingError               the server takes nothing new
    └── BackendError                a backend stopped, or cannot do what was asked of it

A model's own slips (malformed Harmony, broken JSON, an unknown tool) are data, never an exception;
a bug in Ossia is an ``assert``.
"""


class OssiaError(Exception):
    """The caller's fault: what was wrong (`value`), what is allowed (`limit`), what to do (`remedy`).

    `param`: which field of a request it was, as a path, where one can be named. `exit_code` is what the
    command line ends with, `http_status` what a server answers.
    """

    exit_code = 1
    http_status = 400

    def __init__(
        self,
        message: str,
        *,
        value: object = None,
        limit: object = None,
        remedy: str = "",
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.value = value
        self.limit = limit
        self.remedy = remedy
        self.param = param

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


class InputError(OssiaError):
    exit_code = 2


class ContextLengthError(InputError):
    pass


class EncryptedContentError(InputError):
    pass


class PreviousResponseError(InputError):
    pass


class HarmonyError(InputError):
    """`value` is the parser's Diagnostic: what is malformed, and at which tokens."""


class ToolDefinitionError(InputError):
    pass


class SettingsError(OssiaError):
    exit_code = 2


class IsaUnavailableError(SettingsError):
    pass


class ModelError(OssiaError):
    exit_code = 3
    http_status = 500


class ModelNotFoundError(ModelError):
    http_status = 404


class ConfigError(ModelError):
    pass


class CheckpointError(ModelError):
    pass


class HashMismatchError(ModelError):
    pass


class ResourceError(OssiaError):
    exit_code = 4
    http_status = 507


class DiskSpaceError(ResourceError):
    pass


class MemoryLimitError(ResourceError):
    pass


class DownloadError(OssiaError):
    exit_code = 5
    http_status = 502


class BackendError(OssiaError):
    exit_code = 6
    http_status = 503


class UnauthorizedError(OssiaError):
    http_status = 401


class ForbiddenError(OssiaError):
    http_status = 403


class NotFoundError(OssiaError):
    http_status = 404


class ConflictError(OssiaError):
    http_status = 409


class TooLargeError(InputError):
    http_status = 413


class SlowRequestError(InputError):
    http_status = 408


class StoppingError(OssiaError):
    http_status = 503


class OverloadedError(OssiaError):
    """`retry_after_s`: when it is worth asking again."""

    http_status = 429

    def __init__(
        self,
        message: str,
        *,
        value: object = None,
        limit: object = None,
        remedy: str = "",
        retry_after_s: int = 5,
    ) -> None:
        super().__init__(message, value=value, limit=limit, remedy=remedy)
        self.retry_after_s = retry_after_s
