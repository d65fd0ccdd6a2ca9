"""TextKD-GAN: the softened reconstructions of an autoencoder in place of one-hot vectors."""

from .spec import Paper, SystemSpec


SYSTEM = SystemSpec(
    name="textkd_gan",
    mode="wgan-gp",
    status="experimental",
    paper=Paper(
        title="TextKD-GAN: Text Generation using Knowledge Distillation and Generative Adversarial Networks",
        arxiv_id="1905.01976",
        bibtex="""@inproceedings{haidar2019textkd,
    title     = {{TextKD-GAN}: Text Generation using Knowledge Distillation and Generative Adversarial Networks},
    author    = {Haidar, Md. Akmal and Rezagholizadeh, Mehdi},
    booktitle = {Canadian Conference on Artificial Intelligence},
    year      = 2019,
    eprint    = {1905.01976},
    archivePrefix = {arXiv},
}""",
    ),
    players={
        "autoencoder": ("RecurrentAutoencoderConfig", {}),
        "discriminator": ("ConvCriticConfig", {}),
        "generator": ("ConvGeneratorConfig", {}),
    },
    objective=("textkd_gan", {"autoencoder_steps": 1, "discriminator_steps": 5, "gradient_penalty": 10.0}),
    training={
        "learning_rate": 1e-4,
        "adam_beta1": 0.5,
        "adam_beta2": 0.9,
        "max_grad_norm": 0.0,
        "player_optimizers": {"autoencoder": {"learning_rate": 1e-3, "adam_beta1": 0.9, "adam_beta2": 0.9}},
        "max_length": 32,
        "max_steps": 200_000,
        "eval_num_samples": 640,
        "metric_for_best_model": "jsd_4",
    },
    data={"level": "character", "metric_level": "word", "truncate": True},
    presets={
        "laptop": {
            "max_steps": 1500,
            "per_device_train_batch_size": 32,
            "learning_rate": 2e-4,
            "generator.hidden_size": 64,
            "generator.num_blocks": 3,
            "discriminator.hidden_size": 64,
            "discriminator.num_blocks": 3,
            "autoencoder.hidden_size": 128,
            "autoencoder.embedding_size": 64,
            # In a short run the paper's teacher, whose decoder reads its own tokens, remains a blur.
            "autoencoder.decoder_input": "teacher_forcing",
            "pretrain_autoencoder_steps": 6000,
        },
        "paper": {"vocab_size": 100},
    },
    deviations=(
        "The end of a line is a token of its own, and padding follows it.",
        "The vocabulary holds the tokens that begin, end and pad a text beside the most frequent characters.",
        "A text ends at the first EOS or padding token that the generator writes.",
        "The paper does not say how the teacher's tokens are embedded; here encoder and decoder have embeddings of"
        " 128.",
        "The paper does not give the weight of the penalty; here it is IWGAN's 10.",
        "The preset `laptop` trains the teacher with teacher forcing, and before the first iteration.",
    ),
)
