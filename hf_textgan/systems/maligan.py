"""MaliGAN: likelihood on samples weighted by the discriminator's density ratio."""

from .spec import Copy, Paper, SystemSpec


SYSTEM = SystemSpec(
    name="maligan",
    mode="policy-gradient",
    status="experimental",
    paper=Paper(
        title="Maximum-Likelihood Augmented Discrete Generative Adversarial Networks",
        arxiv_id="1702.07983",
        bibtex="""@article{che2017maligan,
    title   = {Maximum-Likelihood Augmented Discrete Generative Adversarial Networks},
    author  = {Che, Tong and Li, Yanran and Zhang, Ruixiang and Hjelm, R Devon and Li, Wenjie and Song, Yangqiu and
               Bengio, Yoshua},
    journal = {arXiv preprint arXiv:1702.07983},
    year    = 2017,
}""",
    ),
    players={
        "generator": ("RecurrentGeneratorConfig", {}),
        "discriminator": ("CNNDiscriminatorConfig", {}),
        "delayed": Copy("generator"),
    },
    objective=("maligan", {"num_rollouts": 0, "generator_steps": 1}),
    training={
        "learning_rate": 1e-2,
        "max_grad_norm": 5.0,
        "player_optimizers": {"discriminator": {"learning_rate": 1e-4, "max_grad_norm": 0.0}},
        # Of 10,000 sequences in batches of 64, an epoch has 156 full steps.
        "pretrain_generator_steps": 12480,  # 80 epochs
        "pretrain_discriminator_steps": 1248,  # 4 pools, 2 epochs each
        "max_steps": 200,
    },
    presets={
        "laptop": {
            "pretrain_generator_steps": 2000,
            "pretrain_discriminator_steps": 300,
            "max_steps": 60,
            "discriminator_steps": 3,
            "generator/adversarial.learning_rate": 1e-3,
            "discriminator.window_sizes": [1, 2, 3, 4, 5],
            "discriminator.num_filters": [64, 64, 64, 64, 64],
            "discriminator.learning_rate": 1e-3,
        },
        # A pool, 3 epochs, per iteration; a pool is what fills 156 batches.
        "paper": {"discriminator_steps": 468, "num_negatives": 9984, "negative_epochs": 3},
    },
    deviations=(
        "Generator, discriminator and schedule are those of the reimplementations, which follow SeqGAN; the paper has"
        " no official code.",
        "The paper's baseline is read as a share of the mean weight, and rises linearly from 0 to 1.",
        "The mixed variant (`num_completions`) keeps fewer real tokens at fixed points of adversarial training; the"
        " paper waits until the model stops improving.",
        "The logarithms of the odds are clamped to [-10, 10].",
        "With rollouts, a sample that has ended counts with its own odds in the normalization of later positions.",
    ),
)
