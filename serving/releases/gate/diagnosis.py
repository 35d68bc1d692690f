"""Why an output answers otherwise: usual mistakes, each undone and tried.

    the candidate, asked the rows with inputs swapped, scaled, transposed ──answers as the stable version does?──▶ a mistake
    its outputs and classes in another order                             ──the same──▶ a mistake
    files below assets/                                                  ──others?──▶ a hint

A good retraining is nearer to the stable version as it is than with any of that: a mistake is found even where the
difference is within its bound, such as chances that are all sure because the pixels were never divided by 255.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signet.serving.models import small_file
from signet.serving.releases.gate import answers
from signet.serving.releases.gate.answers import CLASSES, VALUES, Paired
from signet.serving.releases.gate.asked import Asked, Run, answered, pair
from signet.serving.releases.gate.isolation import Refusal
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import Signature, TensorSpec

_MOST_TRIES = 24
_MOST_REQUESTS = 8
_MUCH_NEARER = 0.5
"""What explains a difference leaves at most so much of it."""
_NEARER = 0.75
"""The same of inputs that are changed. A good retraining is farther away then: several times."""
_LEAST = 0.1
"""A difference below, by how far answers are from their average, needs no explanation."""
_FEWEST_ROWS = 8
_LEAST_CHANCE = 1e-6
_SURE_OF_ALL = 0.1
"""A candidate's doubt by the stable version's: pixels that were not divided leave a ten thousandth."""
_MOST_ASSETS = 20

Change = Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class Outputs:
    """What an explanation is made from: the requests that callers may send, and what both answered."""

    signature: Signature
    asked: Sequence[Asked]
    labelled: frozenset[str]
    """Outputs whose classes the card names."""

    def pair(self, output: str) -> Paired:
        """Of one output."""
        return pair(self.asked, self.signature, output, labelled=output in self.labelled)

    def crossed(self, asked: Sequence[Asked], stable: str, candidate: str) -> Paired:
        """One output of the stable version beside one of the candidate's."""
        paired = Paired(self.signature.outputs[candidate], self.signature.batched, candidate in self.labelled)
        for before, after in answered(asked):
            one, other = before.get(stable), after.get(candidate)
            if one is not None and other is not None and one.shape == other.shape:
                paired.add(one, other)
        return paired


@dataclass(frozen=True)
class Explanation:
    """Parts of a sentence; empty where there is nothing to say."""

    mistake: str = ""
    """What makes the answers much more like the stable version's when it is undone."""
    hint: str = ""
    """What else is different, and may be why."""


def explanation(outputs: Outputs, output: str, run: Run, assets: Sequence[str]) -> Explanation:
    """What may be wrong with an output. run: asks the candidate."""
    paired = outputs.pair(output)
    far = _distance(paired)
    hint = f"{', '.join(assets)} differ{'s' if len(assets) == 1 else ''} from the stable version's" if assets else ""
    if not math.isfinite(far) or far < _LEAST:
        return Explanation("", hint)
    mistake = _other_output(outputs, output, far) or _other_inputs(outputs, output, run) or _other_classes(paired)
    return Explanation(mistake, hint)


def changed_assets(stable: Path, candidate: Path) -> list[str]:
    """Files below assets/ with other contents, and those that are gone: `assets/words.txt`."""
    found = []
    try:
        names = sorted(path.name for path in (stable / "assets").iterdir() if path.is_file())[:_MOST_ASSETS]
    except OSError:
        return []
    for name in names:
        try:
            if small_file.read(stable / "assets" / name) != small_file.read(candidate / "assets" / name):
                found.append(f"assets/{name}")
        except OSError:
            found.append(f"assets/{name}")
    return found


def _distance(paired: Paired) -> float:
    """By how much rows differ; for numbers, and chances too, by how far they are from their average."""
    if paired.rows < _FEWEST_ROWS:
        return math.inf
    if paired.kind == VALUES:
        return float(answers.changed(paired).mean())
    return answers.distances(_tables(paired)).ratio


def _tables(paired: Paired) -> list[tuple[Array, Array]]:
    """The rows of both, chances by their logarithms: to be sure of everything is far from being rather sure."""
    pairs = list(paired.tables())
    if not all(answers.is_distribution(side) for pair in pairs for side in pair):
        return pairs
    return [(_logarithms(stable), _logarithms(candidate)) for stable, candidate in pairs]


def _logarithms(chances: Array) -> Array:
    return np.log(np.maximum(chances.astype(np.float64), _LEAST_CHANCE))


def _other_output(outputs: Outputs, output: str, far: float) -> str:
    """Whether it answers as another output did."""
    spec = outputs.signature.outputs[output]
    for name, other in outputs.signature.outputs.items():
        if name == output or (other.dtype, other.shape) != (spec.dtype, spec.shape):
            continue
        if _distance(outputs.crossed(outputs.asked, name, output)) < _MUCH_NEARER * far:
            return f"it answers as output {name!r} of the stable version does: are they swapped?"
    return ""


def _other_classes(paired: Paired) -> str:
    """Whether the classes are the same ones in other places."""
    if paired.kind != CLASSES:
        return ""
    pairs = list(paired.tables())
    before = np.concatenate([np.argmax(stable, axis=-1).reshape(-1) for stable, _ in pairs])
    after = np.concatenate([np.argmax(candidate, axis=-1).reshape(-1) for _, candidate in pairs])
    changed = float(np.mean(before != after))
    if changed < _MUCH_NEARER:
        return ""
    count = max(stable.shape[-1] for stable, _ in pairs)
    left = {shift: float(np.mean((before + shift) % count != after)) for shift in range(1, count)}
    shift = min(left, key=lambda one: left[one])
    if left[shift] < _MUCH_NEARER * changed:
        shown = shift if shift <= count // 2 else shift - count
        return f"its classes are those of the stable version, shifted by {shown:+d}"
    table = np.zeros((count, count), np.int64)
    np.add.at(table, (before, after), 1)
    seen = table.sum(axis=1) > 0
    best = table.argmax(axis=1)[seen]
    is_order = len(set(best.tolist())) == len(best) > 1
    if is_order and 1 - table.max(axis=1).sum() / len(before) < _MUCH_NEARER * changed:
        return "its classes are those of the stable version in another order"
    return ""


def _other_inputs(outputs: Outputs, output: str, run: Run) -> str:
    """Whether the candidate answers as the stable version does when its inputs are changed in a usual way."""
    asked = [
        one
        for one in outputs.asked[:_MOST_REQUESTS]
        if isinstance(one.stable, dict) and isinstance(one.candidate, dict)
    ]
    as_it_is = outputs.crossed(asked, output, output)
    least, text = _NEARER * _distance(as_it_is), ""
    for said, change in itertools.islice(_changes(outputs.signature), _MOST_TRIES):
        try:
            undone = [Asked(one.request, one.stable, run(change(one.request.inputs))) for one in asked]
        except (Refusal, ValueError):
            continue
        changed = outputs.crossed(undone, output, output)
        distance = _distance(changed)
        if distance < least and _is_nearer(changed, as_it_is) and _finds_classes(changed, as_it_is):
            least, text = distance, said
    return text


def _finds_classes(one: Paired, other: Paired) -> bool:
    """Whether far more classes are those of the stable version, or all but a few were anyway.

    Larger inputs make a network surer, and so do more steps of training: to be as sure as the stable version is not enough.
    """
    if one.kind != CLASSES:
        return True
    undone, as_it_is = (float(answers.changed(paired).mean()) for paired in (one, other))
    return undone <= _MUCH_NEARER * as_it_is or (undone <= as_it_is and _surer(other))


def _surer(paired: Paired) -> bool:
    """Whether the candidate is sure of everything, where the stable version is not."""
    turned = Paired(paired.spec, paired.batched, paired.labelled)
    for stable, candidate in paired.tables():
        turned.groups[stable.shape[1:]] = ([candidate], [stable])
    return answers.doubt(turned) < _SURE_OF_ALL * answers.doubt(paired)


def _is_nearer(one: Paired, other: Paired) -> bool:
    """Whether the rows of one are nearer to the stable version's than the same rows of the other, beyond chance."""
    near, far = (
        answers.changed(paired) if paired.kind == VALUES else answers.distances(_tables(paired)).apart
        for paired in (one, other)
    )
    return len(near) == len(far) and answers.mean_at_least(far - near) > 0


def _changes(signature: Signature) -> Iterator[tuple[str, Change]]:
    specs = signature.inputs
    for one, other in itertools.combinations(specs, 2):
        if (specs[one].dtype, specs[one].shape) == (specs[other].dtype, specs[other].shape):
            yield f"it answers as if inputs {one!r} and {other!r} were swapped", _swapped(one, other)
    for name, spec in specs.items():
        if spec.dtype is None or spec.dtype.is_string or spec.dtype.numpy.kind == "b":
            continue
        if spec.dtype.is_float:
            for text, factor in (("divided by 255", 1 / 255), ("multiplied by 255", 255.0)):
                yield (
                    f"it answers as the stable version does when input {name!r} is {text}: is its scaling right?",
                    _scaled(name, factor),
                )
        side = _side(spec)
        if side:
            yield f"it answers as if input {name!r} were transposed", _transposed(name, side)
        if spec.shape and len(spec.shape) == 4 and spec.shape[-1] == 3:
            yield f"it answers as if the channels of input {name!r} were reversed", _reversed(name)


def _swapped(one: str, other: str) -> Change:
    return lambda inputs: {**inputs, one: inputs[other], other: inputs[one]}


def _reversed(name: str) -> Change:
    return lambda inputs: {**inputs, name: np.ascontiguousarray(inputs[name][..., ::-1])}


def _scaled(name: str, factor: float) -> Change:
    return lambda inputs: {**inputs, name: (inputs[name] * factor).astype(inputs[name].dtype)}


def _side(spec: TensorSpec) -> int:
    """The length of the sides of a square picture, flat or not; 0 for what is none."""
    if spec.shape is None:
        return 0
    sizes = spec.shape[1:]
    if len(sizes) == 1 and sizes[0]:
        side = math.isqrt(sizes[0])
        return side if side > 1 and side * side == sizes[0] else 0
    return sizes[0] if len(sizes) in (2, 3) and sizes[0] and sizes[0] == sizes[1] and sizes[0] > 1 else 0


def _transposed(name: str, side: int) -> Change:
    def change(inputs: Arrays) -> Arrays:
        array: Array = inputs[name]
        square = array.reshape(len(array), side, side, -1).swapaxes(1, 2)
        return {**inputs, name: np.ascontiguousarray(square).reshape(array.shape)}

    return change
