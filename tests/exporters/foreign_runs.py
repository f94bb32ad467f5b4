"""Runs as other tools leave them on disk, written by those tools: TensorBoard, W&B (offline), the Trainer.

`python -m tests.exporters.foreign_runs wandb FOLDER NAME STEPS [RUN_ID]` logs a W&B run in a process of its own.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.exporters.models import LABELS, TRAINING, tiny_bert

LEARNING_RATE = 0.01


def tensorboard_run(folder: Path, steps: int = 5, *, first: int = 0, hparams: bool = True) -> Path:
    """A folder with losses, a tensor of one number, a text, a histogram and, below it, HParams."""
    import torch
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for step in range(first, first + steps):
            writer.add_scalar("loss", 1 / (step + 1), step)
            writer.add_scalar("validation/accuracy", step / 10, step, new_style=True)
        writer.add_text("notes", "warm-up of **10** steps")
        writer.add_histogram("weights", torch.arange(10))
        if hparams:
            writer.add_hparams({"learning_rate": LEARNING_RATE, "optimizer": "adam", "batch": 32}, {"best": 0.5})
    return folder


def wandb_run(folder: Path, name: str = "first", steps: int = 5, run_id: str = "") -> Path:
    """An offline run below `folder`; answers the run's own folder."""
    before = set(folder.glob("wandb/*run-*"))
    environment = os.environ | {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
    environment |= {"WANDB_RESUME": "allow"} if run_id else {}
    command = [sys.executable, "-m", "tests.exporters.foreign_runs", str(folder), name, str(steps), run_id]
    subprocess.run(command, check=True, env=environment, cwd=Path(__file__).parents[2], capture_output=True)
    (made,) = set(folder.glob("wandb/*run-*")) - before
    return made


def trainer_run(folder: Path, steps: int = 6, *, resume: bool = False) -> Path:
    """A fine-tuned tiny BERT with a checkpoint every two steps; answers the folder that the Trainer was given."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    start = tiny_bert(folder.parent / "start")
    tokenizer = AutoTokenizer.from_pretrained(start)
    encoded = tokenizer([text for text, _ in TRAINING[:32]], truncation=True, max_length=16, padding="max_length")
    rows: list[dict[str, Any]] = [
        {"input_ids": ids, "attention_mask": mask, "labels": LABELS.index(label)}
        for ids, mask, (_, label) in zip(encoded["input_ids"], encoded["attention_mask"], TRAINING, strict=False)
    ]
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=8,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=2,
        save_steps=2,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        use_cpu=True,
        seed=0,
    )
    model = AutoModelForSequenceClassification.from_pretrained(start)
    trainer = Trainer(
        model=model, args=arguments, train_dataset=rows, eval_dataset=rows[:8], processing_class=tokenizer
    )
    trainer.train(resume_from_checkpoint=resume)
    return folder


def _log_wandb(folder: str, name: str, steps: str, run_id: str = "") -> None:
    import wandb

    run = wandb.init(
        dir=folder,
        project="toy",
        name=name,
        id=run_id or None,
        config={"learning_rate": LEARNING_RATE, "layers": {"hidden": 64}},
        tags=["try"],
        notes="a note",
        settings=wandb.Settings(x_disable_stats=True, console="off"),
    )
    for step in range(int(steps)):
        run.log({"loss": 1 / (step + 1), "validation": {"accuracy": step / 10}, "word": "none"})
    run.log({"histogram": wandb.Histogram([1, 2, 3])})
    run.summary["best"] = 0.5
    run.finish()


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    _log_wandb(*sys.argv[1:])
