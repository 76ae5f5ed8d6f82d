"""What a network will cost a device, counted before it is trained."""

from edge_cnn.host.budget.check import BudgetReport, check_budget
from edge_cnn.host.budget.limits import Budget, Limit
from edge_cnn.host.budget.model_costs import ModelCosts, model_costs

__all__ = ["Budget", "BudgetReport", "Limit", "ModelCosts", "check_budget", "model_costs"]
