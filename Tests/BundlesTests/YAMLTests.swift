// YAML: what plain text stands for, and what is refused with its line.

import Testing

@testable import Bundles

@Suite struct YAMLTests {
    private func read(_ text: String) throws(YAMLError) -> YAMLNode? { try YAMLReader.read(Array(text.utf8)) }

    @Test func readsListsAndMappingsInTheirOrder() throws {
        let root = try #require(try read("# first\nb: [1, {x: y}]\na:\n  - |\n    text\n    more\n  - \"1\\u00e9\"\n"))
        guard case .mapping(let members) = root.content else {
            Issue.record("no mapping")
            return
        }
        #expect(members.map(\.key) == ["b", "a"])
        #expect(members.map(\.value.line) == [2, 4])
        guard case .list(let flow) = members[0].value.content, case .list(let block) = members[1].value.content else {
            Issue.record("no lists")
            return
        }
        #expect(flow.map(\.int) == [1, nil])
        #expect(block.map(\.text) == ["text\nmore\n", "1é"])
        #expect(block.map(\.int) == [nil, nil])
    }

    @Test(arguments: ["", "# nothing\n", "\n\n"]) func aTextWithoutADocumentIsNone(text: String) throws {
        let root = try read(text)
        #expect(root == nil)
    }

    @Test(
        arguments: [
            ("1", 1), ("-12", -12), ("+7", 7), ("0", 0), ("0x0e", 14), ("0XE", nil), ("-0x10", -16), ("0o17", 15), ("017", 15),
            ("0b101", 5),
            ("1_000", 1000), ("0x", nil), ("0x-1", nil), ("0-1", nil), ("--1", nil), ("x", nil), ("", nil), ("08", nil), ("1.0", nil),
            ("9223372036854775807", Int.max), ("9223372036854775808", nil), ("'1'", nil), ("_", nil), ("0xffffffffffffffffffff", nil),
        ] as [(String, Int?)])
    func readsNumbers(text: String, number: Int?) throws {
        let node = try read("[" + text + "]")
        guard case .list(let entries) = node?.content else {
            Issue.record("no list")
            return
        }
        #expect(entries.first?.int == number)
    }

    @Test func readsWordsAndFractions() throws {
        for (text, value) in [("on", true), ("No", false), ("TRUE", true), ("off", false)] { #expect(try read(text)?.bool == value) }
        for text in ["y", "'on'", "1", "onn"] { #expect(try read(text)?.bool == nil) }
        for (text, value) in [("1.5", 1.5), ("-2e3", -2000), (".5", 0.5), ("1_0.5", 10.5)] { #expect(try read(text)?.double == value) }
        for text in ["nan", ".inf", "1e999", "0x1p3", "e", "'1.5'", "-x"] { #expect(try read(text)?.double == nil) }
        for text in ["~", "null", "NULL"] { #expect(try read(text)?.isNull == true) }
        for text in ["''", "nULL", "0"] { #expect(try read(text)?.isNull == false) }
    }

    @Test(arguments: [
        ("a: 1\nb: &x 2\n", 2, "anchors"), ("a: 1\nb: *x\n", 2, "anchors"), ("a: &x [1]\n", 1, "anchors"), ("a: &x {b: 1}\n", 1, "anchors"),
        ("a: 1\n\nb: !!int 3\n", 3, "tags"), ("a: !x [1]\n", 1, "tags"), ("a: ! 1\n", 1, "tags"), ("a: !!map {}\n", 1, "tags"),
        ("a: 1\n---\nb: 1\n", 2, "second document"), ("a: 1\nb: 2\na: 3\n", 3, "second time"),
        ("? [a]\n: 1\n", 1, "name is not plain text"),
        ("a: [1,\nb: ]]\n", 2, ""), ("a: \"x\n", 2, ""), ("a\n: b: c\n", 2, ""), ("a: 1\nb: \"\\q\"\n", 2, ""), ("a:\n\t- b\n", 2, ""),
        ("a: 1\n# \u{0}\n", 2, "not UTF-8 text"), ("a: 1\nb: " + String(repeating: "x", count: 400), 2, "longer than 400"),
        ("a: 1\nb: " + String(repeating: "[", count: 30) + String(repeating: "]", count: 30), 2, "nest deeper"),
        (String(repeating: "- 1\n", count: 10_000), 10_000, "more than 10000 parts"),
    ])
    func refusesWithItsLine(text: String, line: Int, problem: String) {
        do throws(YAMLError) {
            _ = try read(text)
            Issue.record("it was taken: \(text.prefix(60))")
        } catch {
            #expect(error.line == line, "\(text.prefix(60)): \(error)")
            #expect(error.problem.contains(problem), "\(text.prefix(60)): \(error)")
        }
    }

    @Test func bytesThatAreNoTextAreRefused() {
        for bytes in [[0xff, 0xfe, 0x61, 0x00], [0x61, 0x3a, 0x20, 0xc3], [0x61, 0x00]] as [[UInt8]] {
            #expect(throws: YAMLError.self) { try YAMLReader.read(bytes) }
        }
    }

    @Test func aManifestsFaultNamesItsLine() {
        let text = goodManifest.replacing("{class: 14}", with: "{class: 1400}")
        #expect { try ManifestParser.parse(Array(text.utf8), path: "driver.yaml") } throws: {
            "\($0)".contains("class is not a number from 0 to 255 (line 9)")
        }
    }
}
