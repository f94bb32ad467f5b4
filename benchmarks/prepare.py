"""Makes the model that everybody serves: trains, registers, exports, and lays the same model out for the peers.

The data set is `--data`, else the shared sentences where they lie beside the checkout, else synthetic headlines.
Texts of up to 512 tokens are taken, so that skewed lengths can be measured. Training takes minutes on two cores.
After: `workspace` is filled. A second call does nothing; remove the folder to start anew.
"""

import json
import shutil
from pathlib import Path

from benchmarks.workspace import MODEL, Workspace, own_folder
from tidegate.bundle import Bundle, TokenizerPreprocessing
from tidegate.cli import children, console
from tidegate.cli.export import export_run
from tidegate.environments import CHECKOUT
from tidegate.errors import UnsupportedSource
from tidegate.settings import Settings

SHARED = CHECKOUT.parent / "shared" / "data" / "financial_phrasebank.csv"
_MAX_TOKENS = 512  # the most that the packaged MiniLM has positions for
_RUN = f"models:/{MODEL}@champion"


def prepare(workspace: Workspace, data: Path | None) -> None:
    """Fill the work folder.

    Raises:
        TidegateError: what training, export or the child refused.
    """
    own_folder(workspace.root)
    if workspace.texts.is_file():
        console.say(f"{workspace.root} is prepared already; remove it to start anew")
        return
    settings = Settings(home=workspace.home.absolute())
    if not (settings.bundles_dir / MODEL).is_dir():
        _train(settings, data or (SHARED if SHARED.is_file() else None))
    _lay_out(settings, workspace)


def _train(settings: Settings, data: Path | None) -> None:
    console.say(f"training on {data or 'synthetic headlines'}: some minutes")
    arguments = ["--register", MODEL, "--alias", "champion", "--max-tokens", str(_MAX_TOKENS)]
    arguments += ["--data", str(data.absolute())] if data else []
    children.train_example(settings, "finetune_transformer.py", arguments, embedded_store=True)
    export_run(settings, _RUN, MODEL, embedded_store=True)


def _lay_out(settings: Settings, workspace: Workspace) -> None:
    """The same model for the peers, and the source model's labels."""
    console.say("laying the model out for the peers; labels of the source model")
    bundle = workspace.bundle()
    preprocessing = _tokenizer(bundle)
    shutil.rmtree(workspace.model, ignore_errors=True)
    workspace.model.mkdir()
    document = {"labels": list(bundle.manifest.labels), "max_tokens": preprocessing.max_tokens}
    (workspace.model / "model.json").write_text(json.dumps(document))
    request = {
        "run": _RUN,
        "home": str(settings.home),
        "tokenizer": str(bundle.file(preprocessing.file)),
        "folder": str(workspace.model.absolute()),
    }
    child = str(Path(__file__).with_name("source_child.py"))
    labelled = children.run_child(settings, [child], request, embedded_store=True)
    workspace.write_texts([(text, label) for text, label in labelled])
    console.say(f"{workspace.root}: {len(labelled)} texts")


def _tokenizer(bundle: Bundle) -> TokenizerPreprocessing:
    preprocessing = bundle.manifest.preprocessing
    if not isinstance(preprocessing, TokenizerPreprocessing):
        raise UnsupportedSource(f"bundle {bundle.manifest.name} is no transformer; the peers serve transformers")
    return preprocessing
