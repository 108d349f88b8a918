// `userdriver driver verify`, `sign`, `trust`, `revoke`: who vouches for what.

import ArgumentParser
import Bundles
import Trust

struct DriverVerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check a driver as the daemon would, without running it.",
        discussion: """
            To check it without this program, run ssh-keygen -Y verify -f allowed_signers -I NAME -n userdriver -s driver.yaml.sig \
            < driver.yaml, and compare the executable's sha256sum with driver.yaml.

            Example:
              userdriver driver verify webcam.driver
            """)

    @Argument(help: ArgumentHelp("The driver's folder, NAME.driver.", valueName: "folder"), completion: .directory)
    var bundle: String
    @Option(help: ArgumentHelp("Require this signer.", valueName: "name"))
    var signer: String?
    @OptionGroup var trust: TrustOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        var trust = trust.trust
        if let signer { trust.store.signers.removeAll { !$0.isNamed(signer) } }
        let change = DriverChange(try DriverBundle(path: Path.plain(bundle), trust: trust), changed: false)
        if output.json { return try output.printJSON(change) }
        try Terminal.print("\(change.id) \(change.version) is valid, \(change.voucher).")
    }
}

struct DriverSignCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sign", abstract: "Sign a driver with an SSH key.",
        discussion: """
            Writes the executable's SHA-256 into driver.yaml and the signature into driver.yaml.sig. If the key has a passphrase, \
            run ssh-keygen -Y sign -n userdriver -f KEY driver.yaml after this command has written the SHA-256.

            Example:
              userdriver driver sign webcam.driver --key ~/.ssh/id_ed25519
            """)

    @Argument(help: ArgumentHelp("The driver's folder, NAME.driver.", valueName: "folder"), completion: .directory)
    var bundle: String
    @Option(
        help: ArgumentHelp("An OpenSSH private key, ed25519 or ecdsa with 256 bits, without a passphrase.", valueName: "file"),
        completion: .file())
    var key: String

    func run() throws {
        let path = Path.plain(bundle)
        // First the digest: where the key is another program's to use, that one can go on from here.
        try BundleSigner.writeDigest(path)
        let key = try TrustFileEditor.privateKey(at: key)
        try BundleSigner.sign(path, by: key)
        try Terminal.print("\(path) is signed by \(key.publicKey.fingerprint)\(key.comment.isEmpty ? "" : " (\(key.comment))").")
    }
}

struct DriverTrustCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trust", abstract: "Trust a key: let the drivers it signed run.",
        discussion: """
            Adds a line to the list of signers, for the namespace userdriver only. To undo this, remove the line, or use `revoke`.

            Example:
              userdriver driver trust publisher.pub --name drivers@example.org
            """)

    @Argument(help: ArgumentHelp("A public key: a .pub file.", valueName: "file"), completion: .file())
    var key: String
    @Option(help: ArgumentHelp("A name for the signer. Left out: the key's comment.", valueName: "name"))
    var name: String?
    @Option(help: ArgumentHelp("Not before this time: YYYYMMDD[HHMM[SS]][Z].", valueName: "date"))
    var validAfter: String?
    @Option(help: ArgumentHelp("Not after this time: YYYYMMDD[HHMM[SS]][Z].", valueName: "date"))
    var validBefore: String?
    @Option(help: ArgumentHelp("The list of signers. Left out: \(DriverPlaces.administratorsSigners).", valueName: "file"))
    var file: String = DriverPlaces.administratorsSigners
    @OptionGroup var installation: ReloadOptions

    func run() async throws {
        if try trust() { try await installation.reload() }
    }

    /// False when a line says so already.
    private func trust() throws -> Bool {
        let (key, comment) = try TrustFileEditor.publicKey(at: key)
        let name = name ?? comment
        guard !name.isEmpty, !name.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else {
            throw CommandFailure("The signer needs a name: --name NAME, without commas or quotation marks.", status: ExitStatus.usage)
        }
        let signer: AllowedSigner
        do {
            try key.checkSupported()
            signer = AllowedSigner(
                principals: [name], key: key, namespaces: [DriverTrust.namespace], validAfter: try validAfter.map(SignerDate.seconds),
                validBefore: try validBefore.map(SignerDate.seconds))
        } catch {
            throw CommandFailure("\(error)")
        }
        if let after = signer.validAfter, let before = signer.validBefore, before <= after {
            throw CommandFailure("--valid-before must be later than --valid-after.", status: ExitStatus.usage)
        }
        let isNew = try TrustFileEditor.trust(signer, in: file)
        try Terminal.print(
            isNew
                ? "\(name) (\(key.fingerprint)) may sign drivers: \(file)"
                : "\(name) (\(key.fingerprint)) may already sign drivers: \(file)")
        return isNew
    }
}

struct DriverRevokeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revoke a key: never again run what it signed.",
        discussion: """
            Adds the key to the list of revoked keys. Drivers that it signed are stopped at once. If the list is a KRL (ssh-keygen -k), \
            ssh-keygen -k -u adds to it instead.

            Example:
              userdriver driver revoke publisher.pub
            """)

    @Argument(help: ArgumentHelp("A public key: a .pub file.", valueName: "file"), completion: .file())
    var key: String
    @Option(help: ArgumentHelp("The list of revoked keys. Left out: \(DriverPlaces.administratorsRevocations).", valueName: "file"))
    var file: String = DriverPlaces.administratorsRevocations
    @OptionGroup var installation: ReloadOptions

    func run() async throws {
        if try revoke() { try await installation.reload() }
    }

    /// False when it is revoked already.
    private func revoke() throws -> Bool {
        let key = try TrustFileEditor.publicKey(at: key).key
        let isNew = try TrustFileEditor.revoke(key, in: file)
        try Terminal.print("\(key.fingerprint) is \(isNew ? "" : "already ")revoked: \(file)")
        return isNew
    }
}
