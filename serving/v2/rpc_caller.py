"""Who makes a gRPC call: its metadata, judged and read as the headers of an HTTP request are.

Before: grpc.aio; after: `serving.v2.rpc`. Limits: a servicer is not told the authority that was called, so without a
key the address of the peer and the marks of proxies must do.
"""

from typing import Any

import grpc.aio

from serving.access import ANYONE, Role
from serving.caller import KEY_ID, caller_of
from serving.gateway import Gateway
from serving.keys import SETTING_ID
from serving.local import is_local
from serving.v2 import specs
from serving.v2.infer import Asked
from tidegate.errors import Forbidden


class Caller:
    """Who calls: what a call's metadata says, as a request's headers would."""

    def __init__(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self._context = context
        self.metadata = {
            str(name): value if isinstance(value, bytes) else str(value).encode("latin-1", "replace")
            for name, value in context.invocation_metadata() or ()
        }

    def judge(self, gateway: Gateway, need: Role) -> str:
        """Let in who may; returns the id of the key, empty for none.

        Raises:
            Unauthorized, Forbidden, Overloaded: what `Door.judge` raises, or not of this machine where it has no key.
        """
        if need is ANYONE:
            return ""
        if not gateway.door.asks and not gateway.settings.open and not is_local(self._scope()):
            raise Forbidden(
                "this server has no key, so it answers this machine alone; `tidegate keys create` makes one"
            )
        sent = self.metadata.get("authorization", b"") or b"Bearer " + self.metadata.get("x-api-key", b"")
        key = gateway.door.judge(sent.decode("latin-1"), need)
        return "" if key is None or key.id.startswith(SETTING_ID) else key.id

    def asked(self, gateway: Gateway, key_id: str, name: str, version: str) -> Asked:
        """Of whom, by whom, until when; raises what the parts raise."""
        scope = self._scope() | ({KEY_ID: key_id} if key_id else {})
        caller = caller_of(scope, self.metadata.get("x-caller-key", b""), self.metadata.get("x-priority", b""))
        seconds = self._context.time_remaining()
        target = specs.target_of(gateway.repository, name)
        return Asked(target, specs.version_of(version), None if seconds is None else max(0.001, seconds), caller)

    def _scope(self) -> dict[str, Any]:
        """The call as an HTTP request; its authority is not told to servicers, its address is."""
        kind, _, address = str(self._context.peer()).partition(":")
        host = address.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
        headers = [(name.encode(), value) for name, value in self.metadata.items()]
        client = (host, 0) if kind in ("ipv4", "ipv6") else None
        return {"type": "http", "scheme": "http", "headers": [*headers, (b"host", b"localhost")], "client": client}
