"""IWGAN: WGAN with gradient penalty on the softmax rows of a convolutional generator."""

from .spec import Paper, SystemSpec


SYSTEM = SystemSpec(
    name="iwgan",
    mode="wgan-gp",
    status="experimental",
    paper=Paper(
        title="Improved Training of Wasserstein GANs",
        arxiv_id="1704.00028",
        bibtex="""@inproceedings{gulrajani2017improved,
    title     = {Improved Training of {Wasserstein} {GANs}},
    author    = {Gulrajani, Ishaan and Ahmed, Faruk and Arjovsky, Martin and Dumoulin, Vincent and Courville, Aaron},
    booktitle = {NIPS},
    year      = 2017,
    eprint    = {1704.00028},
    archivePrefix = {arXiv},
}""",
    ),
    players={"generator": ("ConvGeneratorConfig", {}), "discriminator": ("ConvCriticConfig", {})},
    objective=("iwgan", {"discriminator_steps": 10, "gradient_penalty": 10.0}),
    training={
        "learning_rate": 1e-4,
        "adam_beta1": 0.5,
        "adam_beta2": 0.9,
        "max_grad_norm": 0.0,
        "max_length": 32,
        "max_steps": 200_000,
        "eval_num_samples": 640,
        "metric_for_best_model": "jsd_4",
    },
    data={"level": "character", "metric_level": "word", "truncate": True},
    presets={
        "laptop": {
            "max_steps": 2500,
            "per_device_train_batch_size": 32,
            "discriminator_steps": 5,
            "learning_rate": 2e-4,
            "generator.hidden_size": 64,
            "generator.num_blocks": 3,
            "discriminator.hidden_size": 64,
            "discriminator.num_blocks": 3,
        },
        "paper": {"vocab_size": 2048},
    },
    deviations=(
        "The end of a line is a token of its own, and padding follows it; the reference code pads with one token.",
        "The vocabulary holds the two tokens that begin and pad a text beside the characters.",
        "A text ends at the first EOS or padding token that the generator writes.",
    ),
)
