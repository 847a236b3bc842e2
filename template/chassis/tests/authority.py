"""A certificate authority of a company, in the two forms in which OpenSSL is told of it."""

import ssl
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

OTHER_USES = """
    digital_signature content_commitment key_encipherment data_encipherment key_agreement crl_sign encipher_only
    decipher_only
"""


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Authority:
    """`file` has its certificate; `folder` has it under the name that `openssl rehash` gives it."""

    def __init__(self, folder: Path) -> None:
        self._made = folder
        self._name = _named("company")
        self._key = ec.generate_private_key(ec.SECP256R1())
        may_sign = x509.KeyUsage(key_cert_sign=True, **dict.fromkeys(OTHER_USES.split(), False))
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        signed = self._sign(self._name, self._key.public_key(), constraints, may_sign)
        self.file, self.folder = folder / "company.pem", folder / "authorities"
        self.folder.mkdir()
        # The hash of a name that is in lower case: of its encoding, without the header of the sequence.
        hashed = sha1(self._name.public_bytes()[2:], usedforsecurity=False).digest()[3::-1].hex()
        for file in (self.file, self.folder / f"{hashed}.0"):
            file.write_bytes(signed.public_bytes(Encoding.PEM))

    def certify(self, address: str) -> ssl.SSLContext:
        """Return the context of a server that has a certificate for this address."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        signed = self._sign(_named("server"), key.public_key(), name)
        file = self._made / "server.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + signed.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        made = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        for extension in extensions:
            made = made.add_extension(extension, critical=True)
        signer = self._key.public_key()
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
        return made.sign(self._key, SHA256())
