"""What the gateway tells the demos' process: which versions serve, and of a request what its page has to know.

`Teller` compares by the identity of manifests, each of which is made when a version is opened, and tells before a
request what changed since it told last; frames keep their order, so a promotion shows at the very next request.
No credential goes over: of a share visitor the link's id and notice, of a key its role; headers with keys and cookies
stay here. A caller cannot send any of this, because it travels beside the headers and not in them.
Before: `demos.link`; after: `demos.remote` and `demos.child` in the process.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starlette.types import Scope

from demos.gateway import Repository, ServedModel
from demos.meter import CHARGE_KEY
from serving.access import Role
from serving.auth import PRINCIPAL, SHARE_KEY
from tidegate.bundle import Bundle, Manifest
from tidegate.errors import ModelNotFound, NotReady
from tidegate.settings import Settings

_SCOPE = (
    *("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string"),
    *("root_path", "app_root_path", "client", "server"),
)
_CREDENTIALS = frozenset((b"authorization", b"x-api-key", b"cookie"))
# No key, no database, no webhook.
_SETTINGS = (
    *("home", "redact", "log_format", "public_url", "root_path", "trust_demo", "demo_explanations"),
    *("max_body_bytes", "max_text_chars"),
)


@dataclass(frozen=True, slots=True)
class Version:
    """One version that serves."""

    bundle: Bundle
    variant: str


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of a model that serve."""

    champion: Version
    canary: Version | None
    shadow: Version | None


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whose request it is, where it came by a share link: what pages ask of `demos.share.Share`."""

    id: str
    notice: str


@dataclass(frozen=True, slots=True)
class Principal:
    """Whose request it is, where it came with a key: what pages ask of `serving.keys.ApiKey`."""

    role: Role


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as the process gets it.

    Attributes:
        scope: its standard keys, without credentials.
        body: of a question; empty where there is none.
        request_id: what its lines in the log carry.
    """

    scope: Scope
    body: bytes
    visitor: Visitor | None
    principal: Principal | None
    request_id: str

    @classmethod
    def of(cls, scope: Scope, body: bytes, request_id: str) -> "Asked":
        """What goes over of a request."""
        kept: dict[str, Any] = {name: scope[name] for name in _SCOPE if name in scope}
        kept["headers"] = [(name, value) for name, value in scope["headers"] if name.lower() not in _CREDENTIALS]
        share, key = scope.get(SHARE_KEY), scope.get(PRINCIPAL)
        visitor = None if share is None else Visitor(share.id, share.notice)
        return cls(kept, body, visitor, None if key is None else Principal(key.role), request_id)

    def marked(self, charge: Any) -> Scope:
        """The scope as the gateway's own would be: who asks, and `charge`, which counts what a link's visitor asks."""
        visitor = {} if self.visitor is None else {SHARE_KEY: self.visitor, CHARGE_KEY: charge}
        return {**self.scope, **visitor, PRINCIPAL: self.principal}


class Teller:
    """Remembers what one process was told of the models."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._told: dict[str, tuple[Manifest | None, ...]] = {}

    def news(self, model: str) -> Iterator[tuple[str, Versions | None]]:
        """What changed before a request of a model: its versions, None where it does not serve any more.

        With a change come those of all other models, so that pages of models that went away do not stay for good.
        """
        if _are(self._look(model)[0], self._told.get(model)):
            return
        for name in (*(name for name in [*self._told] if name != model), model):  # the last one names the log's lines
            manifests, versions = self._look(name)
            if not _are(manifests, self._told.get(name)):
                if versions is None:
                    del self._told[name]
                else:
                    self._told[name] = manifests
                yield name, versions

    def _look(self, name: str) -> tuple[tuple[Manifest | None, ...], Versions | None]:
        try:
            rollout = self._repository.rollout(name)
        except (ModelNotFound, NotReady):
            return (), None
        versions = Versions(_of(rollout.champion), _if_any(rollout.canary), _if_any(rollout.shadow))
        live = (versions.champion, versions.canary, versions.shadow)
        return tuple(None if one is None else one.bundle.manifest for one in live), versions


def told_settings(settings: Settings) -> Settings:
    """The settings without what demos do not need to know."""
    return Settings(**settings.model_dump(include=set(_SETTINGS)))


def _of(model: ServedModel) -> Version:
    return Version(model.bundle, model.variant)


def _if_any(model: ServedModel | None) -> Version | None:
    return None if model is None else _of(model)


def _are(now: tuple[Manifest | None, ...], told: tuple[Manifest | None, ...] | None) -> bool:
    """Whether these are the same objects; nothing told is nothing there."""
    told = told or ()
    return len(now) == len(told) and all(one is other for one, other in zip(now, told, strict=True))
