"""The root path: what a proxy puts in front of every address, `/tidegate` in `https://example.org/tidegate/docs`.

Outermost of all. Proxies that cut the prefix off and those that leave it on are both understood; inside, as ASGI asks,
`path` carries it and `root_path` names it. Whoever looks at a path asks `below_root`, so that nobody is fooled by it.
"""

from starlette.types import ASGIApp, Receive, Scope, Send


class RootPath:
    """Puts the root path into each request."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] != "lifespan":
            scope["root_path"] = self._root
            if not _is_below(scope["path"], self._root):
                scope["path"] = self._root + scope["path"]
                scope["raw_path"] = self._root.encode() + scope.get("raw_path", b"")
        await self._app(scope, receive, send)


def below_root(scope: Scope) -> str:
    """The path of a request without the root path: what the router goes by, and what every rule is about."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] or "/" if root and _is_below(path, root) else path


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")
