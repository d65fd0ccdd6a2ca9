"""VGAN: SeqGAN's policy gradient of a generator with a latent variable at every step."""

from .spec import SystemSpec
from .vgan_pre import GENERATOR_DEVIATIONS, LAPTOP_GENERATOR, PAPER


SYSTEM = SystemSpec(
    name="vgan",
    mode="policy-gradient",
    status="experimental",
    paper=PAPER,
    players={
        "generator": ("VariationalGeneratorConfig", {}),
        "discriminator": ("CNNDiscriminatorConfig", {}),
    },
    objective=("vgan", {"num_rollouts": 16, "generator_steps": 5, "discriminator_steps": 3}),
    training={
        "learning_rate": 1e-3,
        "max_grad_norm": 5.0,
        "player_optimizers": {"discriminator": {"max_grad_norm": 0.0}},
        "pretrain_generator_steps": 18720,
        "pretrain_discriminator_steps": 1000,
        "max_steps": 200,
    },
    presets={
        "laptop": {
            "pretrain_generator_steps": 2000,
            "pretrain_discriminator_steps": 300,
            "max_steps": 60,
            "num_rollouts": 8,
            "learning_rate": 1e-2,
            "generator/adversarial.learning_rate": 1e-3,
            "discriminator.window_sizes": [1, 2, 3, 4, 5],
            "discriminator.num_filters": [64, 64, 64, 64, 64],
            "discriminator.learning_rate": 1e-3,
            **LAPTOP_GENERATOR,
        },
        "paper": {},
    },
    deviations=(
        *GENERATOR_DEVIATIONS,
        "The paper does not say how the latents are treated in the policy gradient; they are reparametrized, and"
        " `latent_gradient=score_function` treats them as actions.",
        "The filters of the discriminator are not published; they are those of SeqGAN, with its highway layer and"
        " dropout.",
        "The number of completions per prefix (16) and of iterations are not published.",
        "A discriminator step takes a batch of real and one of fresh generated sequences.",
        "Sequences end at EOS, and padding earns neither reward nor loss.",
    ),
)
