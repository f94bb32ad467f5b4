"""The one error tree. Each message says what is wrong, the value at fault, and what to do next.

    TidegateError                    exit 1   HTTP 500
    ├── UsageError                   exit 2        the command or a setting is wrong
    ├── RunNotFound                  exit 1        no such run, model version, alias or path
    ├── UnsupportedSource            exit 1        a flavour or layout that cannot be exported
    ├── UntrustedPickle              exit 1        a pickle, and nobody said --trust-pickle
    ├── EnvironmentMissing           exit 1        the export environment is not there
    ├── GateRefused                  exit 3        no variant passed; nothing was published
    ├── DeviceUnavailable            exit 1   503  onnxruntime offers the provider, and it does not start
    ├── BundleNotFound               exit 1   404
    ├── BundleCorrupt                exit 1   503  a file whose bytes are not those published
    └── RequestError                               what a caller did, or what the server cannot do now
        ├── MalformedRequest                  400
        ├── Unauthorized / Forbidden          401 / 403
        ├── ModelNotFound / PredictionNotFound / ItemNotFound  404
        ├── BodyTooSlow                       408
        ├── PayloadTooLarge                   413
        ├── UnsupportedMediaType              415
        ├── InvalidInput                      422
        ├── Overloaded                        429  carries `retry_after_seconds`
        ├── InferenceFailed                   500
        ├── NotReady                          503
        └── DeadlinePassed                    504

Foreign errors are mapped once, in the module that owns the dependency. `serving/problems.py` turns `status`
into RFC 9457 answers, `tidegate/cli` turns `exit_code` into exit codes: no second table anywhere.
"""

from typing import Literal

Shed = Literal["queue_full", "deadline", "rate_limit"]  # why a request was refused with 429


class TidegateError(Exception):
    """Root of every error raised on purpose."""

    status = 500
    exit_code = 1


class UsageError(TidegateError):
    """The command line or a setting cannot be carried out as given."""

    exit_code = 2


class RunNotFound(TidegateError):
    """The registry has no such run, model version, alias or artifact path."""


class UnsupportedSource(TidegateError):
    """A model flavour or file layout that the exporters do not know."""


class UntrustedPickle(TidegateError):
    """The source holds a pickle, and loading it would run its code."""


class EnvironmentMissing(TidegateError):
    """No interpreter that can run the exporters was found."""


class GateRefused(TidegateError):
    """No variant was good enough to publish."""

    exit_code = 3


class DeviceUnavailable(TidegateError):
    """The device that was chosen does not start here."""

    status = 503


class BundleNotFound(TidegateError):
    """The store has no such bundle, version or alias."""

    status = 404


class BundleCorrupt(TidegateError):
    """A file of a bundle is missing or is not what was published."""

    status = 503


class RequestError(TidegateError):
    """What one request did wrong, or what the server cannot do for it now."""


class MalformedRequest(RequestError):
    """The body cannot be read at all: broken JSON, invalid UTF-8."""

    status = 400


class Unauthorized(RequestError):
    """No credential, or one that does not hold."""

    status = 401


class Forbidden(RequestError):
    """A credential that does not reach this far."""

    status = 403


class ModelNotFound(RequestError):
    """No model of that name is served."""

    status = 404


class PredictionNotFound(RequestError):
    """No prediction with that id is kept."""

    status = 404


class ItemNotFound(RequestError):
    """No relabel item, alert or share with that id."""

    status = 404


class BodyTooSlow(RequestError):
    """A body that did not come within the time for it."""

    status = 408


class PayloadTooLarge(RequestError):
    """More bytes or more inputs than the server takes in one request."""

    status = 413


class UnsupportedMediaType(RequestError):
    """A content type that the route does not read."""

    status = 415


class InvalidInput(RequestError):
    """Readable, but not of the shape or range that the model takes; `pointer` (RFC 6901) says where, if known."""

    status = 422

    def __init__(self, message: str, *, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


class Overloaded(RequestError):
    """More than can be answered; try again after `retry_after_seconds`.

    Attributes:
        reason: which limit was met.
        wait_seconds: how long the answer would have taken.
    """

    status = 429

    def __init__(
        self,
        message: str,
        *,
        retry_after_seconds: float = 1.0,
        reason: Shed = "queue_full",
        wait_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.reason: Shed = reason
        self.wait_seconds = retry_after_seconds if wait_seconds is None else wait_seconds


class InferenceFailed(RequestError):
    """The session raised on this input."""


class NotReady(RequestError):
    """Loading, warming up or shutting down."""

    status = 503


class DeadlinePassed(RequestError):
    """The caller's deadline passed before the work was done."""

    status = 504
