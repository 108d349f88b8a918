// IPP's messages: the request that is sent, and whatever may come back.

import Glibc
import Testing

@testable import IPPUSB

@Suite struct IPPTests {
    /// Status 0, request 7.
    private static let head: [UInt8] = [
        2, 0,  // version 2.0
        0, 0,  // successful-ok
        0, 0, 0, 7,  // request-id
    ]

    private static func response(_ rest: [UInt8]) throws(IPPSyntaxError) -> IPPResponse { try IPPResponse(parsing: head + rest) }

    private static func entry(_ tag: UInt8, _ name: String, _ value: [UInt8]) -> [UInt8] {
        [tag, 0, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(value.count >> 8), UInt8(value.count & 0xff)] + value
    }

    private static func written(_ groups: [IPPGroup]) -> [UInt8] {
        var writer = IPPWriter()
        for group in groups { writer.group(group) }
        return head + writer.bytes + [3]
    }

    // MARK: Requests

    @Test func `attributes are asked for by name`() {
        let bytes = IPPRequest.printerAttributes(uri: "ipp://h/ipp", requested: ["a", "bc"], id: 0x0102_0304)
        var expected: [UInt8] = [
            2, 0,  // version 2.0
            0, 0x0b,  // Get-Printer-Attributes
            1, 2, 3, 4,  // request-id
            1,  // operation-attributes-tag
        ]
        expected += Self.entry(0x47, "attributes-charset", Array("utf-8".utf8))
        expected += Self.entry(0x48, "attributes-natural-language", Array("en".utf8))
        expected += Self.entry(0x45, "printer-uri", Array("ipp://h/ipp".utf8))
        expected += Self.entry(0x44, "requested-attributes", [0x61])
        expected += Self.entry(0x44, "", [0x62, 0x63])
        #expect(bytes == expected + [3])
        let all = IPPRequest.printerAttributes(uri: "ipp://h/ipp", requested: [], id: 1)
        #expect(!String(decoding: all, as: UTF8.self).contains("requested-attributes"))
    }

    // MARK: Responses

    @Test func `values of every kind are read`() throws {
        let bytes: [UInt8] =
            [1] + Self.entry(0x47, "attributes-charset", Array("utf-8".utf8))
            + [4] + Self.entry(0x21, "number", [0xff, 0xff, 0xff, 0xfe])  // -2
            + Self.entry(0x23, "state", [0, 0, 0, 3]) + Self.entry(0x23, "", [0, 0, 0, 4])
            + Self.entry(0x22, "yes", [1]) + Self.entry(0x22, "no", [0])
            + Self.entry(0x32, "dots", [0, 0, 1, 0x2c, 0, 0, 2, 0x58, 3])  // 300 × 600 dpi
            + Self.entry(0x33, "copies", [0, 0, 0, 1, 0, 0, 0, 99])
            + Self.entry(0x35, "said", [0, 2, 0x64, 0x65, 0, 3, 0x61, 0x62, 0x63])  // "de", "abc"
            + Self.entry(0x36, "called", [0, 0, 0, 1, 0x78])  // no language, "x"
            + Self.entry(0x13, "nothing", []) + Self.entry(0x30, "octets", [9, 8])
            + Self.entry(0x41, "bad", [0x61, 0xff]) + [3, 0xaa, 0xbb]  // bytes behind it
        let response = try IPPResponse(parsing: Self.head + bytes)
        #expect(response.version == 0x0200 && response.status == 0 && response.id == 7 && response.isSuccessful)
        #expect(response.groups.map(\.tag) == [.operation, .printer])
        #expect(response.integer("number") == -2 && response.integer("state") == 3)
        #expect(response.values("state") == [.enumeration(3), .enumeration(4)])
        #expect(response.boolean("yes") == true && response.boolean("no") == false && response.boolean("number") == nil)
        #expect(response.values("dots") == [.resolution(x: 300, y: 600, units: 3)])
        #expect(response.values("copies") == [.rangeOfInteger(lower: 1, upper: 99)])
        #expect(response.strings("said") == ["abc"] && response.values("called") == [.name("x")])
        #expect(response.values("nothing") == [.outOfBand(tag: 0x13)] && response.string("nothing") == nil)
        #expect(response.values("octets") == [.other(tag: 0x30, bytes: [9, 8])])
        #expect(response.string("bad") == "a\u{fffd}" && response.values("none").isEmpty && response.integer("none") == nil)
    }

    @Test func `what was written is read as it was`() throws {
        let size = IPPValue.collection([IPPAttribute("x-dimension", .integer(21_000)), IPPAttribute("y-dimension", .integer(29_700))])
        let groups = [
            IPPGroup(.operation, [IPPAttribute("attributes-charset", .charset("utf-8"))]),
            IPPGroup(
                .printer,
                [
                    IPPAttribute("media-col-database", .collection([IPPAttribute("media-size", size, size)]), size),
                    IPPAttribute("empty", .collection([])), IPPAttribute("formats", .mimeMediaType("a/b"), .mimeMediaType("c/d")),
                    IPPAttribute("schemes", .uriScheme("ipp"), .keyword("k"), .naturalLanguage("en"), .text("ä"), .name("n"), .uri("u")),
                    IPPAttribute("mixed", .boolean(true), .outOfBand(tag: 0x12), .other(tag: 0x31, bytes: [1]), .enumeration(-1)),
                    IPPAttribute("r", .resolution(x: -1, y: 2, units: 4), .rangeOfInteger(lower: 5, upper: -5)),
                ]),
        ]
        #expect(try IPPResponse(parsing: Self.written(groups)) == IPPResponse(id: 7, groups: groups))
    }

    /// All attributes of CUPS's `ippeveprinter` 2.4.2, as it sent them.
    @Test func `what CUPS's printer says of itself is read`() throws {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/")
        let file = try #require(fopen("\(root)/Corpus/ipp/ippeveprinter", "rb"))
        defer { fclose(file) }
        let bytes = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in count = fread(buffer.baseAddress, 1, 1 << 16, file) }
        let printer = try IPPResponse(parsing: bytes)
        #expect(printer.isSuccessful && printer.id == 42 && printer.groups.map(\.tag) == [.operation, .printer])
        #expect(printer.string("printer-make-and-model") == "Acme Model 5" && printer.boolean("color-supported") == true)
        #expect(printer.strings("ipp-features-supported") == ["ipp-everywhere"] && printer.integer("copies-default") == 1)
        #expect(printer.values("copies-supported") == [.rangeOfInteger(lower: 1, upper: 999)])
        #expect(printer.values("media-size-supported").count == 11 && printer.groups[1].attributes.count == 108)
        guard case .collection(let column) = printer.values("media-col-default").first else {
            Issue.record("no collection")
            return
        }
        #expect(
            column.first { $0.name == "media-size" }?.values
                == [.collection([IPPAttribute("x-dimension", .integer(21_590)), IPPAttribute("y-dimension", .integer(27_940))])])
    }

    /// As Pantum's firmware does it.
    @Test func `members that are named like attributes are members`() throws {
        let bytes =
            [1] + Self.entry(0x34, "size", []) + Self.entry(0x21, "x", [0, 0, 0, 1]) + Self.entry(0x21, "y", [0, 0, 0, 2])
            + Self.entry(0x37, "", []) + [3]
        #expect(
            try Self.response(bytes).values("size")
                == [.collection([IPPAttribute("x", .integer(1)), IPPAttribute("y", .integer(2))])])
    }

    @Test func `what was not understood is no answer`() throws {
        let bytes = [1, 5] + Self.entry(0x10, "urf-supported", []) + [4] + Self.entry(0x44, "urf-supported", [0x56]) + [3]
        #expect(try Self.response(bytes).strings("urf-supported") == ["V"])
        #expect(try IPPResponse(parsing: [1, 1, 4, 1, 0, 0, 0, 1, 1, 3]).isSuccessful == false)
    }

    // MARK: Hostile bytes

    @Test(
        arguments: [
            ([], IPPSyntaxError.truncated), ([1], .truncated), ([3], nil), ([4, 3], .tag(4)), ([1, 0], .tag(0)),
            ([0x21, 0, 0, 0, 0, 3], .stray),  // a value before any group
            ([1, 0x21, 0, 0, 0, 4, 0, 0, 0, 1, 3], .stray),  // a further value of nothing
            ([1, 0x21, 0, 1, 0x61, 0, 3, 0, 0, 1, 3], .length(tag: 0x21)),  // an integer of three bytes
            ([1, 0x22, 0, 1, 0x61, 0, 0, 3], .length(tag: 0x22)),  // a boolean of none
            ([1, 0x32, 0, 1, 0x61, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 3], .length(tag: 0x32)),
            ([1, 0x35, 0, 1, 0x61, 0, 3, 0, 0, 0, 3], .length(tag: 0x35)),  // no room for two lengths
            ([1, 0x35, 0, 1, 0x61, 0, 4, 0xff, 0xff, 0, 0, 3], .length(tag: 0x35)),  // a language that is longer than all
            ([1, 0x36, 0, 1, 0x61, 0, 4, 0, 0, 0, 1, 3], .length(tag: 0x36)),  // a name that is
            ([1, 0x41, 0xff, 0xff, 0x61], .truncated), ([1, 0x41, 0, 1, 0x61, 0xff, 0xff, 1], .truncated),
            ([1, 0x80, 0, 1, 0x61, 0, 0, 3], .tag(0x80)),
            ([1, 0x37, 0, 1, 0x61, 0, 0, 3], .collection), ([1, 0x4a, 0, 1, 0x61, 0, 1, 0x62, 3], .collection),
            ([1, 0x34, 0, 1, 0x61, 0, 1, 0, 3], .length(tag: 0x34)),
            ([1, 0x34, 0, 1, 0x61, 0, 0, 3, 0, 0], .collection),  // the end of attributes within
            ([1, 0x34, 0, 1, 0x61, 0, 0, 0x21, 0, 0, 0, 4, 0, 0, 0, 1], .collection),  // a value of no member
            ([1, 0x34, 0, 1, 0x61, 0, 0, 0x4a, 0, 0, 0, 1, 0x62, 0x37, 0, 0, 0, 0, 3], .collection),  // a member of no value
            ([1, 0x34, 0, 1, 0x61, 0, 0, 0x4a, 0, 0, 0, 0], .collection),  // a member of no name
            ([1, 0x34, 0, 1, 0x61, 0, 0], .truncated),
        ] as [([UInt8], IPPSyntaxError?)])
    func `what is wrong is said`(bytes: [UInt8], error: IPPSyntaxError?) {
        var found: IPPSyntaxError?
        do throws(IPPSyntaxError) { _ = try Self.response(bytes) } catch { found = error }
        #expect(found == error)
        if let found { #expect("\(found)".hasPrefix("The printer's IPP response ")) }
    }

    @Test func `a response that ends anywhere is none`() throws {
        let bytes = Self.written([IPPGroup(.operation, [IPPAttribute("a", .collection([IPPAttribute("b", .text("x"))]), .integer(1))])])
        for count in bytes.indices { #expect(throws: IPPSyntaxError.truncated) { try IPPResponse(parsing: Array(bytes[..<count])) } }
        #expect(throws: IPPSyntaxError.version(0x0300)) { try IPPResponse(parsing: [3, 0] + bytes.dropFirst(2)) }
    }

    @Test func `bytes, groups, attributes, values and depth are bounded`() {
        #expect(throws: IPPSyntaxError.tooLarge) {
            try IPPResponse(parsing: Self.head + [1, 3] + [UInt8](repeating: 0, count: IPPResponse.longest))
        }
        #expect(throws: IPPSyntaxError.tooMany) { try Self.response([UInt8](repeating: 1, count: 65) + [3]) }
        let attributes = (0...IPPResponse.mostAttributes).flatMap { _ in Self.entry(0x13, "a", []) }
        #expect(throws: IPPSyntaxError.tooMany) { try Self.response([1] + attributes + [3]) }
        let values = (0..<IPPResponse.mostValues).flatMap { _ in Self.entry(0x13, "", []) }
        #expect(throws: IPPSyntaxError.tooMany) { try Self.response([1] + Self.entry(0x13, "a", []) + values + [3]) }
        #expect(throws: IPPSyntaxError.tooMany) {
            try Self.response(
                [1] + Self.entry(0x34, "c", [])
                    + (0...IPPResponse.mostAttributes).flatMap { _ in Self.entry(0x4a, "", [0x6d]) + Self.entry(0x13, "", []) })
        }
        func deep(_ depth: Int) -> IPPValue {
            (0..<depth).reduce(.integer(1)) { value, _ in .collection([IPPAttribute("d", value)]) }
        }
        let deepest = [IPPGroup(.operation, [IPPAttribute("a", deep(IPPResponse.deepest))])]
        #expect(throws: Never.self) { try IPPResponse(parsing: Self.written(deepest)) }
        let deeper = [IPPGroup(.operation, [IPPAttribute("a", deep(IPPResponse.deepest + 1))])]
        #expect(throws: IPPSyntaxError.tooDeep) { try IPPResponse(parsing: Self.written(deeper)) }
    }
}
