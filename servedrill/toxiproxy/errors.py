"""What the control API answers instead of a result: one text and one status each, as existing clients expect them."""

from __future__ import annotations


class ApiError(Exception):
    """An answer `{"error": ..., "status": ...}`."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message, self.status = message, status

    @classmethod
    def bad_body(cls, why: str) -> ApiError:
        """400: the body is no JSON, or of the wrong types."""
        return cls(f"bad request body: {why}", 400)

    @classmethod
    def missing(cls, field: str) -> ApiError:
        """400: a field that has to be there is not."""
        return cls(f"missing required field: {field}", 400)

    @classmethod
    def invalid_stream(cls) -> ApiError:
        """400: neither upstream nor downstream."""
        return cls("stream was invalid, can be either upstream or downstream", 400)

    @classmethod
    def invalid_toxic_type(cls) -> ApiError:
        """400: no toxic is registered under that type."""
        return cls("invalid toxic type", 400)

    @classmethod
    def proxy_not_found(cls) -> ApiError:
        """404: no proxy of that name."""
        return cls("proxy not found", 404)

    @classmethod
    def toxic_not_found(cls) -> ApiError:
        """404: no toxic of that name on the proxy."""
        return cls("toxic not found", 404)

    @classmethod
    def proxy_exists(cls) -> ApiError:
        """409: the name of a proxy is taken."""
        return cls("proxy already exists", 409)

    @classmethod
    def toxic_exists(cls) -> ApiError:
        """409: the name of a toxic is taken on the proxy."""
        return cls("toxic already exists", 409)

    def body(self) -> dict[str, object]:
        """What the API answers, under the same status."""
        return {"error": self.message, "status": self.status}
