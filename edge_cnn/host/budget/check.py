"""Whether a model keeps to a budget and fits a device, told before hours of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_cnn.core.errors import CheckFailedError
from edge_cnn.core.targets import Target
from edge_cnn.host.architectures import ARCHITECTURES, build_model
from edge_cnn.host.architectures.architecture import CLASSIFICATION
from edge_cnn.host.budget.limits import Budget, Limit, limits_of, scheme_for
from edge_cnn.host.budget.model_costs import ModelCosts, model_costs


@dataclass(frozen=True)
class BudgetReport:
    """What a model costs, beside what it may cost.

    Attributes:
        costs: of the model.
        limits: all kept.
        scheme: "int8" or "float32", which sizes are meant for.
        target: name of the device, "" for none.
    """

    costs: ModelCosts
    limits: tuple[Limit, ...]
    scheme: str
    target: str

    def describe(self) -> str:
        """For a person: a line, and another where the target sets no limits."""
        costs = self.costs
        text = (
            f"{costs.name}: {costs.parameters:,} parameters, {costs.macs:,} multiply-accumulates a sample, about "
            f"{costs.size(self.scheme):,} bytes as {self.scheme} .tflite, "
            f"{costs.activation_bytes(self.scheme):,} bytes of activations at the least"
        )
        if self.target and not any(self.target in limit.source for limit in self.limits):
            text += f"\n{self.target} states no memory, so nothing is held against it; --max-size sets a limit"
        return text

    def to_json(self) -> dict[str, Any]:
        limits = [
            {"source": limit.source, "unit": limit.unit, "limit": limit.most, "used": limit.measure(self.costs)}
            for limit in self.limits
        ]
        return self.costs.to_json() | {"scheme": self.scheme, "target": self.target or None, "limits": limits}


def check_budget(model: Any, budget: Budget, target: Target | None = None, *, pretrained: bool = False) -> BudgetReport:
    """Hold an untrained or trained Keras model against limits.

    Args:
        model: a built `keras.Model` of one input.
        budget: limits of the user.
        target: device whose memory the model must fit, where its row states one.
        pretrained: whether the model is one that the user gave, so that no architecture takes its place.

    Raises:
        CheckFailedError: a limit is exceeded, or the multiplications cannot be counted that one is set for; the line
            names the number, the limit, and an architecture that keeps to all limits, where there is one.
        ModelError: the model is no graph of layers.
    """
    costs = model_costs(model)
    limits = limits_of(budget, target)
    if budget.max_macs is not None and costs.graph.uncounted:
        raise CheckFailedError(
            f"the multiplications of layer {costs.graph.uncounted[0]!r} of {model.name} are not counted, so --max-macs "
            "cannot be checked; leave it out"
        )
    for limit in limits:
        if not limit.is_kept(costs):
            raise CheckFailedError(
                f"{model.name} {limit.verb} {limit.measure(costs):,} {limit.unit}, and {limit.source} is "
                f"{limit.most:,}; {_PRETRAINED if pretrained else _advice(model, limits, limit)}"
            )
    return BudgetReport(costs, tuple(limits), scheme_for(target), target.name if target else "")


_PRETRAINED = "start --from a smaller network (of keras:NAME: a smaller --image-size), or give another limit"


def _advice(model: Any, limits: list[Limit], broken: Limit) -> str:
    """What to do: the architecture with most multiplications that keeps to all limits, or that there is none."""
    image_shape, classes = tuple(model.input_shape[1:]), model.output_shape[-1]
    task = ARCHITECTURES[model.name].task if model.name in ARCHITECTURES else CLASSIFICATION
    fitting: list[ModelCosts] = []
    for name, row in ARCHITECTURES.items():
        if name != model.name and row.task == task and len(image_shape) == 3 and min(image_shape[:2]) >= row.min_side:
            costs = model_costs(build_model(name, image_shape, classes))
            if all(limit.is_kept(costs) for limit in limits):
                fitting.append(costs)
    if fitting:
        best = max(fitting, key=lambda costs: costs.macs)
        return f"give --arch {best.name}, which {broken.verb} {broken.measure(best):,}"
    size = "x".join(map(str, image_shape))
    return f"no other architecture keeps to it with inputs of {size}; give smaller images or another limit"
