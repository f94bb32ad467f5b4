"""The bundle: the contract between exporting and serving, one directory `bundles/<name>/<version>/`.

`bundle.json` is the manifest below; `bundle.sha256` is the digest of `bundle.json`; the manifest holds the
digest of every other file. Loading reads every byte once and refuses, by name, the first file that is not
what was published. Nothing in a bundle is a pickle. Written by `exporters.pipeline` through
`tidegate.bundle_store`; read by serving, monitoring and demos.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tidegate.errors import BundleCorrupt, BundleNotFound

MANIFEST = "bundle.json"
MANIFEST_DIGEST = "bundle.sha256"
DEMO = "demo.py"  # in a run and in a bundle
SCHEMA_VERSION: Final = 1

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Task = Literal["text-classification", "embedding"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Document = TypeVar("Document", bound=BaseModel)


class Part(BaseModel):
    """Base of every manifest section: frozen, and unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(Part):
    """What a file of the bundle was when it was published."""

    sha256: Sha256
    size_bytes: int = Field(ge=0)


class TensorSpec(Part):
    """One input or output of the ONNX graph; -1 marks a variable dimension."""

    name: str
    datatype: Literal["INT64", "FP32"]
    shape: tuple[int, ...]


class TokenizerPreprocessing(Part):
    """Text to token ids by a Hugging Face `tokenizer.json`."""

    kind: Literal["tokenizer"] = "tokenizer"
    file: str = "tokenizer.json"
    max_tokens: int = Field(ge=2, description="Longer texts are truncated to this many tokens, specials included.")
    pad_id: int = Field(0, ge=0)
    unknown_id: int | None = Field(None, description="Token id that stands for an unknown word, if there is one.")


class TfidfPreprocessing(Part):
    """Text to TF-IDF terms by a vocabulary and idf kept as data (`tidegate.tfidf`)."""

    kind: Literal["tfidf"] = "tfidf"
    file: str = "vectorizer.json"


Preprocessing = Annotated[TokenizerPreprocessing | TfidfPreprocessing, Field(discriminator="kind")]


class Postprocessing(Part):
    """Graph output to probabilities to an answer."""

    activation: Literal["softmax", "sigmoid", "none"] = Field(
        "softmax", description="none: the graph answers probabilities."
    )
    temperature: float = Field(1.0, gt=0, description="Logits are divided by it (Guo et al. 2017).")
    threshold: float | None = Field(None, ge=0, le=1, description="Below this top probability the model abstains ...")
    fallback_label: str | None = Field(None, description="... and this label answers.")


class Embedding(Part):
    """What the vectors of an embedding bundle are; pooling and normalisation are part of its graph."""

    dimensions: int = Field(ge=1)
    pooling: Literal["mean", "cls"] = Field(description="How the vectors of a text's tokens became one.")
    normalised: bool = Field(description="Every vector has length 1.")


class Evidence(Part):
    """What was measured of one variant, against the source model, on the evaluation data.

    Embeddings have no labels: there `agreement` and `flips` count nearest neighbours among the evaluation texts, and
    differences are cosine distances; accuracy and macro-F1 are 0 and mean nothing.
    """

    variant: str
    accepted: bool
    refusal: str = Field("", description="Why it was refused; empty when accepted.")
    rows: int = Field(ge=1, description="Evaluation rows.")
    agreement: float = Field(ge=0, le=1, description="Share of rows on which label and source model's label agree.")
    max_abs_error: float = Field(ge=0, description="Largest difference of one probability from the source model's.")
    accuracy: float = Field(0.0, ge=0, le=1)
    accuracy_interval: tuple[float, float] = Field((0.0, 0.0), description="95 % bootstrap interval.")
    macro_f1: float = Field(0.0, ge=0, le=1)
    macro_f1_interval: tuple[float, float] = (0.0, 0.0)
    source_accuracy: float = Field(0.0, ge=0, le=1)
    source_macro_f1: float = Field(0.0, ge=0, le=1)
    mean_cosine: float | None = Field(
        None, ge=-1, le=1, description="Of embeddings: mean cosine similarity to the source model's vectors ..."
    )
    worst_cosine: float | None = Field(None, ge=-1, le=1, description="... and the lowest of any evaluation text.")
    flips: int = Field(
        0, ge=0, description="Labels that differ between one text a run and batches of 32; if any, one a run is served."
    )
    batch_difference: float = Field(0.0, ge=0, description="Largest difference of a probability between the two.")
    size_bytes: int = Field(ge=0)
    latency_p50_seconds: float = Field(gt=0, description="One text, tokenization included.")
    throughput_texts_per_second: float = Field(gt=0, description="Batches of 32 texts.")
    hardware: str = Field(description="`tidegate.devices.hardware()` where it was measured.")


class Variant(Part):
    """One servable file of the model, and how it runs best."""

    name: Name
    file: str
    precision: Literal["fp32", "fp16", "int8"]
    max_batch_size: int = Field(64, ge=1, description="1 where an answer would depend on batch-mates (dynamic int8).")
    one_thread_runs: bool = Field(False, description="Many one-thread runs at once beat one run on all cores.")


class Lineage(Part):
    """Where the bundle comes from."""

    source_uri: str
    run_id: str = ""
    flavour: str
    params: dict[str, str] = {}
    metrics: dict[str, float] = {}
    git_commit: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""
    packages: dict[str, str] = {}


class Manifest(Part):
    """`bundle.json`."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: Name
    version: int = Field(ge=1)
    task: Task = "text-classification"
    description: str = ""
    created_at: datetime
    labels: tuple[str, ...] = Field((), description="Two or more; none where the task is embedding.")
    embedding: Embedding | None = Field(None, description="Of embeddings.")
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preprocessing: Preprocessing
    postprocessing: Postprocessing
    variants: tuple[Variant, ...] = Field(min_length=1)
    chosen: str = Field(description="Name of the variant that is served.")
    evidence: tuple[Evidence, ...] = Field(description="Every candidate's numbers, those refused included.")
    lineage: Lineage
    reference_profile: str = Field(
        "reference.bin", description="whylogs profile of training inputs and evaluation predictions."
    )
    drift_calibration: str = Field(
        "drift.json", description="Bins and null distribution that windows are scored against."
    )
    verification: str | None = Field(
        None, description="Evaluation texts with the source model's answers, to verify again on another machine."
    )
    behaviour: str | None = Field(None, description="What its behavioural tests came to.")
    demo: str | None = Field(None, description="Demo page that its run brought: code, run only where it is trusted.")
    health: str | None = Field(None, description="How its variants answered the evaluation texts, as counts.")
    samples: tuple[str, ...] = Field(min_length=1, description="Example inputs, shown in the demo and used to warm up.")
    files: dict[str, FileEntry]

    @model_validator(mode="after")
    def _fits_the_task(self) -> Self:
        if self.task == "text-classification" and (len(self.labels) < 2 or self.embedding is not None):
            raise ValueError("a classifier has two labels or more, and no embedding")
        if self.task == "embedding" and (
            self.labels or self.embedding is None or self.postprocessing.activation != "none"
        ):
            raise ValueError("an embedding bundle says what its vectors are, has no labels and no activation")
        return self

    def variant(self, name: str | None = None) -> Variant:
        """The named variant, or the chosen one.

        Raises:
            BundleNotFound: no variant of that name.
        """
        wanted = name or self.chosen
        for variant in self.variants:
            if variant.name == wanted:
                return variant
        known = ", ".join(v.name for v in self.variants)
        raise BundleNotFound(f"bundle {self.name}/{self.version} has no variant {wanted!r}; it has: {known}")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle on disk."""

    path: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """Path of one of its files."""
        return self.path / name


def load_bundle(path: Path) -> Bundle:
    """Read and verify the bundle in `path`.

    Raises:
        BundleNotFound: there is no manifest.
        BundleCorrupt: a file is missing, changed, or the manifest is not valid; the message names the file.
    """
    if not (path / MANIFEST).is_file():
        raise BundleNotFound(f"no bundle in {path}: {MANIFEST} is missing; `tidegate bundles list` shows what there is")
    manifest_bytes = _verified_manifest(path)
    try:
        manifest = Manifest.model_validate_json(manifest_bytes)
    except ValidationError as error:
        raise BundleCorrupt(f"{path / MANIFEST} does not fit schema {SCHEMA_VERSION}: {first_fault(error)}") from None
    for name, entry in manifest.files.items():
        _verify_file(path, name, entry)
    return Bundle(path, manifest)


def read_document(bundle: Bundle, name: str | None, schema: type[Document], what: str) -> Document | None:
    """A JSON file of a bundle; None where the manifest names none, as in bundles of before there was such a file.

    Raises:
        BundleCorrupt: the file is no such thing; `what` names it in the message.
    """
    if name is None:
        return None
    file = bundle.file(name)
    try:
        return schema.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        fault = first_fault(error) if isinstance(error, ValidationError) else str(error)
        raise BundleCorrupt(f"{file} is no {what}: {fault}; export the bundle again") from None


def digest(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_fault(error: ValidationError) -> str:
    """The first fault of a pydantic error as `where: what`."""
    fault: Any = error.errors(include_url=False)[0]
    where = ".".join(str(step) for step in fault["loc"]) or "document"
    return f"{where}: {fault['msg']}"


def _verified_manifest(path: Path) -> bytes:
    content = (path / MANIFEST).read_bytes()
    recorded = path / MANIFEST_DIGEST
    expected = recorded.read_text(errors="replace").strip() if recorded.is_file() else "nothing"
    if hashlib.sha256(content).hexdigest() != expected:
        raise BundleCorrupt(
            f"{path / MANIFEST} is not what was published ({MANIFEST_DIGEST} holds {expected[:12]}); export it again"
        )
    return content


def _verify_file(path: Path, name: str, entry: FileEntry) -> None:
    file = path / name
    if not file.is_file():
        raise BundleCorrupt(f"{file} is missing from the bundle; export it again")
    if file.stat().st_size != entry.size_bytes or digest(file) != entry.sha256:
        raise BundleCorrupt(f"{file} is not what was published (its sha256 differs from the manifest); export it again")
