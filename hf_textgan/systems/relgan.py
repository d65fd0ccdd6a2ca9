"""RelGAN: a relational memory, the Gumbel-softmax relaxation, and several representations of a sequence."""

from .spec import Paper, SystemSpec


SYSTEM = SystemSpec(
    name="relgan",
    mode="gumbel",
    status="experimental",
    paper=Paper(
        title="RelGAN: Relational Generative Adversarial Networks for Text Generation",
        arxiv_id=None,
        bibtex="""@inproceedings{nie2019relgan,
    title     = {{RelGAN}: Relational Generative Adversarial Networks for Text Generation},
    author    = {Nie, Weili and Narodytska, Nina and Patel, Ankit},
    booktitle = {ICLR},
    year      = 2019,
    url       = {https://openreview.net/forum?id=rJedV3R5tm},
}""",
    ),
    players={
        "generator": ("RelationalMemoryGeneratorConfig", {}),
        "discriminator": ("MultiRepresentationDiscriminatorConfig", {}),
    },
    objective=(
        "gumbel",
        {
            "loss": "rsgan",
            "feed": "hard",
            "discriminator_steps": 5,
            "start_relaxation": 1.0,
            "end_relaxation": 0.01,  # the paper's inverse temperature of 100
            "annealing": "exponential",
        },
    ),
    training={
        "learning_rate": 1e-4,
        "max_grad_norm": 5.0,
        "player_optimizers": {"generator/pretrain_generator": {"learning_rate": 1e-2}},
        "pretrain_generator_steps": 23_400,  # 150 epochs of 10,000 sequences in batches of 64
        "max_steps": 2000,
    },
    presets={
        "laptop": {
            "pretrain_generator_steps": 2000,
            "max_steps": 200,
            "discriminator_steps": 3,
            "generator.embedding_size": 64,
            "generator.head_size": 64,
            "generator/pretrain_generator.learning_rate": 3e-3,
            "discriminator.num_representations": 16,
            "discriminator.num_filters": [64, 64, 64, 64],
            "discriminator.learning_rate": 3e-4,
        },
        "paper": {"annealing_iterations": 5000},
    },
    deviations=(
        "The inverse temperature reaches its end at the end of the run; in the official code it is on the way for a"
        " fixed 5,000 iterations, of which 2,000 are run (the preset `paper`).",
        "The scale of the queries is that of the paper; the official code divides by the square root of the width of"
        " query, key and value together.",
        "The dropout of the discriminator is off while the generator is updated.",
        "Sequences end at EOS, likelihood leaves padding out, and what follows EOS is one-hot padding; in the official"
        " code padding is a token as any other.",
    ),
)
