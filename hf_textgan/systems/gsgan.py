"""GSGAN: the Gumbel-softmax relaxation in the place of samples."""

from .spec import Paper, SystemSpec


SYSTEM = SystemSpec(
    name="gsgan",
    mode="gumbel",
    status="experimental",
    paper=Paper(
        title="GANS for Sequences of Discrete Elements with the Gumbel-softmax Distribution",
        arxiv_id="1611.04051",
        bibtex="""@article{kusner2016gans,
    title   = {{GANS} for Sequences of Discrete Elements with the {Gumbel}-softmax Distribution},
    author  = {Kusner, Matt J. and Hern{\\'a}ndez-Lobato, Jos{\\'e} Miguel},
    journal = {arXiv preprint arXiv:1611.04051},
    year    = 2016,
}""",
    ),
    players={
        "generator": ("StateNoiseGeneratorConfig", {}),
        "discriminator": ("RecurrentDiscriminatorConfig", {"hidden_size": 32, "dropout": 0.0}),
    },
    objective=(
        "gumbel",
        {
            "loss": "standard",
            "feed": "soft",
            "start_relaxation": 5.0,
            "end_relaxation": 1.0,
            "annealing": "exponential",
            "annealing_share": 0.5,
        },
    ),
    training={
        "learning_rate": 1e-3,
        "max_grad_norm": 5.0,
        "per_device_train_batch_size": 200,
        "max_steps": 20_000,
    },
    presets={
        # From noise alone a short run learns no language: likelihood is the start, and the relaxation stays sharp.
        "laptop": {
            "pretrain_generator_steps": 2000,
            "max_steps": 200,
            "per_device_train_batch_size": 64,
            "generator.hidden_size": 128,
            "generator.embedding_size": 64,
            "generator.dropout": 0.3,
            "discriminator.hidden_size": 64,
            "generator/adversarial.learning_rate": 1e-4,
            "discriminator.learning_rate": 3e-4,
            "start_relaxation": 1.0,
            "end_relaxation": 0.1,
            "annealing_share": 1.0,
            "learning_rate": 1e-2,
        },
        "paper": {},
    },
    deviations=(
        "The paper has no official code, and its sizes, learning rates and temperatures are not known here; the sizes"
        " are those of the reimplementation in Texygen.",
        "The generator minimizes - log D of its samples; the loss of the paper is a density ratio, whose gradient"
        " grows without bound when the discriminator is deceived.",
        "Sequences end at EOS; those of the paper are padded with a token of their own.",
        "The preset `laptop` begins with likelihood.",
    ),
)
