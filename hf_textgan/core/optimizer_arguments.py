"""The arguments that each optimizer may have for itself."""

# Arguments that one player, or one optimizer of a player, may have for itself.
OPTIMIZER_ARGUMENTS = (
    "learning_rate",
    "lr_scheduler_type",
    "lr_scheduler_kwargs",
    "warmup_steps",
    "optim",
    "optim_args",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "max_grad_norm",
)


__all__ = ["OPTIMIZER_ARGUMENTS"]
