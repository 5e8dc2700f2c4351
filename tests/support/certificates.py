"""Certificates of servers, and authorities that sign them, for tests that speak TLS."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
# A test that names this year does not depend on the machine's clock.
END = datetime(2120, 1, 1, tzinfo=UTC)


class Authority:
    """An authority whose certificate lies in `file`, and that signs those of servers."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(file.stem)
        own = x509.BasicConstraints(ca=True, path_length=0)
        certificate = self._signed(self._name, self._key.public_key(), own, END)
        file.write_bytes(certificate.public_bytes(Encoding.PEM))

    def server(self, host: str, *, until: datetime = END) -> ssl.SSLContext:
        """Give what a server needs to speak TLS under a name."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        certificate = self._signed(_named(host), key.public_key(), names, until)
        both = self.file.with_name(f"{self.file.stem} {host} {until.year}.pem")
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        both.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        return context

    def _signed(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType, until: datetime
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder(issuer_name=self._name, subject_name=name, public_key=key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(BEGIN).not_valid_after(until)
        return builder.add_extension(extension, critical=False).sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
