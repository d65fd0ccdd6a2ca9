"""SeqGAN: policy gradient with Monte-Carlo rollouts."""

from .spec import Paper, SystemSpec


SYSTEM = SystemSpec(
    name="seqgan",
    mode="policy-gradient",
    status="experimental",
    paper=Paper(
        title="SeqGAN: Sequence Generative Adversarial Nets with Policy Gradient",
        arxiv_id="1609.05473",
        bibtex="""@inproceedings{yu2017seqgan,
    title     = {{SeqGAN}: Sequence Generative Adversarial Nets with Policy Gradient},
    author    = {Yu, Lantao and Zhang, Weinan and Wang, Jun and Yu, Yong},
    booktitle = {AAAI},
    year      = 2017,
    eprint    = {1609.05473},
    archivePrefix = {arXiv},
}""",
    ),
    players={
        "generator": ("RecurrentGeneratorConfig", {}),
        "discriminator": ("CNNDiscriminatorConfig", {}),
    },
    objective=("seqgan", {"num_rollouts": 16, "generator_steps": 1, "l2_weight": 0.2}),
    training={
        "learning_rate": 1e-2,
        "max_grad_norm": 5.0,
        "player_optimizers": {"discriminator": {"learning_rate": 1e-4, "max_grad_norm": 0.0}},
        # Of 10,000 sequences in batches of 64, an epoch has 156 full steps.
        "pretrain_generator_steps": 18720,  # 120 epochs
        "pretrain_discriminator_steps": 23400,  # 50 pools, 3 epochs each
        "max_steps": 200,
    },
    presets={
        "laptop": {
            "pretrain_generator_steps": 2000,
            "pretrain_discriminator_steps": 300,
            "max_steps": 60,
            "num_rollouts": 8,
            "discriminator_steps": 3,
            "generator/adversarial.learning_rate": 1e-3,  # with so small a discriminator, 1e-2 forgets the language
            "discriminator.window_sizes": [1, 2, 3, 4, 5],
            "discriminator.num_filters": [64, 64, 64, 64, 64],
            "discriminator.learning_rate": 1e-3,
        },
        # 5 pools, 3 epochs each, per generator step; a pool is what fills 156 batches.
        "paper": {"discriminator_steps": 2340, "num_negatives": 9984, "negative_epochs": 3},
    },
    deviations=(
        "Sequences end at EOS, and padding earns neither reward nor loss; the reference code rewards padding too.",
        "A discriminator step takes a batch of real and one of generated sequences; the reference code shuffles both"
        " into batches of the same size, so its epochs have twice the steps of half the sequences.",
        "Without the preset `paper` every discriminator step draws fresh negatives instead of using a pool.",
        "PyTorch's LSTM has two biases per gate, so Adam's step on their sum is doubled; the second starts at zero.",
    ),
)
