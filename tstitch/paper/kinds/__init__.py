"""The list of the kinds of figures; each is one file."""

from tstitch.paper.figure.base import Figure
from tstitch.paper.kinds.curves import CurvesFigure
from tstitch.paper.kinds.footprint import FootprintFigure
from tstitch.paper.kinds.ledger import LedgerFigure
from tstitch.paper.kinds.predict import PredictFigure
from tstitch.paper.kinds.similarity import SimilarityFigure
from tstitch.paper.kinds.spectrum import SpectrumFigure
from tstitch.paper.kinds.tuning import TuningFigure

KINDS: dict[str, type[Figure]] = {
    figure.kind: figure
    for figure in (
        CurvesFigure, SimilarityFigure, SpectrumFigure, FootprintFigure, TuningFigure,
        PredictFigure, LedgerFigure,
    )
}  # fmt: skip
