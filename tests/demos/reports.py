"""A drift report as monitoring makes it, of a model whose inputs changed in the last of twelve windows."""

import math
from typing import Any

HOSTILE = '<script>alert("x")</script>'
NAMES = ("unknown_rate", "tokens", "top_probability", "label", "chars", "digit_share")
START = 1_767_225_600.0  # 2026-01-01


def drift_report(*, alert: bool = True) -> dict[str, Any]:
    """The document of `GET /models/{m}/drift`."""
    windows = [_window(number) for number in range(12)]
    beyond = 1 if alert else 0
    features = [_feature(name, drifted=alert and index < 3) for index, name in enumerate(NAMES)]
    return {
        "model": "headlines",
        "version": 3,
        "status": "drift" if alert else "ok",
        "alert": alert,
        "detail": "beyond threshold: unknown_rate, tokens, top_probability" if alert else "",
        "sentence": "The last two windows differ from what this model was made for, most of all in unknown rate."
        if alert
        else "The newest window of 200 predictions looks like what this model was made for.",
        "advice": "Read the example inputs below; label what waits on the relabel queue." if alert else "",
        "windows": windows,
        "features": features,
        "trends": {name: _trend(windows, beyond * (index < 3)) for index, name in enumerate(NAMES)},
        "distributions": [_distribution(name) for name in NAMES],
        "alarm": _alarm(windows, 9.0 * beyond),
        "attribution": _attribution() if alert else None,
        "accuracy": {
            "accuracy": 0.71, "low": 0.66, "high": 0.76, "atc": 0.69, "reference": 0.834, "trusted": True, "why": "",
        },
        "contracts": [{"name": "truncated", "message": "12 % of the texts are cut; 2 % were"}] if alert else [],
        "periods": {"hour": [w | {"ratio": 0.5 + 0.05 * n} for n, w in enumerate(windows)], "day": []},
        "alerts": [_alert()] if alert else [],
    }  # fmt: skip


def _window(number: int) -> dict[str, Any]:
    start = START + 1_800 * number
    return {
        "id": number + 1, "started_at": start, "ended_at": start + 1_700, "rows": 200, "open": False, "status": "ok",
        "ratio": 0.6, "worst": "tokens",
    }  # fmt: skip


def _alarm(windows: list[dict[str, Any]], beyond: float) -> dict[str, Any]:
    fast = [w | {"surprise": 2.0 + math.sin(n) + beyond * (n > 9), "limit": 6.0} for n, w in enumerate(windows)]
    slow = [w | {"surprise": 1.0 + n / 8, "limit": 5.0} for n, w in enumerate(windows)]
    return {"false_alarm_days": 30.0, "windows": fast, "slow": slow}


def _feature(name: str, *, drifted: bool) -> dict[str, Any]:
    score = 0.4 if drifted else 0.03
    values = {"reference": {"up": 0.5, "down": 0.5}, "window": {"up": 0.8, "down": 0.2}} if name == "label" else {}
    return {
        "name": name, "score": score, "threshold": 0.08, "surprise": 9.0 if drifted else 1.0, "drifted": drifted,
        "reference": 0.1, "window": 0.3,
    } | values  # fmt: skip


def _trend(windows: list[dict[str, Any]], beyond: float) -> list[dict[str, Any]]:
    scores = [0.03 + 0.01 * math.sin(3 * n) + beyond * 0.35 * (n > 9) for n in range(len(windows))]
    return [w | {"score": score, "threshold": 0.08} for w, score in zip(windows, scores, strict=True)]


def _distribution(name: str) -> dict[str, Any]:
    window = [(n + 1) / 55 for n in range(10)]
    return {"name": name, "bins": [f"{n} to {n + 1}" for n in range(10)], "reference": [0.1] * 10, "window": window}


def _attribution() -> dict[str, Any]:
    words = [{"word": word, "before": 0.01, "now": 0.22, "surprise": 8.0} for word in ("film", "actor", HOSTILE)]
    return {
        "window_ids": [11, 12],
        "classes": [
            {"name": "positive", "before": 0.28, "now": 0.55, "surprise": 9.1},
            {"name": HOSTILE, "before": 0.59, "now": 0.31, "surprise": 7.0},
        ],
        "words": {"new": words, "gone": [{"word": "eur", "before": 0.2, "now": 0.0, "surprise": 11.0}]},
        "shift": {"verdict": "covariate", "explained": 0.08, "why": "The mix of classes explains 8 % of it."},
        "classifier": {
            "auc": 0.97, "low": 0.95, "high": 0.99, "window_texts": 380, "reference_texts": 512,
            "window_words": ["film", "plot"], "reference_words": ["eur", "profit"],
        },
        "examples": [
            {"id": f"p{n}", "label": "positive", "score": 0.41, "typicality": 0.001} for n in range(5)
        ],
    }  # fmt: skip


def _alert() -> dict[str, Any]:
    return {
        "id": 7, "kind": "drift", "severity": "ticket", "state": "open", "opened_at": START + 20_000,
        "acknowledged_at": None, "message": "headlines/3: inputs drifted in 2 of the last 3 windows",
    }  # fmt: skip
