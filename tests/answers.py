"""Runs in the export environment: the labels that a registered model gives, asked through MLflow itself.

    python tests/answers.py HOME MODEL TEXTS.json

Prints a JSON list of [label, margin]: the margin is the least that a probability must be off for another label. The
threshold rule of the TF-IDF recipe is applied here from the model's metadata, independently of Tidegate's own code.
"""

import json
import sys
from pathlib import Path

import mlflow


def main(home: Path, model: str, texts: list[str]) -> list[tuple[str, float]]:
    """Of `models:/MODEL@champion`: label of each text, and how far its probabilities are from giving another one."""
    mlflow.set_tracking_uri(f"sqlite:///{home / 'mlflow' / 'mlflow.db'}")
    uri = f"models:/{model}@champion"
    info = mlflow.models.get_model_info(uri)
    if "transformers" in info.flavors:
        classify = mlflow.transformers.load_model(uri)
        ranked = [[(each["score"], each["label"]) for each in answer] for answer in classify(texts, top_k=2)]
        return [(first[1], (first[0] - second[0]) / 2) for first, second in ranked]
    pipeline = mlflow.sklearn.load_model(uri)
    threshold, fallback = float(info.metadata["threshold"]), info.metadata["fallback_label"]
    rows = [sorted(zip(row.tolist(), pipeline.classes_, strict=True))[:-3:-1] for row in pipeline.predict_proba(texts)]
    return [
        (str(label), min(top - threshold, (top - second) / 2)) if top >= threshold else (fallback, threshold - top)
        for (top, label), (second, _) in rows
    ]


if __name__ == "__main__":
    home, model, asked = sys.argv[1:]
    json.dump(main(Path(home), model, json.loads(Path(asked).read_text())), sys.stdout)
