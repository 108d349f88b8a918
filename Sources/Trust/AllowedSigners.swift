// Who may sign what: OpenSSH's allowed_signers file (ssh-keygen(1), ALLOWED SIGNERS).

/// One line: who, for what, from when to when, by which key.
public struct AllowedSigner: Hashable, Sendable {
    /// Patterns of names, with `*`, `?` and a leading `!` for a name that is not meant.
    public var principals: [String]
    public var key: PublicKey
    /// Patterns; `nil` is every namespace.
    public var namespaces: [String]?
    /// Seconds since 1970.
    public var validAfter: Int64?
    public var validBefore: Int64?

    public init(principals: [String], key: PublicKey, namespaces: [String]? = nil, validAfter: Int64? = nil, validBefore: Int64? = nil) {
        self.principals = principals
        self.key = key
        self.namespaces = namespaces
        self.validAfter = validAfter
        self.validBefore = validBefore
    }

    /// What is shown of who signed.
    public var name: String { principals.joined(separator: ",") }

    /// Whether the line is about somebody of that name.
    public func isNamed(_ identity: String) -> Bool { Pattern.list(principals, admits: identity) }

    /// Refuses a use that the line does not allow at the time `now`.
    func check(namespace: String, now: Int64) throws(TrustError) {
        if let namespaces, !Pattern.list(namespaces, admits: namespace) {
            throw TrustError(
                .namespace, "\(name) may sign for the namespaces \(namespaces.joined(separator: ",")) only, not for \(namespace).")
        }
        if let validAfter, now < validAfter {
            throw TrustError(.notYetValid, "The key of \(name) is not valid before \(SignerDate.text(validAfter)).")
        }
        if let validBefore, now > validBefore {
            throw TrustError(.expired, "The key of \(name) has expired: it was valid until \(SignerDate.text(validBefore)).")
        }
    }
}

/// A parsed file. A line that is not understood trusts nobody; what is wrong with it is kept to be said.
public struct AllowedSigners: Hashable, Sendable {
    public private(set) var entries: [AllowedSigner] = []
    /// Each names its line.
    public private(set) var problems: [String] = []

    public static let maximumBytes = 1 << 20
    static let maximumLineBytes = 16 << 10

    public init(entries: [AllowedSigner] = []) { self.entries = entries }

    public init(parsing bytes: [UInt8]) throws(TrustError) {
        guard bytes.count <= Self.maximumBytes else {
            throw TrustError(.malformed, "The list of signers is larger than \(Self.maximumBytes) bytes.")
        }
        for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            do throws(TrustError) {
                if let entry = try Self.entry(line) { entries.append(entry) }
            } catch {
                problems.append("line \(index + 1): \(error)")
            }
        }
    }

    private static func entry(_ bytes: ArraySlice<UInt8>) throws(TrustError) -> AllowedSigner? {
        guard bytes.count <= maximumLineBytes, let line = String(validating: bytes, as: UTF8.self),
            !line.unicodeScalars.contains(where: { $0.value < 32 && $0 != "\t" && $0 != "\r" })
        else { throw TrustError(.malformed, "It is too long, or no text.") }
        var words = LineWords(line)
        guard let principals = try words.next(), !principals.hasPrefix("#") else { return nil }
        let names = principals.split(separator: ",").map(String.init)
        guard !names.isEmpty else { throw TrustError(.malformed, "It names no principal.") }
        guard var word = try words.next() else { throw TrustError(.malformed, "It has no key.") }
        var options: String?
        // A key's type has no comma and no quotes; what is none, is options.
        if !LineWords.isKeyType(word) {
            options = word
            guard let next = try words.next() else { throw TrustError(.malformed, "It has no key.") }
            word = next
        }
        guard let base64 = try words.next() else { throw TrustError(.malformed, "It has no key.") }
        var entry = AllowedSigner(principals: names, key: try PublicKey(line: "\(word) \(base64)"))
        if let options { try entry.take(options: options) }
        return entry
    }

    /// As a line of the file.
    public static func line(_ entry: AllowedSigner) -> String {
        var options: [String] = []
        if let namespaces = entry.namespaces { options.append("namespaces=\"\(namespaces.joined(separator: ","))\"") }
        if let time = entry.validAfter { options.append("valid-after=\"\(SignerDate.option(time))\"") }
        if let time = entry.validBefore { options.append("valid-before=\"\(SignerDate.option(time))\"") }
        let name = entry.name.contains(" ") ? "\"\(entry.name)\"" : entry.name
        return ([name] + (options.isEmpty ? [] : [options.joined(separator: ",")]) + [entry.key.line]).joined(separator: " ")
    }
}

extension AllowedSigner {
    /// `namespaces="a,b",valid-before="20260101"`
    fileprivate mutating func take(options text: String) throws(TrustError) {
        for option in LineWords.options(text) {
            let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count == 2 ? LineWords.unquoted(parts[1]) : nil
            switch (parts[0].lowercased(), value) {
            case ("cert-authority", _):
                throw TrustError(
                    .unsupported, "cert-authority is not supported: name the signer's own key instead of one that certifies it.")
            case ("namespaces", let value?):
                guard namespaces == nil else { throw TrustError(.malformed, "It has two namespaces options.") }
                namespaces = value.split(separator: ",").map(String.init)
            case ("valid-after", let value?): validAfter = try SignerDate.seconds(value)
            case ("valid-before", let value?): validBefore = try SignerDate.seconds(value)
            default: throw TrustError(.malformed, "The option \"\(option.prefix(40))\" is not known.")
            }
        }
        if let validAfter, let validBefore, validBefore <= validAfter {
            throw TrustError(.malformed, "valid-before is not after valid-after.")
        }
    }
}

/// Words of a line, with double quotes around what holds spaces.
private struct LineWords {
    private var rest: Substring

    init(_ line: String) { rest = Substring(line) }

    static func isKeyType(_ word: String) -> Bool {
        ["ssh-", "ecdsa-", "sk-"].contains { word.hasPrefix($0) } && !word.contains("=") && !word.contains(",") && !word.contains("\"")
    }

    mutating func next() throws(TrustError) -> String? {
        rest = rest.drop { $0 == " " || $0 == "\t" || $0 == "\r" }
        guard let first = rest.first else { return nil }
        var quoted = false
        let end = rest.firstIndex { character in
            if character == "\"" { quoted.toggle() }
            return !quoted && (character == " " || character == "\t" || character == "\r")
        }
        guard !quoted else { throw TrustError(.malformed, "A quotation mark is not closed.") }
        let word = rest[..<(end ?? rest.endIndex)]
        rest = rest[(end ?? rest.endIndex)...]
        // Only a word that is quoted as a whole loses its marks: those of options are theirs.
        return first == "\"" ? Self.unquoted(word) ?? String(word) : String(word)
    }

    /// Split at commas outside quotes.
    static func options(_ text: String) -> [Substring] {
        var quoted = false
        return text.split { character in
            if character == "\"" { quoted.toggle() }
            return character == "," && !quoted
        }
    }

    static func unquoted(_ text: Substring) -> String? {
        guard text.count >= 2, text.first == "\"", text.last == "\"" else { return nil }
        return String(text.dropFirst().dropLast())
    }
}
