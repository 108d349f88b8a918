// SHA-256 against published values, in pieces of any size.

import ObjectStore
import Testing

@Suite struct DigestTests {
    private func digest(_ bytes: [UInt8], pieces: Int = .max) -> String {
        var digest = ObjectDigest()
        var rest = bytes[...]
        while !rest.isEmpty {
            rest.prefix(pieces).withUnsafeBytes { digest.update($0) }
            rest = rest.dropFirst(pieces)
        }
        return digest.text()
    }

    /// FIPS 180-4's examples, and the empty message.
    @Test func itIsWhatTheStandardSays() {
        #expect(digest([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(digest(Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        let long = Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)
        #expect(digest(long) == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
        let million = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
        #expect(digest(million, pieces: 4093) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    @Test func piecesDoNotMatter() {
        let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        for count in [55, 56, 57, 63, 64, 65, 119, 120, 128, 300] {
            let part = Array(bytes.prefix(count))
            for pieces in [1, 3, 63, 64, 65] { #expect(digest(part, pieces: pieces) == digest(part), "\(count) in \(pieces)") }
        }
    }

    @Test func itCanBeAskedInBetween() {
        var digest = ObjectDigest()
        Array("ab".utf8).withUnsafeBytes { digest.update($0) }
        _ = digest.text()
        Array("c".utf8).withUnsafeBytes { digest.update($0) }
        #expect(digest.text() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }
}
