"""The paper's claims, as rows of data. Their numbers stand in `results/published/`, and nowhere here."""

from analysis.claims.claim import Ahead, Claim, Costs, GainsFarther, Ordered, Steadier, Trend, Within

PLAIN = ("SGD", "Adam")
SHARPNESS = ("SAM", "ASAM", "FSAM")
TRUST_REGIONS = ("TRPO", "R3F", "MESA")
COMBINATIONS = ("ASAM+TRPO", "ASAM+R3F", "ASAM+MESA")
PRIOR = (*PLAIN, *SHARPNESS, *TRUST_REGIONS)
TRAMS = ("TRAM-prev", "TRAM-pre", "TRAM-x")
ALL_TRAMS = (*TRAMS, "TRAM-Fisher")
OTHER_DIVERGENCES = ("TRAM-x-MMD", "TRAM-x-L2")

_VISION = ("vision-cifar100", "vision-cars", "vision-flowers")
_GPT2 = ("m2d2-wiki", "m2d2-s2orc")
_S2ORC = ("m2d2-s2orc",)
_XL = ("m2d2-s2orc-xl",)
_M2D2 = (*_GPT2, *_XL)
_XNLI = ("xnli",)
_EVERYWHERE = (*_VISION, *_M2D2, *_XNLI)


def _all_but(method: str) -> tuple[str, ...]:
    return tuple(name for name in (*PRIOR, *COMBINATIONS, *ALL_TRAMS, *OTHER_DIVERGENCES) if name != method)


CLAIMS: tuple[Claim, ...] = (
    # ----------------------------------------------------------------------------------------------------------- vision
    Claim(
        "vision-best",
        "A variant of TRAM has the highest accuracy.",
        "Table 3",
        _VISION,
        Ahead(ALL_TRAMS, PRIOR, "training domain"),
    ),
    Claim(
        "vision-above-sharpness",
        "TRAM-prev is more accurate than SAM, ASAM and FSAM.",
        "Table 3",
        _VISION,
        Ahead(("TRAM-prev",), SHARPNESS, "training domain"),
    ),
    Claim(
        "vision-above-sgd",
        "Every variant of TRAM is more accurate than SGD.",
        "Table 3",
        _VISION,
        Ahead(ALL_TRAMS, ("SGD",), "training domain", every=True),
    ),
    # ------------------------------------------------------------------------------------------ language models, GPT-2
    Claim(
        "m2d2-best-in-domain",
        "TRAM-prev has the lowest perplexity on the training domain.",
        "Tables 4 and 11",
        _GPT2,
        Ahead(("TRAM-prev",), _all_but("TRAM-prev"), "training domain"),
    ),
    Claim(
        "m2d2-best-zero-shot",
        "TRAM-prev has the lowest zero-shot average.",
        "Tables 4 and 11",
        _GPT2,
        Ahead(("TRAM-prev",), _all_but("TRAM-prev")),
    ),
    Claim(
        "m2d2-significant",
        "TRAM-prev is better than ASAM on unseen domains, p < 0.01 by K-S.",
        "Table 4",
        _GPT2,
        Ahead(("TRAM-prev",), ("ASAM",), level=0.01),
    ),
    Claim(
        "m2d2-above-sharpness",
        "TRAM-prev, TRAM-pre and TRAM-x are better on unseen domains than Adam, SAM and ASAM.",
        "Tables 4 and 11",
        _GPT2,
        Ahead(TRAMS, ("Adam", "SAM", "ASAM"), every=True),
    ),
    Claim(
        "m2d2-sum-is-less",
        "Adding a trust-region penalty to ASAM is worse than ASAM alone.",
        "Table 11, C.3",
        _GPT2,
        Ahead(("ASAM",), COMBINATIONS),
    ),
    Claim(
        "m2d2-correlated",
        "Over methods, the zero-shot average follows the training domain (p < 0.01).",
        "Table 9",
        _GPT2,
        Trend(1, "ZS Avg", level=0.01),
    ),
    Claim(
        "m2d2-anticorrelated",
        "Over methods, Art and Phil. get worse as Math gets better (p < 0.01).",
        "Table 9, Figure 2",
        _S2ORC,
        Trend(-1, "domains off the trend", level=0.01),
    ),
    Claim(
        "m2d2-far-domains",
        "A variant of TRAM is better than all earlier methods on the anticorrelated domains.",
        "Abstract, Figure 2",
        (*_S2ORC, *_XL),
        Ahead(ALL_TRAMS, PRIOR, "domains off the trend"),
    ),
    # --------------------------------------------------------------------------------------------------------- GPT2-XL
    Claim(
        "xl-best-zero-shot",
        "TRAM-prev and TRAM-x are better on unseen domains than all earlier methods.",
        "Table 10, C.2",
        _XL,
        Ahead(("TRAM-prev", "TRAM-x"), PRIOR, every=True),
    ),
    Claim(
        "xl-gains-farther",
        "TRAM-prev gains more over Adam on unseen domains than on the training domain.",
        "Table 10",
        _XL,
        GainsFarther("TRAM-prev", "Adam"),
    ),
    # ------------------------------------------------------------------------------------------------------------- XNLI
    Claim(
        "xnli-best-zero-shot",
        "TRAM-x has the highest zero-shot average.",
        "Tables 5 and 12",
        _XNLI,
        Ahead(("TRAM-x",), _all_but("TRAM-x")),
    ),
    Claim(
        "xnli-significant",
        "TRAM-x is better than ASAM on unseen languages, p < 0.01 by Wilcoxon.",
        "Table 5",
        _XNLI,
        Ahead(("TRAM-x",), ("ASAM",), level=0.01),
    ),
    Claim(
        "xnli-every-language",
        "TRAM-x is better than Adam in every unseen language.",
        "Table 12",
        _XNLI,
        Ahead(("TRAM-x",), ("Adam",), "every zero-shot domain"),
    ),
    Claim(
        "xnli-above-all-prior",
        "TRAM-prev, TRAM-pre and TRAM-x are better on unseen languages than all earlier methods.",
        "Tables 5 and 12",
        _XNLI,
        Ahead(TRAMS, PRIOR, every=True),
    ),
    Claim(
        "xnli-divergence",
        "KL measures d better than MMD, and MMD better than L2.",
        "Table 14, C.5",
        _XNLI,
        Ordered(("TRAM-x", *OTHER_DIVERGENCES)),
    ),
    Claim(
        "xnli-steadier",
        "TRAM-x differs less between seeds than Adam.",
        "Table 13",
        _XNLI,
        Steadier("TRAM-x", "Adam"),
    ),
    Claim(
        "fisher-above-fsam",
        "TRAM-Fisher is better on unseen languages than FSAM.",
        "Tables 5 and 12",
        _XNLI,
        Ahead(("TRAM-Fisher",), ("FSAM",)),
    ),
    # ----------------------------------------------------------------------------------------------- language, together
    Claim(
        "above-combinations",
        "Every variant of TRAM is better on unseen domains than ASAM with any trust-region penalty.",
        "Tables 11 and 12, C.3",
        (*_GPT2, *_XNLI),
        Ahead(ALL_TRAMS, COMBINATIONS, every=True),
    ),
    # ---------------------------------------------------------------------------------------------- probes of the model
    Claim(
        "sharpness-zero-shot",
        "TRAM-prev has the lowest sharpness on unseen languages.",
        "Table 6",
        _XNLI,
        Ahead(("TRAM-prev",), _all_but("TRAM-prev"), quantity="sharpness"),
    ),
    Claim(
        "sharpness-in-domain",
        "TRAM-prev, TRAM-pre and TRAM-x are flatter in English than all earlier methods.",
        "Table 6",
        _XNLI,
        Ahead(TRAMS, PRIOR, "training domain", every=True, quantity="sharpness"),
    ),
    Claim(
        "cka-zero-shot",
        "TRAM-prev stays closest to the pre-trained representation on unseen languages (CKA).",
        "Table 6",
        _XNLI,
        Ahead(("TRAM-prev",), _all_but("TRAM-prev"), quantity="CKA"),
    ),
    # -------------------------------------------------------------------------------------------- cost, and the radius
    Claim(
        "one-forward-more",
        "A step of TRAM takes one forward pass more than one of SAM.",
        "Tables 1 and 2",
        _EVERYWHERE,
        Costs(TRAMS, "SAM", more=(1, 0)),
    ),
    Claim(
        "fisher-costs-nothing",
        "A step of TRAM-Fisher takes as many passes as one of FSAM.",
        "Table 2",
        _EVERYWHERE,
        Costs(("TRAM-Fisher",), "FSAM", more=(0, 0)),
    ),
    Claim(
        "radius-below-rho",
        "The radius d stays below ASAM's ρ.",
        "Section 3",
        _EVERYWHERE,
        Within(TRAMS, ceiling=0.5),
    ),
)
