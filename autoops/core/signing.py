"""Ed25519 keys: bytes in, bytes out. The only user of `cryptography`, imported when a key is used: it costs 8 MiB."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def new_key() -> bytes:
    """Return the 32 bytes of a new private key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


def certificates_end(pem: bytes) -> float:
    """Return when the first of the certificates in a PEM file ends, in seconds since 1970. Raises ValueError: it has none."""
    from cryptography import x509

    return min(one.not_valid_after_utc.timestamp() for one in x509.load_pem_x509_certificates(pem))


class Signer:
    """Signs with a private key of 32 bytes. Raises ValueError for another length."""

    def __init__(self, private: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        self._key: Ed25519PrivateKey = Ed25519PrivateKey.from_private_bytes(private)
        self.public: bytes = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._key.sign(message)


class Verifier:
    """Checks signatures with a public key of 32 bytes. Raises ValueError for another length."""

    def __init__(self, public: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        self.public = public
        self._key: Ed25519PublicKey = Ed25519PublicKey.from_public_bytes(public)

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Tell whether the signature is that of the key over the message."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True
