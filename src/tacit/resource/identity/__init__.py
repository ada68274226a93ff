"""Who a party is: a private key, a certificate that carries the party's name, and the certificates it trusts."""

from tacit.resource.identity.authority import LocalAuthority
from tacit.resource.identity.identity import Identity
from tacit.resource.identity.trust import TrustStore

__all__ = ["Identity", "LocalAuthority", "TrustStore"]
