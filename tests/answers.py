"""Runs in the export environment: the labels that a registered model gives, asked through MLflow itself.

    python tests/answers.py HOME MODEL TEXTS.json

Prints a JSON list of labels. The threshold rule of the TF-IDF recipe is applied here from the model's metadata,
independently of Tidegate's own code.
"""

import json
import sys
from pathlib import Path

import mlflow


def main(home: Path, model: str, texts: list[str]) -> list[str]:
    """Labels of `models:/MODEL@champion`."""
    mlflow.set_tracking_uri(f"sqlite:///{home / 'mlflow' / 'mlflow.db'}")
    uri = f"models:/{model}@champion"
    info = mlflow.models.get_model_info(uri)
    if "transformers" in info.flavors:
        classify = mlflow.transformers.load_model(uri)
        return [answer["label"] for answer in classify(texts)]
    pipeline = mlflow.sklearn.load_model(uri)
    scores = pipeline.predict_proba(texts)
    threshold, fallback = float(info.metadata["threshold"]), info.metadata["fallback_label"]
    return [str(pipeline.classes_[row.argmax()]) if row.max() >= threshold else fallback for row in scores]


if __name__ == "__main__":
    home, model, asked = sys.argv[1:]
    json.dump(main(Path(home), model, json.loads(Path(asked).read_text())), sys.stdout)
