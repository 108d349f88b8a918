// A stamp says which frame it is, and notices every altered byte.

import Testing

@testable import Pictures

@Suite struct FrameStampTests {
    let stamp = FrameStamp(number: 0x0102_0304_0506_0708, captureTime: 123_456_789_012, intervalNanoseconds: 33_333_300, stream: 3)

    func frame(_ format: String) throws -> [UInt8] {
        let picture = try testPicture(width: 32, height: 16)
        var bytes =
            format == "mjpeg"
            ? [UInt8](repeating: 0, count: FrameStamp.jpegOverhead) + (try picture.encoded(as: .jpeg(quality: 70)))
            : picture.bytes(as: RawFormat(rawValue: format) ?? .yuy2)
        bytes.withUnsafeMutableBytes { stamp.write(format: format, into: $0) }
        return bytes
    }

    func read(_ format: String, _ bytes: [UInt8]) -> FrameStamp.Reading {
        bytes.withUnsafeBytes { FrameStamp.read(format: format, bytes: $0) }
    }

    @Test(arguments: ["mjpeg", "yuy2", "nv12"]) func aWholeFrameIsRead(format: String) throws {
        let bytes = try frame(format)
        #expect(read(format, bytes) == .whole(stamp))
        if format == "mjpeg" { #expect(try Picture(jpeg: bytes).width == 32) }
    }

    @Test(arguments: ["mjpeg", "yuy2", "nv12"]) func everyAlteredByteIsNoticed(format: String) throws {
        let bytes = try frame(format)
        for index in bytes.indices {
            for mask: UInt8 in [0x01, 0x80, 0xff] {
                var altered = bytes
                altered[index] ^= mask
                guard case .torn(let found) = read(format, altered) else {
                    Issue.record("byte \(index) of a \(format) frame altered by \(mask) is not noticed")
                    continue
                }
                #expect(found == nil || found == stamp)
            }
        }
    }

    @Test(arguments: ["mjpeg", "yuy2", "nv12"]) func cutAndShiftedFramesAreTorn(format: String) throws {
        let bytes = try frame(format)
        for count in 80..<bytes.count { #expect(read(format, Array(bytes.prefix(count))) == .torn(stamp)) }
        if format != "mjpeg" {
            for missing in [1, 64, 100] { #expect(read(format, Array(bytes.dropFirst(missing))) == .torn(stamp)) }
        }
        #expect(read(format, bytes + [0]) == .torn(stamp))
        for count in 0..<80 { _ = read(format, Array(bytes.prefix(count))) }
    }

    @Test func framesOfARealCameraHaveNone() throws {
        let picture = try testPicture()
        #expect(read("mjpeg", try picture.encoded(as: .jpeg(quality: 70))) == .none)
        #expect(read("yuy2", picture.bytes(as: .yuy2)) == .none)
        #expect(read("yuy2", []) == .none)
    }

    @Test func missingFramesAreCountedAcrossRestarts() {
        var next = stamp
        next.number += 1
        #expect(stamp.framesMissing(before: next) == 0)
        next.number += 4
        #expect(stamp.framesMissing(before: next) == 4)
        #expect(next.framesMissing(before: stamp) == 0)
        // A new stream: ten intervals and a bit later, so nine are missing.
        next = FrameStamp(number: 0, captureTime: stamp.captureTime + 339_000_000, intervalNanoseconds: 33_333_300, stream: 4)
        #expect(stamp.framesMissing(before: next) == 9)
    }

    @Test func theChecksumIsTheOneOfTheStandard() {
        var checksum = CRC32()
        let bytes = Array("123456789".utf8)
        bytes.withUnsafeBytes { checksum.update($0) }
        #expect(checksum.value == 0xcbf4_3926)
    }
}
