"""Baselines of the policy gradient: what is subtracted from the rewards before they weigh log-probabilities."""

from typing import Literal, get_args

import torch


BaselineKind = Literal["none", "mean", "ema", "leave_one_out", "position_mean"]


class RewardBaseline:
    """
    A baseline of rewards per token (Williams, 1992, Machine Learning 8, section 4).

    | kind | subtracted from a reward | the gradient stays unbiased |
    |---|---|---|
    | `none` | nothing | yes |
    | `ema` | the moving average of the mean reward of earlier steps | yes: it does not depend on the batch |
    | `leave_one_out` | the mean reward of the other sequences' tokens | yes: they are independent of the sequence |
    | `mean` | the mean reward of the batch | up to a term of order 1 / batch size, its own reward being in it |
    | `position_mean` | the mean reward of the batch at the position | up to such a term |

    Args:
        kind (`str`):
            One of the kinds above.
        decay (`float`, *optional*, defaults to `0.99`):
            Weight of the past in the moving average of `ema`; the average is corrected for its start at 0.

    Raises:
        `ValueError`: If there is no such kind.
    """

    def __init__(self, kind: BaselineKind, decay: float = 0.99):
        if kind not in get_args(BaselineKind):
            raise ValueError(f"baseline is {kind!r}; set it to one of {', '.join(get_args(BaselineKind))}.")
        self.kind, self.decay = kind, decay
        self.average, self.weight = 0.0, 0.0  # of `ema`: the decayed sum of the means, and of their weights

    @property
    def couples_batch(self) -> bool:
        """Returns whether the advantage of a sequence depends on the others of its batch."""
        return self.kind in ("mean", "leave_one_out", "position_mean")

    def advantages(self, rewards: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """
        Returns rewards minus the baseline, of shape `(batch_size, max_length)`; 0 at padding.

        Args:
            rewards (`torch.Tensor` of shape `(batch_size, max_length)`):
                Rewards of the tokens, 0 at padding.
            mask (`torch.Tensor` of shape `(batch_size, max_length)`):
                1 at tokens, 0 at padding.
        """
        if self.kind == "none":
            return rewards
        if self.kind == "ema":
            baseline = rewards.new_tensor(self.average / self.weight if self.weight else 0.0)
        elif self.kind == "mean":
            baseline = rewards.sum() / mask.sum()
        elif self.kind == "position_mean":
            baseline = rewards.sum(0) / mask.sum(0).clamp(min=1)  # (T,)
        else:
            if len(rewards) < 2:
                raise ValueError(
                    "baseline is 'leave_one_out' and the batch has 1 sequence; raise per_device_train_batch_size to 2 "
                    "or more."
                )
            others = rewards.sum() - rewards.sum(1, keepdim=True)
            baseline = others / (mask.sum() - mask.sum(1, keepdim=True))  # (B, 1)
        return (rewards - baseline) * mask

    def state_dict(self) -> dict[str, float]:
        """Returns the moving average."""
        return {"average": self.average, "weight": self.weight}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Restores what `state_dict` returned."""
        self.average, self.weight = state["average"], state["weight"]

    def update(self, mean_reward: float) -> None:
        """Takes the mean reward of a step into the moving average."""
        self.average = self.decay * self.average + (1 - self.decay) * mean_reward
        self.weight = self.decay * self.weight + (1 - self.decay)


__all__ = ["BaselineKind", "RewardBaseline"]
