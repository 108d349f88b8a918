// Why a key, a signature or a list is not taken.

/// What is wrong, in a full sentence for a person, and of which kind it is.
public struct TrustError: Error, Hashable, Sendable, CustomStringConvertible {
    public struct Code: Hashable, Sendable {
        private enum Kind { case malformed, unsupported, namespace, unknownSigner, revoked, expired, notYetValid, wrongSignature }
        private var kind: Kind
        /// The bytes are not a key, signature or list of the format.
        public static let malformed = Code(kind: .malformed)
        /// Well-formed, and of a kind that is not checked here: RSA, certificates, security keys, passphrases.
        public static let unsupported = Code(kind: .unsupported)
        /// Signed for another purpose.
        public static let namespace = Code(kind: .namespace)
        public static let unknownSigner = Code(kind: .unknownSigner)
        public static let revoked = Code(kind: .revoked)
        public static let expired = Code(kind: .expired)
        public static let notYetValid = Code(kind: .notYetValid)
        /// The key is right and the bytes are not what it signed.
        public static let wrongSignature = Code(kind: .wrongSignature)
    }

    public var code: Code
    public var description: String

    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
