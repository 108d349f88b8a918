// Which drivers may run: the signers and revocations of this machine, applied to a bundle's manifest.

package import Trust

/// How far a bundle is trusted.
package enum Verdict: Hashable, Sendable {
    case signed(Signer)
    /// Nobody has vouched for it, and it was said that this is allowed.
    case unsigned

    /// In a word, for `doctor`.
    package var text: String {
        switch self {
        case .signed(let signer): "signed by \(signer.name)"
        case .unsigned: "unsigned"
        }
    }

    /// What status says of a device that is driven without this protection.
    package var warnings: [String] {
        switch self {
        case .signed: []
        case .unsigned: ["unsigned"]
        }
    }

    package var signer: Signer? {
        switch self {
        case .signed(let signer): signer
        case .unsigned: nil
        }
    }
}

/// Files that say who is trusted.
package struct TrustFiles: Hashable, Sendable {
    /// OpenSSH's allowed_signers; all of them count, and one that is not there trusts nobody.
    package var allowedSigners: [String]
    /// KRLs or lists of public keys; one that is not there revokes nobody.
    package var revokedKeys: [String]

    package init(allowedSigners: [String] = [], revokedKeys: [String] = []) {
        self.allowedSigners = allowedSigners
        self.revokedKeys = revokedKeys
    }
}

/// Decides how far a bundle is trusted, before anything of it runs.
package struct DriverTrust: Sendable {
    /// `ssh-keygen -Y sign -n userdriver`
    package static let namespace = "userdriver"

    package var store: TrustStore
    /// For development only.
    package var allowsUnsigned: Bool
    /// Lines and files that were not understood.
    package private(set) var problems: [String] = []
    /// Why no signature can count at all: a list of revoked keys that can't be read.
    private var blindness: String?

    package init(store: TrustStore = TrustStore(), allowsUnsigned: Bool = false) {
        self.store = store
        self.allowsUnsigned = allowsUnsigned
    }

    /// Reads the files as they are now.
    package init(reading files: TrustFiles, allowsUnsigned: Bool = false) {
        self.init(allowsUnsigned: allowsUnsigned)
        for path in files.allowedSigners {
            do {
                guard let bytes = try BundleFile.read(path, maximum: AllowedSigners.maximumBytes, isOwned: true) else { continue }
                let list = try AllowedSigners(parsing: bytes)
                store.signers += list.entries
                problems += list.problems.map { "\(path): \($0)" }
            } catch {
                problems.append(error is BundleError ? "\(error)" : "\(path): \(error)")
            }
        }
        for path in files.revokedKeys {
            do {
                guard let bytes = try BundleFile.read(path, maximum: RevocationList.maximumBytes, isOwned: true) else { continue }
                store.revocations.append(try RevocationList(parsing: bytes))
            } catch {
                let problem = error is BundleError ? "\(error)" : "\(path): \(error)"
                problems.append(problem)
                blindness = "It is not known which keys are revoked (\(problem)), so no signature counts."
            }
        }
    }

    /// `signature` is the text of `driver.yaml.sig`, `nil` if there is none. Throws the reason why the bundle is not to be run.
    func verdict(of manifest: [UInt8], signature: [UInt8]?, now: Int64 = SignerDate.now()) throws(TrustError) -> Verdict {
        guard let signature else {
            guard allowsUnsigned else {
                throw TrustError(
                    .unknownSigner, "It is unsigned: it has no \(DriverBundle.signatureName) (`userdriver driver sign` makes one).")
            }
            return .unsigned
        }
        if let blindness { throw TrustError(.revoked, blindness) }
        return .signed(try store.signer(of: manifest, signature: Signature(armoured: signature), namespace: Self.namespace, now: now))
    }
}
