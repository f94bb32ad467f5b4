"""The pages of people who label: their own policy, escaped names, and who may see them."""

import re
from pathlib import Path

from demos import relabel_page
from demos.relabel_page import mount_relabel_page
from serving.access import ANNOTATE, PREDICT
from serving.keys import ApiKeys
from tests.serving.apps import Running, on_gateway
from tidegate.store import open_database


def test_the_page_has_its_policy_its_guidelines_and_files_of_this_server_alone(tmp_path: Path) -> None:
    (tmp_path / "guidelines").mkdir()
    (tmp_path / "guidelines" / "sentiment.md").write_text("Think of an **investor**.")

    async def scenario(g: Running) -> None:
        mount_relabel_page(g.app)
        page = await g.client.get("/relabel/sentiment")

        assert page.status_code == 200
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert "<strong>investor</strong>" in page.text
        assert not re.search(r"(?:src|href)=\"(?!/|data:,)", page.text)
        for name in re.findall(r"(?:src|href)=\"(/relabel/relabel[^\"]*)\"", page.text):
            file = await g.client.get(name)
            assert (file.status_code, file.headers["cache-control"]) == (200, "no-cache")
            for imported in re.findall(r"from \"\./([^\"]+)\"", file.text):
                script = await g.client.get(f"/relabel/{imported}")
                assert script.headers["content-type"].startswith("text/javascript")
        assert (await g.client.get("/relabel/nobody")).status_code == 404
        assert (await g.client.get("/relabel/page.py")).status_code == 404
        index = (await g.client.get("/relabel")).text
        assert 'href="/relabel/sentiment"' in index
        assert "nothing waits" in index

    on_gateway(tmp_path, scenario)


def test_the_key_that_annotates_names_the_person(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'state.db'}")
    keys = ApiKeys(database)
    ann, app = keys.create('"ann" <b>', ANNOTATE)[1], keys.create("app", PREDICT)[1]

    async def scenario(g: Running) -> None:
        mount_relabel_page(g.app)
        page = await g.client.get("/relabel/sentiment", headers={"x-api-key": ann})
        assert 'data-annotator="&quot;ann&quot; &lt;b&gt;"' in page.text
        for path in ("/relabel", "/relabel/sentiment", "/relabel/relabel.js"):
            assert (await g.client.get(path, headers={"x-api-key": app})).status_code == 403
            assert (await g.client.get(path)).status_code == 401

    on_gateway(tmp_path, scenario, keys=keys)
    database.dispose()


def test_everything_points_below_the_root_path() -> None:
    page = relabel_page.render("m", "", "", "/proxy") + relabel_page.render_index({"m": 1_000}, "/proxy")

    assert set(re.findall(r"(?:href|data-at|data-login)=\"([^\"]+)\"", page)) == {
        *("/proxy/relabel", "/proxy/relabel/m", "/proxy/login"),
    }
    assert "1,000 waiting" in page
