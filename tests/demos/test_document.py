import base64
import hashlib

from demos import document

PAGE = """<html lang="en"><head>
<meta property="og:image" content="https://elsewhere.test/a.jpg" />
<meta
    property="og:title"
    content="x"
/>
<meta name="twitter:creator" content="@someone" />
<meta name="viewport" content="width=device-width" />
<link rel="manifest" href="/manifest.json" />
<script>one()</script><script data-mode>
two("</p>")
</script>
<script type="module" crossorigin src="./assets/index.js"></script>
</head></html>"""


def test_what_points_elsewhere_is_taken_out_and_the_rest_stays() -> None:
    tidied = document.tidy(PAGE)

    assert "elsewhere" not in tidied
    assert "og:" not in tidied
    assert "twitter" not in tidied
    assert "manifest" not in tidied
    assert 'name="viewport"' in tidied
    assert './assets/index.js"' in tidied


def test_the_icon_comes_with_the_page() -> None:
    assert '<link rel="icon" href="data:image/svg+xml,' in document.tidy(PAGE)


def test_the_policy_names_every_inline_script_and_no_more() -> None:
    def source(body: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'"

    directives = dict(part.split(" ", 1) for part in document.policy(PAGE).split("; "))

    assert directives["script-src"].split() == ["'self'", source("one()"), source('\ntwo("</p>")\n')]
    assert directives["default-src"] == "'self'"
    assert directives["object-src"] == "'none'"


def test_the_policy_never_allows_inline_or_evaluated_scripts() -> None:
    scripts = document.policy(PAGE).split("script-src ")[1].split(";")[0]

    assert "unsafe" not in scripts
