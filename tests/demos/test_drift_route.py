"""The page of a gateway: its own policy, for those who may see texts, and as good below a proxy's root path."""

from pathlib import Path

from demos.drift_page import mount_drift_page
from serving.access import ANNOTATE, role_of
from tests.demos.reports import drift_report
from tests.serving.apps import Running, on_gateway


def test_the_page_is_served_with_the_report_and_its_examples(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        mount_drift_page(g.app)
        g.monitor.report = drift_report()
        await g.client.post("/models/sentiment/predict", json={"inputs": "<i>shares fell</i>"})
        g.monitor.report["attribution"]["examples"][0]["id"] = g.monitor.records[0].id
        page = await g.client.get("/drift/sentiment?alert=7")

        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "&lt;i&gt;shares fell&lt;/i&gt;" in page.text
        assert g.monitor.asked == ("sentiment", 1, 7)

    on_gateway(tmp_path, scenario)


def test_what_is_asked_for_has_to_be_there(tmp_path: Path) -> None:
    async def scenario(g: Running) -> None:
        mount_drift_page(g.app)

        assert (await g.client.get("/drift/none")).status_code == 404
        for query in ("alert=x", "alert=-1", "version=1e3", f"alert={'9' * 30}", "alert=²"):
            assert (await g.client.get(f"/drift/sentiment?{query}")).status_code == 422, query
            assert (await g.client.get(f"/models/sentiment/drift?{query}")).status_code == 422, query

    on_gateway(tmp_path, scenario)


def test_the_page_takes_a_key_that_may_see_texts() -> None:
    assert role_of("GET", "/drift/sentiment") is ANNOTATE
