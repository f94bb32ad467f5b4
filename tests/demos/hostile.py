"""Paths that a share link must not open, and that nobody may reach inside a demo: written out, not derived.

`STRAY` lies outside the page of the shared demo; `CLOSED` lies inside it, in the parts of Gradio that it does
not need; `DISGUISED` names both in ways of spelling a path that proxies and servers read differently. All for the
demo `headline-sentiment`.
"""

from collections.abc import Iterator

DEMO = "/demo/headline-sentiment"

# Written as a client would send them: escapes stay escapes.
STRAY = (
    *("/", "", "/metrics", "/metrics/", "//metrics", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"),
    *("/healthz", "/readyz", "/ping", "/invocations", "/dashboard", "/dashboard/", "/relabel", "/relabel/items"),
    *("/models", "/models/", "/models/headline-sentiment", "/models/headline-sentiment/predict", "/keys", "/shares"),
    *("/models/headline-sentiment/feedback", "/models/headline-sentiment/drift", "/models/headline-sentiment/card"),
    *("/v2", "/v2/models", "/v2/health/live", "/v2/repository/index", "/v2/models/headline-sentiment/infer"),
    *("/demo", "/demo/", "/demo//", "//demo/headline-sentiment/", "/demo//headline-sentiment/", "/demo/*"),
    *("/demo/other", "/demo/other/", "/demo/other/theme.css", "/demo/other/gradio_api/queue/join"),
    *("/demo/headline-sentimen", "/demo/headline-sentiment2/", "/demo/headline-sentiment-/", "/demo/headline/"),
    *("/demo/headline-sentiment.", "/demo/headline-sentiment;/", "/demo/headline-sentiment:8080/", "/demo/%00/"),
    *(
        "/Demo/headline-sentiment/",
        "/DEMO/headline-sentiment/",
        "/demo/Headline-Sentiment/",
        "/demo/headline-SENTIMENT",
    ),
    *("/demo/headline%2Dsentiment/", "/demo%2Fheadline-sentiment/", "/%64emo/headline-sentiment/", "/demo/./other/"),
    *(f"{DEMO}/../other/", f"{DEMO}/../../metrics", f"{DEMO}/..", f"{DEMO}/../", f"{DEMO}/.", f"{DEMO}/./"),
    *(f"{DEMO}/..%2fother/", f"{DEMO}/%2e%2e/other/", f"{DEMO}/%2e%2e/%2e%2e/metrics", f"{DEMO}/%2E%2E%2Fmetrics"),
    *(f"{DEMO}/..%5c..%5cmetrics", f"{DEMO}/..;/other/", f"{DEMO}/.%2e/other/", f"{DEMO}/%252e%252e/metrics"),
    *(f"{DEMO}%2f..%2f..%2fmetrics", f"{DEMO}%00", f"{DEMO}%0a", f"{DEMO}%20", f"{DEMO}%2f", f"{DEMO}%3f"),
    *(f"{DEMO}//", f"{DEMO}//metrics", f"{DEMO}/%2f", f"{DEMO}/%2fmetrics", f"{DEMO}/\\..\\metrics"),
    *("/static/", "/assets/x.js", "/theme.css", "/gradio_api/queue/join", "/manifest.json", "/favicon.ico"),
    *("/robots.txt", "/config", "/info", "/login", "/.env", "/.tidegate/secret", "/etc/passwd", "/proxy=x"),
)

CLOSED = (
    *(f"{DEMO}/config", f"{DEMO}/config/", f"{DEMO}/info", f"{DEMO}/api", f"{DEMO}/login", f"{DEMO}/logout"),
    *(f"{DEMO}/gradio_api/info", f"{DEMO}/gradio_api/info/", f"{DEMO}/gradio_api/openapi.json", f"{DEMO}/token"),
    *(f"{DEMO}/gradio_api/user", f"{DEMO}/gradio_api/login_check", f"{DEMO}/gradio_api/token", f"{DEMO}/docs"),
    *(f"{DEMO}/gradio_api/file=/etc/passwd", f"{DEMO}/gradio_api/file=etc/passwd", f"{DEMO}/file=/etc/passwd"),
    *(f"{DEMO}/gradio_api/file=http://169.254.169.254/", f"{DEMO}/gradio_api/file=https://example.org/x.js"),
    *(f"{DEMO}/gradio_api/file/etc/passwd", f"{DEMO}/gradio_api/file=%2fetc%2fpasswd", f"{DEMO}/gradio_api/file="),
    *(f"{DEMO}/gradio_api/proxy=http://127.0.0.1/", f"{DEMO}/proxy=http://127.0.0.1:1/", f"{DEMO}/gradio_api/proxy="),
    *(f"{DEMO}/gradio_api/proxy=https://x.hf.space/a", f"{DEMO}/gradio_api/%70roxy=http://127.0.0.1/"),
    *(f"{DEMO}/gradio_api/upload", f"{DEMO}/upload", f"{DEMO}/gradio_api/upload_progress?upload_id=1"),
    *(f"{DEMO}/gradio_api/component_server", f"{DEMO}/gradio_api/process_recording", f"{DEMO}/gradio_api/deep_link"),
    *(f"{DEMO}/gradio_api/call/answer", f"{DEMO}/gradio_api/call/v2/answer", f"{DEMO}/gradio_api/run/predict/"),
    *(f"{DEMO}/gradio_api/run/answer/", f"{DEMO}/gradio_api/api/predict", f"{DEMO}/gradio_api/call/answer/1"),
    *(f"{DEMO}/gradio_api/stream/1", f"{DEMO}/gradio_api/stream/a/1/2/playlist.m3u8", f"{DEMO}/gradio_api/reset"),
    *(f"{DEMO}/gradio_api/cancel", f"{DEMO}/gradio_api/heartbeat/abc", f"{DEMO}/gradio_api/startup-events"),
    *(f"{DEMO}/gradio_api/runs", f"{DEMO}/gradio_api/run-history/buckets", f"{DEMO}/gradio_api/run-history/connect"),
    *(f"{DEMO}/gradio_api/custom_component/x/client/component/index.js", f"{DEMO}/gradio_api/dev/reload"),
    *(f"{DEMO}/gradio_api/vibe-edit", f"{DEMO}/gradio_api/vibe-code", f"{DEMO}/gradio_api/vibe-starter-queries"),
    *(f"{DEMO}/gradio_api/profiling/traces", f"{DEMO}/gradio_api/profiling/clear", f"{DEMO}/gradio_api/mcp"),
    *(f"{DEMO}/gradio_api/mcp/sse", f"{DEMO}/gradio_api/mcp/schema", f"{DEMO}/mcp", f"{DEMO}/gradio_api"),
    *(f"{DEMO}/monitoring", f"{DEMO}/monitoring/", f"{DEMO}/monitoring/summary", f"{DEMO}/monitoring/key/dashboard"),
    *(f"{DEMO}/gradio_api/theme.css", f"{DEMO}/gradio_api/", f"{DEMO}/gradio_api/queue", f"{DEMO}/gradio_api/queue/"),
    *(f"{DEMO}/gradio_api/queue/status", f"{DEMO}/gradio_api/queue/data/", f"{DEMO}/gradio_api/queue//data"),
    *(f"{DEMO}/gradio_api//queue/data", f"{DEMO}/gradio_api/queue/../info", f"{DEMO}/gradio_api/queue/%2e%2e/info"),
    *(f"{DEMO}/Gradio_Api/queue/data", f"{DEMO}/gradio_api/QUEUE/data", f"{DEMO}/THEME.CSS", f"{DEMO}/theme.css/"),
    *(f"{DEMO}/svelte/index.js", f"{DEMO}/pwa_icon", f"{DEMO}/pwa_icon/192", f"{DEMO}/manifest.json"),
    *(
        f"{DEMO}/robots.txt",
        f"{DEMO}/favicon.ico",
        f"{DEMO}/static",
        f"{DEMO}/static/",
        f"{DEMO}/assets",
        f"{DEMO}/assets/",
    ),
    *(
        f"{DEMO}/static/img/logo.svg",
        f"{DEMO}/static/js/",
        f"{DEMO}/static/../config",
        f"{DEMO}/static/fonts/../x.woff2",
    ),
    *(f"{DEMO}/static/fonts/x/../../js/y.woff2", f"{DEMO}/static/fonts//x.woff2", f"{DEMO}/static/ffmpeg/x.js"),
    *(f"{DEMO}/assets/../../routes.py", f"{DEMO}/assets/%2e%2e/routes.py", f"{DEMO}/assets/..%2froutes.js"),
    *(f"{DEMO}/assets/index.html", f"{DEMO}/assets/.hidden.js", f"{DEMO}/assets/a/b.js", f"{DEMO}/assets/x.js%00"),
    *(
        f"{DEMO}/assets/x.js%0a",
        f"{DEMO}/assets/x.py",
        f"{DEMO}/assets//x.js",
        f"{DEMO}/assets/x.js/",
        f"{DEMO}/assets/x.JS",
    ),
    *(f"{DEMO}/assets/%69ndex.js", f"{DEMO}/assets/x.js;y", f"{DEMO}/assets/x\\y.js", f"{DEMO}/other", f"{DEMO}/page2"),
)

_PLACES = (
    *("/metrics", "/docs", "/openapi.json", "/models", "/models/other/predict", "/v2/models/other/infer", "/relabel"),
    *("/drift/headline-sentiment", "/alerts", "/login", "/invocations", "/demo/other/", "/demo/other/gradio_api/info"),
    *(f"{DEMO}/config", f"{DEMO}/gradio_api/info", f"{DEMO}/gradio_api/file=/etc/passwd", f"{DEMO}/gradio_api/upload"),
    *(f"{DEMO}/gradio_api/proxy=http://127.0.0.1/", f"{DEMO}/gradio_api/stream/1", f"{DEMO}/gradio_api/call/answer"),
)


def _disguises(place: str) -> Iterator[str]:
    first, rest = place[1:2], place[2:]
    yield f"/{place}"
    yield f"//{place}"
    yield f"/.{place}"
    yield f"/x/..{place}"
    yield f"{DEMO}/..{'/..' if place.startswith('/demo') else ''}{place}"
    yield f"{DEMO}/%2e%2e/%2E%2E{place}"
    yield f"{DEMO}/..%2f..%2f{place[1:]}"
    yield f"{DEMO}/%252e%252e/%252e%252e{place}"
    yield f"{DEMO}/..;/..;{place}"
    yield f"{DEMO}{place}"
    yield f"{DEMO}/{place}"
    yield f"{DEMO}\\..\\..{place}"
    yield f"/%{ord(first):02x}{rest}"
    yield f"/%25{ord(first):02x}{rest}"
    yield f"{place}/"
    yield f"{place}//"
    yield f"{place}%00"
    yield f"{place}%20"
    yield f"{place}%0d%0a"
    yield f"{place};a=b"
    yield f"{place}%3fshare=x"
    yield f"{place}%23"
    yield f"{place}.css"
    yield f"{place}/theme.css"
    yield f"{place}/../theme.css"
    yield place.upper()
    yield place.replace("/", "//")
    yield place.replace("/", "/./")
    yield place.replace("/", "%2f")
    yield place.replace("/", "\\")


DISGUISED = tuple(sorted({one for place in _PLACES for one in _disguises(place)} - {*STRAY, *CLOSED}))
