"""Private set intersection and private joins of tables: Arrow, Parquet and CSV, of any size."""

from tacit.algorithm.psi.intersection import Joined as Joined
from tacit.algorithm.psi.intersection import align_all as align_all
from tacit.algorithm.psi.intersection import psi as psi
from tacit.algorithm.psi.intersection import psi_all as psi_all
from tacit.algorithm.psi.options import Options as Options
from tacit.algorithm.psi.party import Alignment as Alignment
from tacit.algorithm.psi.party import align as align
from tacit.algorithm.psi.source import Source as Source
