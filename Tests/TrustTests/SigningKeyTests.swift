// Keys as bytes that may be anything: only what is a key becomes one.

import Testing

@testable import Trust

@Suite struct SigningKeyTests {
    /// The generator of P-256 (SEC 2 §2.4.2): the public key that belongs to the secret number 1.
    private let x = bytes("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")
    private let y = bytes("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
    private let one = [UInt8](repeating: 0, count: 31) + [1]
    private let message = Array("what is signed".utf8)

    private static func bytes(_ hex: String) -> [UInt8] {
        stride(from: 0, to: hex.utf8.count, by: 2).compactMap { UInt8(hex.dropFirst($0).prefix(2), radix: 16) }
    }

    @Test func signsAndChecksOnP256() throws {
        let pair = try #require(SigningKey(ecdsaP256: [4] + x + y, secret: one))
        let key = try #require(SigningKey(ecdsaP256: [4] + x + y))
        for _ in 0..<200 {
            // Numbers with zeros in front come up among so many.
            let signature = try #require(pair.signature(of: message))
            #expect(signature.count == 64)
            #expect(key.isValid(signature, of: message))
            #expect(!key.isValid(signature, of: message + [0]))
        }
        #expect(key.signature(of: message) == nil)
    }

    @Test func aPointIsOnTheCurveAndWrittenInFull() {
        var off = y
        off[31] ^= 1
        let wrong: [String: [UInt8]] = [
            "not on the curve": [4] + x + off, "compressed": [3] + x, "hybrid": [7] + x + y, "infinity": [0],
            "zeros": [UInt8](repeating: 0, count: 65), "four and zeros": [4] + [UInt8](repeating: 0, count: 64), "short": [4] + x,
            "long": [4] + x + y + [0], "nothing": [], "past the field": [4] + [UInt8](repeating: 0xff, count: 64),
        ]
        for (name, point) in wrong { #expect(SigningKey(ecdsaP256: point) == nil, "\(name)") }
    }

    @Test func aSecretBelongsToItsPoint() {
        let order = Self.bytes("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
        let orderAndOne = Array(order.dropLast()) + [0x52]
        let wrong: [[UInt8]] = [
            [UInt8](repeating: 0, count: 32), [UInt8](repeating: 0, count: 31) + [2], order, orderAndOne,
            [UInt8](repeating: 0xff, count: 32), [1], [],
            one + [0],
        ]
        for secret in wrong { #expect(SigningKey(ecdsaP256: [4] + x + y, secret: secret) == nil, "\(secret)") }
    }

    @Test func signaturesOfEveryLengthAndOfExtremesAreRefused() throws {
        let ed25519 = try #require(SigningKey(ed25519Secret: one))
        let ecdsa = try #require(SigningKey(ecdsaP256: [4] + x + y, secret: one))
        for key in [ed25519, ecdsa] {
            let signature = try #require(key.signature(of: message))
            for count in 0...130 where count != 64 {
                #expect(!key.isValid(Array((signature + signature + signature).prefix(count)), of: message))
            }
            for byte in [0, 1, 0x7f, 0xff] as [UInt8] { #expect(!key.isValid([UInt8](repeating: byte, count: 64), of: message)) }
        }
    }

    /// RFC 8032 §7.1, TEST 2, and the second form of the same signature, with s + L, which nobody may take.
    @Test func ed25519IsThatOfTheStandard() throws {
        let key = try #require(SigningKey(ed25519Secret: Self.bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")))
        #expect(key.ed25519 == Self.bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"))
        let signature = Self.bytes(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        )
        #expect(key.signature(of: [0x72]) == signature)
        let order = Self.bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
        var second = signature
        var carry = 0
        for index in 0..<32 {
            carry += Int(signature[32 + index]) + Int(order[index])
            second[32 + index] = UInt8(carry & 0xff)
            carry >>= 8
        }
        let publicKey = try #require(SigningKey(ed25519: key.ed25519))
        #expect(publicKey.isValid(signature, of: [0x72]))
        #expect(!publicKey.isValid(second, of: [0x72]))
        #expect(SigningKey(ed25519: Array(key.ed25519.dropLast())) == nil)
        // No point of the curve.
        #expect(SigningKey(ed25519: [2] + [UInt8](repeating: 0, count: 31))?.isValid(signature, of: [0x72]) != true)
    }

    @Test func digestsAreThoseOfTheStandards() {
        let text = Array("abc".utf8)
        #expect(Digest.sha1(text) == Self.bytes("a9993e364706816aba3e25717850c26c9cd0d89d"))
        #expect(Digest.sha256(text) == Self.bytes("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
        #expect(Digest.sha512(text).prefix(4) == [0xdd, 0xaf, 0x35, 0xa1])
        #expect(Digest.sha256([]).prefix(4) == [0xe3, 0xb0, 0xc4, 0x42])
    }
}
