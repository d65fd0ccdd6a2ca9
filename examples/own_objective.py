"""
An objective of your own: SeqGAN with the mean reward of the batch as a baseline.

    python examples/own_objective.py --output_dir runs/own

Only the generator's loss differs, so only it is written; updates, pre-training and the discriminator are inherited.
"""

import argparse
from dataclasses import dataclass

from hf_textgan import (
    AdversarialConfig,
    AdversarialTrainer,
    CaptionGrammar,
    ObjectiveOutput,
    SeqGANObjective,
    get_system,
)
from hf_textgan.data.encoding import encode_lines
from hf_textgan.data.tokenizers import word_tokenizer
from hf_textgan.evaluation.text_metrics import TextMetrics
from hf_textgan.losses.adversarial import policy_gradient_loss
from hf_textgan.objectives.rewards import rollout_rewards


@dataclass
class BaselineObjective(SeqGANObjective):
    """REINFORCE with a baseline: ``- sum_b sum_t log G(y_t | y_<t) (Q_t - mean Q)``."""

    def generator_loss(self, players, engine, batch, context) -> ObjectiveOutput:
        policy, discriminator = players.unwrap("generator"), players["discriminator"]
        samples = engine.sample(policy, len(batch["input_ids"]))
        rewards = rollout_rewards(
            engine,
            policy,
            samples,
            lambda sequences: discriminator(input_ids=sequences).logits.softmax(-1)[:, 1],
            self.num_rollouts,
        )
        mask = samples.attention_mask
        advantages = rewards - (rewards * mask).sum() / mask.sum()
        logps = engine.per_token_logps(players["generator"], samples)
        loss = policy_gradient_loss(logps, advantages, mask)
        return ObjectiveOutput(loss, {"reward/mean": float((rewards * mask).sum() / mask.sum())}, reduction="sum")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output_dir", default="runs/own")
    parser.add_argument("--pretrain_generator_steps", type=int, default=500)
    parser.add_argument("--pretrain_discriminator_steps", type=int, default=50)
    parser.add_argument("--max_steps", type=int, default=20)
    options = parser.parse_args(argv)

    grammar = CaptionGrammar()
    lines = grammar.sample(6000, seed=0)
    train, held_out = lines[:5000], lines[5000:]
    tokenizer = word_tokenizer(train)
    encoded = encode_lines(train, tokenizer)

    system = get_system("seqgan")
    sizes = {"vocab_size": len(tokenizer), "sequence_length": encoded.max_length}
    discriminator = {"window_sizes": [1, 2, 3, 4], "num_filters": [64] * 4}
    trainer = AdversarialTrainer(
        model=system.build_player("generator", {}, sizes),
        players={"discriminator": system.build_player("discriminator", discriminator, sizes)},
        objective=BaselineObjective(num_rollouts=4, discriminator_steps=2),
        args=AdversarialConfig(
            learning_rate=1e-2,
            player_optimizers={"discriminator": {"learning_rate": 1e-3}},
            eval_strategy="steps",
            eval_steps=250,
            save_strategy="no",
            report_to="none",
            **vars(options),
        ),
        train_dataset=encoded.dataset,
        eval_dataset=encode_lines(held_out, tokenizer).dataset,
        processing_class=tokenizer,
        text_metrics=TextMetrics(held_out, grammar=grammar),
    )
    trainer.train()
    trainer.save_model()


if __name__ == "__main__":
    main()
