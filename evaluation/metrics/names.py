"""Names of the metrics: a number of another feature space than Inception's says so."""

TITLES = {
    "fid": "FID",
    "sfid": "sFID",
    "inception_score": "Inception Score",
    "precision": "precision",
    "recall": "recall",
    "kid": "KID",
    "class_accuracy": "class accuracy",
}
SHARES = ("precision", "recall", "class_accuracy")


def metric_name(metric: str, space: str) -> str:
    """`FID`, or `FID (Fashion-MNIST classifier)`.

    Args:
        metric: a key of TITLES.
        space: name of the feature space, empty for Inception's.
    """
    return f"{TITLES[metric]} ({space})" if space else TITLES[metric]
