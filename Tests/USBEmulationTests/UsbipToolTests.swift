// The server, looked at by Linux's own tool.

import Glibc
import Testing
import USBEmulation

@Suite struct UsbipToolTests {
    private static let places: [String] = ["/usr/sbin/usbip", "/usr/bin/usbip", "/sbin/usbip"]
    private static let tool: String? = places.first { access($0, X_OK) == 0 }

    @Test(.enabled(if: tool != nil, "the package usbip is not installed")) func usbipListsTheDevices() throws {
        let tool = try #require(Self.tool)
        let bench = try Bench(["1-1", "1-2"])
        let pipe = try #require(popen("\(tool) --tcp-port \(bench.port) list -r 127.0.0.1 2>&1", "r"))
        var text = ""
        var line = [CChar](repeating: 0, count: 4096)
        while fgets(&line, Int32(line.count), pipe) != nil {
            text += String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        #expect(pclose(pipe) == 0)
        for expected in ["1-1: ", "1-2: ", "(1209:0001)", "/sys/devices/emulated/1-1", "(ff/00/00)"] {
            #expect(text.contains(expected), "usbip said: \(text)")
        }
    }
}
