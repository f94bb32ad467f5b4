"""One inference request of either transport: its tensors to texts or feeds, and answers to tensors.

Texts go through `Repository.predict`, so canaries, fairness, deadlines and monitoring are those of every other way in;
tensors go to the graph of one version. Before: `serving.v2.routes` or `serving.v2.rpc`; after: their encoders.
Parameters: `timeout` (microseconds) and `priority` (1 goes first, 3 and above last, 0 says nothing); no others count.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from serving.caller import HIGH, LOW, NORMAL, Caller
from serving.gateway import Gateway
from serving.limits import check_count
from serving.predictions import Predictions
from serving.v2 import tensors
from serving.v2.specs import TEXT, Target
from serving.v2.tensors import BYTES, DTYPES, Sent, Spec, Tensor
from tidegate.errors import MalformedRequest, TidegateError

_PRIORITIES = {1: HIGH, 2: NORMAL}  # Triton: the lower the number, the sooner; 0 is the model's default


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request as it was sent.

    Attributes:
        id: what the answer repeats; empty when there is none.
        outputs: names of those that are wanted; all when empty.
    """

    id: str
    parameters: Mapping[str, Any]
    inputs: Sequence[Sent]
    outputs: Sequence[str]


@dataclass(frozen=True, slots=True)
class InferAnswer:
    """An answer; `predictions` where texts were asked about."""

    target: Target
    version: int
    id: str
    outputs: Sequence[Tensor]
    predictions: Predictions | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Of whom, by whom, and until when."""

    target: Target
    version: int | None
    deadline_seconds: float | None
    caller: Caller

    def with_parameters(self, parameters: Mapping[str, Any]) -> "Asked":
        """The same, with what a request's parameters say of deadline and priority.

        Raises:
            MalformedRequest: they are no whole numbers, 0 or more.
        """
        timeout, priority = _whole(parameters, "timeout"), _whole(parameters, "priority")
        asked = self
        if timeout:
            seconds = timeout / 1e6
            asked = replace(asked, deadline_seconds=min(seconds, self.deadline_seconds or seconds))
        if priority:
            asked = replace(asked, caller=replace(self.caller, priority=_PRIORITIES.get(priority, LOW)))
        return asked


def admit(gateway: Gateway, asked: Asked) -> None:
    """Refuse at once what could not be answered in time; raises what `Repository.admit` does."""
    if asked.target.tensors or asked.version is not None:
        model = gateway.repository.get(asked.target.model, asked.version)
        if not asked.target.tensors:
            model.admit(asked.deadline_seconds, asked.caller)
    else:
        gateway.repository.admit(asked.target.model, asked.deadline_seconds, asked.caller)


async def infer(gateway: Gateway, asked: Asked, request: InferRequest) -> InferAnswer:
    """Answer one request.

    Raises:
        MalformedRequest: tensors that are not what the model takes, or outputs that it does not have.
        TidegateError: what `Repository.predict` or `ServedModel.run_tensors` raise.
    """
    answer = _infer_tensors if asked.target.tensors else _infer_texts
    return await answer(gateway, asked.with_parameters(request.parameters), request)


async def _infer_texts(gateway: Gateway, asked: Asked, request: InferRequest) -> InferAnswer:
    target = asked.target
    try:
        specs = _wanted(target.outputs(gateway.repository.get(target.model, asked.version)), request.outputs)
        sent = tensors.matched(request.inputs, TEXT)["text"]
        check_count(math.prod(sent.shape), gateway.settings)
        texts = tensors.texts(sent)
    except TidegateError as error:
        gateway.metrics.refuse(target.model, error.status)
        raise
    predictions = await gateway.repository.predict(
        target.model, texts, deadline_seconds=asked.deadline_seconds, caller=asked.caller, version=asked.version
    )
    outputs = [_text_output(spec, predictions) for spec in specs]
    return InferAnswer(target, predictions.version, request.id, outputs, predictions)


async def _infer_tensors(gateway: Gateway, asked: Asked, request: InferRequest) -> InferAnswer:
    target = asked.target
    served = gateway.repository.get(target.model, asked.version)
    try:
        [spec] = _wanted(target.outputs(served), request.outputs)
        sent = tensors.matched(request.inputs, target.inputs(served))
        feeds = {name: tensors.array(tensor) for name, tensor in sent.items()}
    except TidegateError as error:
        gateway.metrics.refuse(target.model, error.status)
        raise
    output = await served.run_tensors(feeds, asked.deadline_seconds)
    found = Tensor(spec.name, spec.datatype, output.shape, output.astype(DTYPES[spec.datatype], copy=False))
    return InferAnswer(target, served.manifest.version, request.id, [found])


def _wanted(specs: Sequence[Spec], names: Sequence[str]) -> list[Spec]:
    """The outputs that a request names, in its order; all when it names none."""
    known = {spec.name: spec for spec in specs}
    for name in names:
        if name not in known:
            raise MalformedRequest(f"no output {name[:80]!r}; the model gives: {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)] or list(specs)


def _text_output(spec: Spec, predictions: Predictions) -> Tensor:
    values = _VALUES[spec.name](predictions)
    if spec.datatype == BYTES:
        return Tensor(spec.name, BYTES, (len(values),), values)
    array = np.asarray(values, DTYPES[spec.datatype])
    return Tensor(spec.name, spec.datatype, array.shape, array)


_VALUES: Mapping[str, Any] = {
    "label": lambda p: [answer.label for answer in p.answers],
    "score": lambda p: [answer.score for answer in p.answers],
    "abstained": lambda p: [answer.abstained for answer in p.answers],
    "scores": lambda p: [answer.scores for answer in p.answers],
    "labels": lambda p: p.labels,
    "id": lambda p: p.ids,
    "embedding": lambda p: p.vectors,
}


def _whole(parameters: Mapping[str, Any], name: str) -> int:
    value = parameters.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise MalformedRequest(f"parameter {name} is {str(value)[:40]!r}; send a whole number, 0 or more")
    return value
