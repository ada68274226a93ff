"""Secure aggregation: a server learns the sum of many clients' numbers, and nothing else about any one of them.

Double masking with recovery of clients that fall silent (Bonawitz et al., eprint 2017/281), on neighbourhoods of a
logarithmic size (SecAgg+, Bell et al., eprint 2020/704). `Client` and `Server` are state machines: bytes in, bytes out.
"""

from tacit.primitive.secagg.client import Client as Client
from tacit.primitive.secagg.encoding import Encoding as Encoding
from tacit.primitive.secagg.encoding import Layout as Layout
from tacit.primitive.secagg.planning import Plan as Plan
from tacit.primitive.secagg.planning import plan as plan
from tacit.primitive.secagg.roster import Identity as Identity
from tacit.primitive.secagg.roster import Roster as Roster
from tacit.primitive.secagg.server import Aggregate as Aggregate
from tacit.primitive.secagg.server import Server as Server
from tacit.primitive.secagg.terms import Round as Round
from tacit.primitive.secagg.terms import Terms as Terms
