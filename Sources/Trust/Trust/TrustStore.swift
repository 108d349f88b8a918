// Decides whether a signature counts: pure, with the time given from outside.

/// Who signed, as the list of signers calls them.
public struct Signer: Hashable, Sendable {
    public var name: String
    public var key: PublicKey

    public init(name: String, key: PublicKey) {
        self.name = name
        self.key = key
    }
}

/// The signers that are allowed, and the keys that are revoked.
public struct TrustStore: Sendable {
    public var signers: [AllowedSigner]
    public var revocations: [RevocationList]

    public init(signers: [AllowedSigner] = [], revocations: [RevocationList] = []) {
        self.signers = signers
        self.revocations = revocations
    }

    /// Whose signature of `message` it is. Throws where it is nobody's that counts at the time `now`.
    public func signer(of message: [UInt8], signature: Signature, namespace: String, now: Int64) throws(TrustError) -> Signer {
        guard signature.namespace == namespace else {
            throw TrustError(
                .namespace,
                "It was signed for the namespace \"\(signature.namespace.prefix(60))\", not for \(namespace) (ssh-keygen -Y sign -n \(namespace))."
            )
        }
        try signature.key.checkSupported()
        guard !revocations.contains(where: { $0.revokes(signature.key) }) else {
            throw TrustError(.revoked, "The key that signed it, \(signature.key.fingerprint), is revoked.")
        }
        let entries = signers.filter { $0.key == signature.key }
        guard !entries.isEmpty else {
            throw TrustError(
                .unknownSigner,
                "It is signed by a key that is not trusted here, \(signature.key.fingerprint) (`userdriver driver trust` adds one).")
        }
        try signature.check(message)
        // Of several lines for one key any may allow it; if none does, the first says why.
        var refusal: TrustError?
        for entry in entries {
            do throws(TrustError) {
                try entry.check(namespace: namespace, now: now)
                return Signer(name: entry.name, key: entry.key)
            } catch {
                refusal = refusal ?? error
            }
        }
        throw refusal ?? TrustError(.unknownSigner, "The key that signed it is not trusted here.")
    }
}
