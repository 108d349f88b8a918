// Turns addresses of a dead driver into lines that a person can read.

import Glibc
import Spawn

/// `swift_demangle` of the Swift runtime, which every Swift program carries. The result is malloc'ed.
@_silgen_name("swift_demangle")
private func swiftDemangle(
    _ mangled: UnsafePointer<CChar>?, _ length: Int, _ output: UnsafeMutablePointer<CChar>?, _ outputSize: UnsafeMutablePointer<Int>?,
    _ flags: UInt32
) -> UnsafeMutablePointer<CChar>?

enum Symboliser {
    private static let maximumLine = 400

    /// A line a frame: `"WebcamDriver.handle(_:) + 124 (webcam-driver)"`, the address where no name is known.
    static func backtrace(of words: LastWords, executable: Int32?, executableName: String) -> [String] {
        // Which file each address belongs to. A return address is the instruction after the call: one byte less lies in the caller.
        var wanted: [Int: [(frame: Int, address: UInt64)]] = [:]
        for (index, frame) in words.frames.enumerated() {
            guard let object = words.objects.firstIndex(where: { $0.range.contains(frame) }) else { continue }
            let address = frame &- words.objects[object].base &- (index == 0 ? 0 : 1)
            wanted[object, default: []].append((index, address))
        }
        var names: [Int: String] = [:]
        for (index, entries) in wanted {
            let object = words.objects[index]
            let matches = functions(of: object, executable: executable, at: entries.map(\.address))
            let file = object.path.map { String($0.split(separator: "/").last ?? "") } ?? executableName
            for (frame, address) in entries {
                let place = matches[address].map { "\(demangled($0.name)) + \($0.offset)" } ?? hex(address)
                names[frame] = "\(place) (\(file))"
            }
        }
        return words.frames.enumerated().map { index, frame in
            String((names[index] ?? hex(frame)).prefix(maximumLine))
        }
    }

    private static func functions(of object: LastWords.Object, executable: Int32?, at addresses: [UInt64]) -> [UInt64: ElfSymbols.Match] {
        if let path = object.path {
            // The path is the driver's word: only files that belong to the system or to us are looked into.
            guard path.hasPrefix("/"), let symbols = ElfSymbols(path: path) else { return [:] }
            return symbols.functions(at: addresses)
        }
        guard let executable, let symbols = ElfSymbols(duplicating: executable) else { return [:] }
        return symbols.functions(at: addresses)
    }

    /// A Swift symbol's readable form; any other as it is.
    static func demangled(_ symbol: String) -> String {
        guard symbol.utf8.count <= 1024, symbol.hasPrefix("$s") || symbol.hasPrefix("$S") || symbol.hasPrefix("_$s"),
            let text = swiftDemangle(symbol, symbol.utf8.count, nil, nil, 0)
        else { return symbol }
        defer { free(text) }
        return String(cString: text)
    }

    static func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
}
