"""
SeqGAN without the Trainer: the timetable, the rounds, the players and the objective over a bare Accelerator.

    python examples/own_loop.py

This is all that `AdversarialTrainer` adds evaluation, checkpoints, logging and callbacks to.
"""

import functools

import torch
from accelerate import Accelerator

from hf_textgan import (
    CaptionGrammar,
    CNNDiscriminator,
    CNNDiscriminatorConfig,
    RecurrentGeneratorConfig,
    RecurrentGeneratorForCausalLM,
    RolloutEngine,
    SeqGANObjective,
    StepContext,
    Timetable,
)
from hf_textgan.data import collate, encode_lines, word_tokenizer
from hf_textgan.evaluation import sample_texts
from hf_textgan.randomness import seed_tick
from hf_textgan.trainer.players import PlayerOptimizer, Players, take_step
from hf_textgan.trainer.rounds import Rounds


def main(
    pretrain_generator: int = 200, pretrain_discriminator: int = 20, adversarial: int = 10, num_lines: int = 4000
) -> list[str]:
    accelerator = Accelerator(cpu=True)
    torch.manual_seed(0)

    grammar = CaptionGrammar()
    lines = grammar.sample(num_lines, seed=0)
    tokenizer = word_tokenizer(lines)
    encoded = encode_lines(lines, tokenizer)
    generator = RecurrentGeneratorForCausalLM(RecurrentGeneratorConfig(vocab_size=len(tokenizer)))
    discriminator = CNNDiscriminator(
        CNNDiscriminatorConfig(
            vocab_size=len(tokenizer),
            sequence_length=encoded.max_length,
            window_sizes=[1, 2, 3],
            num_filters=[32, 32, 32],
        )
    )

    objective = SeqGANObjective(num_rollouts=4, discriminator_steps=2)
    timetable = Timetable(objective.phases(pretrain_generator, pretrain_discriminator, adversarial))
    engine = RolloutEngine(encoded.max_length, tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id)
    collator = functools.partial(collate, pad_token_id=tokenizer.pad_token_id)
    rounds = Rounds(encoded.dataset, timetable, batch_size=64, collate=collator, seed=0)

    modules = {"generator": accelerator.prepare(generator), "discriminator": accelerator.prepare(discriminator)}
    players = Players(modules, accelerator.unwrap_model)
    learning_rates = {"generator": 1e-2, "discriminator": 1e-3}
    optimizers = {}
    for player, phase in timetable.optimizers():
        adam = torch.optim.Adam(players.unwrap(player).parameters(), lr=learning_rates[player])
        schedule = torch.optim.lr_scheduler.ConstantLR(adam, factor=1.0)
        optimizers[player, phase] = PlayerOptimizer(adam, schedule, max_grad_norm=5.0)

    for tick in range(timetable.total):
        seed_tick(seed=0, tick=tick, rank=accelerator.process_index)
        position = timetable.at(tick)
        context = StepContext(tick, position.phase.name, position.progress)
        for turn, batches in zip(position.turns, rounds[tick], strict=True):
            optimizer = optimizers[turn.player, position.phase.optimizer_of(turn)]
            for batch in batches:
                result = take_step(accelerator, players, optimizer, turn, [batch], objective, engine, context)
        if position.tick_in_phase + 1 == position.phase.ticks:
            print(f"{position.phase.name}: {turn.player} loss {result.loss:.4g} after {tick + 1} ticks")

    texts = sample_texts(generator.eval(), engine, tokenizer, num_samples=5)
    print("\n".join(texts))
    return texts


if __name__ == "__main__":
    main()
