"""
Trains SeqGAN without the Trainer: the schedule, the batches, the players and the objective over a bare Accelerator.

    python examples/own_loop.py

`AdversarialTrainer` adds evaluation, checkpoints, logging and callbacks to these parts.
"""

import functools

import torch
from accelerate import Accelerator

from hf_textgan import (
    CaptionGrammar,
    CNNDiscriminator,
    CNNDiscriminatorConfig,
    PhaseSchedule,
    RecurrentGeneratorConfig,
    RecurrentGeneratorForCausalLM,
    RolloutEngine,
    SeqGANObjective,
    StepContext,
    collate,
    encode_lines,
    word_tokenizer,
)
from hf_textgan.core.batches import AlternatingBatches
from hf_textgan.core.players import Players
from hf_textgan.core.step import PlayerOptimizer, take_step
from hf_textgan.evaluation.generators import sample_texts
from hf_textgan.utils.random import seed_iteration


def main(
    pretrain_generator: int = 500,
    pretrain_discriminator: int = 20,
    adversarial: int = 10,
    num_lines: int = 4000,
    num_rollouts: int = 4,
) -> list[str]:
    accelerator = Accelerator(cpu=True)
    torch.manual_seed(0)

    grammar = CaptionGrammar()
    lines = grammar.sample(num_lines, seed=0)
    tokenizer = word_tokenizer(lines)
    encoded = encode_lines(lines, tokenizer)
    generator = RecurrentGeneratorForCausalLM(
        RecurrentGeneratorConfig(vocab_size=len(tokenizer), hidden_size=128, embedding_size=128)
    )
    discriminator = CNNDiscriminator(
        CNNDiscriminatorConfig(
            vocab_size=len(tokenizer),
            sequence_length=encoded.max_length,
            window_sizes=[1, 2, 3],
            num_filters=[32, 32, 32],
        )
    )

    objective = SeqGANObjective(num_rollouts=num_rollouts, discriminator_steps=2)
    schedule = PhaseSchedule(objective.phases(pretrain_generator, pretrain_discriminator, adversarial))
    engine = RolloutEngine(encoded.max_length, tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id)
    collator = functools.partial(collate, pad_token_id=tokenizer.pad_token_id)
    all_batches = AlternatingBatches(encoded.dataset, schedule, batch_size=64, collate=collator, seed=0)

    modules = {"generator": accelerator.prepare(generator), "discriminator": accelerator.prepare(discriminator)}
    players = Players(modules, accelerator.unwrap_model)
    learning_rates = {"pretrain_generator": 1e-2, "pretrain_discriminator": 1e-3, "adversarial": 1e-3}
    optimizers = {}
    for player, phase in schedule.optimizers():
        adam = torch.optim.Adam(players.unwrap(player).parameters(), lr=learning_rates[phase])
        lr_scheduler = torch.optim.lr_scheduler.ConstantLR(adam, factor=1.0)
        optimizers[player, phase] = PlayerOptimizer(adam, lr_scheduler, max_grad_norm=5.0)

    for iteration in range(schedule.total):
        seed_iteration(seed=0, iteration=iteration, rank=accelerator.process_index)
        position = schedule.at(iteration)
        context = StepContext(iteration, position.phase.name, position.progress)
        for update, batches in zip(position.updates, all_batches[iteration], strict=True):
            optimizer = optimizers[update.player, position.phase.optimizer_of(update)]
            for batch in batches:
                result = take_step(accelerator, players, optimizer, update, [batch], objective, engine, context)
        if position.iteration_in_phase + 1 == position.phase.iterations:
            print(f"{position.phase.name}: {update.player} loss {result.loss:.4g} after {iteration + 1} iterations")

    texts = sample_texts(generator.eval(), engine, tokenizer, num_samples=5)
    print("\n".join(texts))
    return texts


if __name__ == "__main__":
    main()
