"""
Trains a causal language model as the generator of SeqGAN, on the built-in caption grammar or on your text.

    python examples/pretrained_generator.py
    python examples/pretrained_generator.py --generator openai-community/gpt2 --train_file captions.txt

Without --generator it builds a small untrained GPT-2 from a configuration, so that the example needs no download. The
result is an ordinary model folder, which transformers loads.
"""

import argparse
import tempfile

from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from hf_textgan import CaptionGrammar, build_run, generate_texts, word_tokenizer


def save_small_gpt2(folder: str) -> None:
    """Saves an untrained two-layer GPT-2 with a word tokenizer of the caption grammar."""
    tokenizer = word_tokenizer(CaptionGrammar().sample(10000, seed=0))
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=64,
        n_embd=64,
        n_layer=2,
        n_head=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main(argv: list[str] | None = None) -> list[str]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", help="folder or repository of a causal language model with its tokenizer")
    parser.add_argument("--train_file", help="your text, one sentence a line (default: the caption grammar)")
    parser.add_argument("--output_dir", default="runs/gpt2")
    parser.add_argument("--pretrain_generator_steps", type=int, default=500)
    parser.add_argument("--pretrain_discriminator_steps", type=int, default=50)
    parser.add_argument("--max_steps", type=int, default=10)
    options = vars(parser.parse_args(argv))

    generator = options.pop("generator")
    dataset = options.pop("train_file") or "grammar"
    with tempfile.TemporaryDirectory() as folder:
        if generator is None:
            generator = folder
            save_small_gpt2(folder)
        trainer = build_run(
            "seqgan",
            dataset,
            preset="laptop",
            generator_name_or_path=generator,
            learning_rate=3e-3,
            num_rollouts=4,
            logging_steps=100,
            eval_steps=250,
            disable_tqdm=True,
            report=print,
            **{"generator/adversarial": {"learning_rate": 1e-4}},  # a policy gradient at 1e-3 unlearns the language
            **options,
        )
    trainer.train()
    trainer.save_model()

    model = AutoModelForCausalLM.from_pretrained(options["output_dir"])
    print(f"\n{type(model).__name__} of {model.num_parameters():,} parameters in {options['output_dir']} writes:")
    texts = generate_texts(options["output_dir"], num_samples=5)
    print("\n".join(texts))
    return texts


if __name__ == "__main__":
    main()
