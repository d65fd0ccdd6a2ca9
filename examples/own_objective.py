"""
Trains with an objective of your own: SeqGAN with the mean reward of the batch as a baseline.

    python examples/own_objective.py

Only the loss of the generator differs, so only it is written; the updates, the pre-training and the loss of the
discriminator are inherited.
"""

import argparse
from dataclasses import dataclass

import torch

from hf_textgan import (
    AdversarialConfig,
    AdversarialTrainer,
    CaptionGrammar,
    ObjectiveOutput,
    RolloutEngine,
    Samples,
    SeqGANObjective,
    StepContext,
    encode_lines,
    get_system,
    policy_gradient_loss,
    probability_of_real,
    rollout_rewards,
    word_tokenizer,
)
from hf_textgan.core.players import Players
from hf_textgan.evaluation.generators import sample_texts
from hf_textgan.evaluation.text_metrics import TextMetrics


@dataclass
class BaselineObjective(SeqGANObjective):
    """REINFORCE with a baseline: ``- sum_b sum_t log G(y_t | y_<t) (Q_t - mean Q)``."""

    def generator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        policy, discriminator = players.unwrap("generator"), players["discriminator"]
        samples = engine.sample(policy, len(batch["input_ids"]))

        def score(completions: Samples) -> torch.Tensor:
            return probability_of_real(discriminator, completions)

        rewards = rollout_rewards(engine, policy, samples, score, self.num_rollouts)  # (B, T), 0 at padding
        mask = samples.attention_mask
        baseline = rewards.sum() / mask.sum()
        logps = engine.per_token_logps(players["generator"], samples)  # through the wrapped model, with gradient
        loss = policy_gradient_loss(logps, rewards - baseline, mask)
        return ObjectiveOutput(loss, {"reward/mean": float(baseline)}, reduction="sum")


def main(argv: list[str] | None = None, num_lines: int = 6000) -> list[str]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", default="runs/own_objective")
    parser.add_argument("--pretrain_generator_steps", type=int, default=500)
    parser.add_argument("--pretrain_discriminator_steps", type=int, default=50)
    parser.add_argument("--max_steps", type=int, default=20)
    parser.add_argument("--eval_num_samples", type=int, default=500)
    options = parser.parse_args(argv)

    grammar = CaptionGrammar()
    lines = grammar.sample(num_lines, seed=0)
    train, held_out = lines[: 5 * num_lines // 6], lines[5 * num_lines // 6 :]
    tokenizer = word_tokenizer(train)
    encoded = encode_lines(train, tokenizer)

    system = get_system("seqgan")
    sizes = {"vocab_size": len(tokenizer), "sequence_length": encoded.max_length}
    discriminator = {"window_sizes": [1, 2, 3, 4], "num_filters": [64] * 4}
    trainer = AdversarialTrainer(
        model=system.build_player("generator", {"hidden_size": 128, "embedding_size": 128}, sizes),
        players={"discriminator": system.build_player("discriminator", discriminator, sizes)},
        objective=BaselineObjective(num_rollouts=4, discriminator_steps=2),
        args=AdversarialConfig(
            learning_rate=1e-2,
            max_grad_norm=5.0,
            player_optimizers={
                "discriminator": {"learning_rate": 1e-3},
                "generator/adversarial": {"learning_rate": 1e-3},
            },
            logging_steps=50,
            eval_strategy="steps",
            eval_steps=250,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            **vars(options),
        ),
        train_dataset=encoded.dataset,
        eval_dataset=encode_lines(held_out, tokenizer).dataset,
        processing_class=tokenizer,
        text_metrics=TextMetrics(held_out, grammar=grammar),
    )
    trainer.train()
    trainer.save_model()
    metrics = next(log for log in reversed(trainer.state.log_history) if "eval_loss" in log)
    names = ("eval_nll_per_token", "eval_bleu_4", "eval_self_bleu_4", "eval_grammar_share")
    print(f"\n{options.output_dir}: {', '.join(f'{name} {metrics[name]:.3f}' for name in names)}")
    texts = sample_texts(trainer.model, trainer.engine, tokenizer, num_samples=5)
    print("\n".join(texts))
    return texts


if __name__ == "__main__":
    main()
