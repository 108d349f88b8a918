// Reads a file of descriptors: sysfs's binary `descriptors`, or hexadecimal text with `#` comments.

import FileDescriptors
import Glibc

enum DescriptorFile {
    /// More than any device can send, by far.
    static let largest = 1 << 20

    /// Why a file could not be read as descriptors: a full sentence.
    struct Failure: Error, Hashable, CustomStringConvertible {
        let description: String
    }

    static func load(path: String) throws -> [UInt8] {
        try decode(read(path), path: path)
    }

    /// Tells the two kinds apart by what is in them: a binary file begins with a device descriptor (`12 01`) or a configuration (`09 02`),
    /// which no text does.
    static func decode(_ content: [UInt8], path: String) throws -> [UInt8] {
        guard content.contains(where: { !isSpace($0) }) else { throw Failure(description: "\(path) is empty.") }
        let bytes = isBinary(content) ? content : try hexadecimal(content, path: path)
        guard bytes.count >= 9 else {
            throw Failure(
                description: "\(path) holds \(bytes.count) bytes, too few for descriptors: a device descriptor alone has 18.")
        }
        return bytes
    }

    private static func isBinary(_ content: [UInt8]) -> Bool {
        if content.count >= 2, content[1] <= 0x02, content[0] <= 0x12 { return true }
        return content.contains { $0 < 0x20 && !isSpace($0) }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }

    /// Pairs of digits, with or without spaces, commas and `0x` between them; `#` comments out the rest of a line.
    private static func hexadecimal(_ text: [UInt8], path: String) throws -> [UInt8] {
        var bytes: [UInt8] = []
        for (number, line) in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            let code = line.prefix { $0 != UInt8(ascii: "#") }
            let words = code.split { isSpace($0) || $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: ":") }
            for word in words {
                var digits = Array(word)
                if digits.count > 2, digits[0] == UInt8(ascii: "0"), digits[1] | 0x20 == UInt8(ascii: "x") { digits.removeFirst(2) }
                try append(digits, to: &bytes, where: "\(path), line \(number + 1)")
            }
        }
        guard !bytes.isEmpty else { throw Failure(description: "\(path) has only comments and no bytes.") }
        return bytes
    }

    private static func append(_ digits: [UInt8], to bytes: inout [UInt8], where place: String) throws {
        let values = digits.map { Character(UnicodeScalar($0)).hexDigitValue }
        if let wrong = zip(digits, values).first(where: { $0.1 == nil || $0.0 >= 0x80 }) {
            let shown = (0x21...0x7e).contains(wrong.0) ? "\"\(Character(UnicodeScalar(wrong.0)))\"" : "byte \(wrong.0)"
            throw Failure(description: "\(place): \(shown) is not a hexadecimal digit, and the file is not binary either.")
        }
        guard digits.count.isMultiple(of: 2) else {
            throw Failure(description: "\(place): an odd number of hexadecimal digits (\(digits.count)).")
        }
        for pair in stride(from: 0, to: values.count, by: 2) {
            bytes.append(UInt8((values[pair] ?? 0) << 4 | (values[pair + 1] ?? 0)))
        }
    }

    private static func read(_ path: String) throws -> [UInt8] {
        guard let file = OwnedDescriptor(opened: open(path, O_RDONLY | O_CLOEXEC)) else {
            throw Failure(description: "\(path) can't be opened: \(String(cString: strerror(errno))).")
        }
        // Not by the file's size: sysfs says 64 KiB of a file of any length.
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(file.number, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Failure(description: "\(path) can't be read: \(String(cString: strerror(errno))).") }
            if count == 0 { return content }
            content += chunk[..<count]
            guard content.count <= largest else {
                throw Failure(description: "\(path) is longer than 1 MiB: no device has that many descriptors.")
            }
        }
    }
}
