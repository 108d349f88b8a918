// The secret in the link.

import FileDescriptors
import Glibc

struct WebToken: Sendable {
    let text: String

    /// Bytes of chance in it.
    private static let byteCount = 16

    /// That of the file, made where there is none yet. Only its owner and group can read it.
    static func load(_ path: String) throws -> WebToken {
        if let kept = try read(path) { return kept }
        let token = make()
        guard let file = OwnedDescriptor(opened: open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o640)) else {
            let number = errno
            if number == EEXIST, let kept = try read(path) { return kept }
            throw WebError("The token can't be saved in \(path): \(String(cString: strerror(number))).")
        }
        let bytes = Array(token.text.utf8)
        let count = bytes.withUnsafeBytes { write(file.number, $0.baseAddress, $0.count) }
        guard count == bytes.count else { throw WebError("The token can't be written to \(path): \(String(cString: strerror(errno))).") }
        return token
    }

    private static func read(_ path: String) throws -> WebToken? {
        guard let file = OwnedDescriptor(opened: open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) else {
            if errno == ENOENT { return nil }
            throw WebError("The token in \(path) can't be read: \(String(cString: strerror(errno))).")
        }
        var bytes = [UInt8](repeating: 0, count: 128)
        let count = bytes.withUnsafeMutableBytes { Glibc.read(file.number, $0.baseAddress, $0.count) }
        let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        guard text.utf8.count == byteCount * 2, text.allSatisfy(\.isHexDigit) else {
            throw WebError("\(path) does not hold a token: remove it to have a new one made.")
        }
        return WebToken(text: text)
    }

    static func make() -> WebToken {
        // The system's generator is cryptographically secure.
        let bytes = (0..<byteCount).map { _ in UInt8.random(in: .min ... .max) }
        let digits = Array("0123456789abcdef")
        return WebToken(text: String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }))
    }

    /// Takes as long for a wrong one as for the right one.
    func matches(_ other: some StringProtocol) -> Bool {
        let (mine, theirs) = (Array(text.utf8), Array(other.utf8))
        guard mine.count == theirs.count else { return false }
        return zip(mine, theirs).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
