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

    /// The signer's name as it is shown.
    public var name: String { principals.joined(separator: ",") }

    /// Whether the line is for that name.
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
        else { throw TrustError(.malformed, "It is too long, or not text.") }
        var words = LineWords(line)
        guard !words.isEmpty, !words.isComment else { return nil }
        let names = try words.principals().split(separator: ",").map(String.init)
        guard !names.isEmpty else { throw TrustError(.malformed, "It names no principal.") }
        guard Pattern.admitsAnybody(names) else {
            throw TrustError(.malformed, "Its patterns match nobody: a name after ! is excluded, whatever else is there.")
        }
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
        for option in try LineWords.options(text) {
            let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count == 2 ? LineWords.unquoted(parts[1]) : nil
            switch (parts[0].lowercased(), value) {
            case ("cert-authority", _):
                throw TrustError(
                    .unsupported, "cert-authority is not supported: name the signer's own key instead of one that certifies it.")
            case ("namespaces", let value?):
                guard namespaces == nil else { throw TrustError(.malformed, "It has two namespaces options.") }
                namespaces = value.split(separator: ",").map(String.init)
            case ("valid-after", let value?):
                guard validAfter == nil else { throw TrustError(.malformed, "It has two valid-after options.") }
                validAfter = try SignerDate.seconds(value)
            case ("valid-before", let value?):
                guard validBefore == nil else { throw TrustError(.malformed, "It has two valid-before options.") }
                validBefore = try SignerDate.seconds(value)
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
    // Scalars: a mark with an accent behind it is a mark.
    private var rest: Substring.UnicodeScalarView

    init(_ line: String) {
        rest = Substring(line).unicodeScalars
        skipBlanks()
    }

    static func isKeyType(_ word: String) -> Bool {
        ["ssh-", "ecdsa-", "sk-"].contains { word.hasPrefix($0) } && !word.contains("=") && !word.contains(",") && !word.contains("\"")
    }

    var isEmpty: Bool { rest.isEmpty }
    var isComment: Bool { rest.first == "#" }

    private static func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar == " " || scalar == "\t" || scalar == "\r" }

    private mutating func skipBlanks() { rest = rest.drop(while: Self.isBlank) }

    /// Up to a blank or, where a quotation mark comes first, to the one that closes it.
    mutating func principals() throws(TrustError) -> String {
        let end = rest.firstIndex { Self.isBlank($0) || $0 == "\"" } ?? rest.endIndex
        var word = String(rest[..<end])
        let isQuoted = end < rest.endIndex && rest[end] == "\""
        rest = rest[end...]
        if isQuoted {
            rest = rest.dropFirst()
            guard let close = rest.firstIndex(of: "\"") else { throw TrustError(.malformed, "A quotation mark is not closed.") }
            word.unicodeScalars.append(contentsOf: rest[..<close])
            rest = rest[close...].dropFirst()
        }
        skipBlanks()
        return word
    }

    /// Up to a blank outside quotes.
    mutating func next() throws(TrustError) -> String? {
        guard !rest.isEmpty else { return nil }
        var marks = QuotationMarks()
        let end = rest.firstIndex { !marks.areOpen(at: $0) && Self.isBlank($0) } ?? rest.endIndex
        guard !marks.isOpen else { throw TrustError(.malformed, "A quotation mark is not closed.") }
        let word = String(rest[..<end])
        rest = rest[end...]
        skipBlanks()
        return word
    }

    /// Split at commas outside quotes. Empty ones are passed over, but for the last: there something was to come.
    static func options(_ text: String) throws(TrustError) -> [String] {
        var marks = QuotationMarks()
        let options = text.unicodeScalars.split(omittingEmptySubsequences: false) { !marks.areOpen(at: $0) && $0 == "," }.map(String.init)
        guard options.last?.isEmpty != true else { throw TrustError(.malformed, "Its options end in a comma.") }
        return options.filter { !$0.isEmpty }
    }

    /// What stands between the marks, which may have marks of its own with a backslash before them.
    static func unquoted(_ text: Substring) -> String? {
        guard text.count >= 2, text.first == "\"", text.last == "\"" else { return nil }
        let inner = text.dropFirst().dropLast()
        let plain = inner.replacing("\\\"", with: "")
        guard !plain.contains("\""), !inner.hasSuffix("\\") else { return nil }
        return String(inner.replacing("\\\"", with: "\""))
    }
}

/// Whether quotation marks are open, scalar by scalar; one behind a backslash is none.
private struct QuotationMarks {
    private(set) var isOpen = false
    private var isEscaped = false

    mutating func areOpen(at scalar: Unicode.Scalar) -> Bool {
        if scalar == "\"", !isEscaped { isOpen.toggle() }
        isEscaped = scalar == "\\"
        return isOpen
    }
}
