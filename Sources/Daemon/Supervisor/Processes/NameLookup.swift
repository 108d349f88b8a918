// The child's side of looking up names: everything in it may come from a hostile driver, and may end it.

import CLinux
import Glibc

/// `swift_demangle` of the Swift runtime, which every Swift program carries. The result is malloc'ed.
@_silgen_name("swift_demangle")
private func swiftDemangle(
    _ mangled: UnsafePointer<CChar>?, _ length: Int, _ output: UnsafeMutablePointer<CChar>?, _ outputSize: UnsafeMutablePointer<Int>?,
    _ flags: UInt32
) -> UnsafeMutablePointer<CChar>?

/// A process that reads the symbol tables of ELF files and makes Swift's names readable. Both can cost any amount of time and memory
/// (some 200 bytes of a name expand to gigabytes), so it is limited (`SandboxPolicy.names`), short-lived, and nobody waits for it long.
///
/// What it is to look up stands in an environment variable (Swift reads arguments from /proc, which it may not open): words of `FILE:ADDRESS`, the
/// number of a file and an address in it, hexadecimal. File n is its descriptor 3 + n. On standard output it writes lines of `INDEX TEXT`, the index
/// being that of the word. First every name as it stands in its table, then the readable ones.
public enum NameLookup {
    static let programName = "userdriver-names"
    /// By it `userdriverd` knows that it is to be this.
    static let variable = "USERDRIVER_LOOK_UP_NAMES"
    static let firstFile: Int32 = 3
    static let maximumName = 320

    /// For `main`, before anything else. Returns where the process is another one.
    public static func runIfAsked() {
        guard let words = getenv(variable) else { return }
        clinux_set_name(programName)
        let requests = String(cString: words).split(separator: " ").prefix(Int(CLINUX_CRASH_FRAMES)).map { parse($0) }
        var matches: [(index: Int, match: ElfSymbols.Match)] = []
        for file in Set(requests.compactMap { $0?.file }).sorted() {
            guard let symbols = ElfSymbols(duplicating: firstFile + Int32(file)) else { continue }
            let wanted = requests.enumerated().filter { $0.element?.file == file }.compactMap { index, request in
                request.map { (index, $0.address) }
            }
            let found = symbols.functions(at: wanted.map(\.1))
            for (index, address) in wanted {
                if let match = found[address] { matches.append((index, match)) }
            }
        }
        for (index, match) in matches { say(index, match.name, match.offset) }
        // The one that can't be made readable may be the end of this process: what is short is done first.
        for (index, match) in matches.sorted(by: { $0.match.name.utf8.count < $1.match.name.utf8.count }) {
            if let readable = demangled(match.name) { say(index, readable, match.offset) }
        }
        exit(0)
    }

    private static func parse(_ word: Substring) -> (file: Int, address: UInt64)? {
        let parts = word.split(separator: ":")
        guard parts.count == 2, let file = Int(parts[0]), (0..<Int(CLINUX_CRASH_OBJECTS) + 1).contains(file),
            let address = UInt64(parts[1], radix: 16)
        else { return nil }
        return (file, address)
    }

    private static func say(_ index: Int, _ name: String, _ offset: UInt64) {
        // A name with a line's end in it would be a line of its own.
        let text = String(name.prefix(maximumName)).split(whereSeparator: \.isNewline).joined(separator: "?")
        let line = Array("\(index) \(text) + \(offset)\n".utf8)
        _ = write(STDOUT_FILENO, line, line.count)
    }

    /// A Swift symbol's readable form; `nil` for any other.
    static func demangled(_ symbol: String) -> String? {
        guard symbol.utf8.count <= 1024, symbol.hasPrefix("$s") || symbol.hasPrefix("$S") || symbol.hasPrefix("_$s"),
            let text = swiftDemangle(symbol, symbol.utf8.count, nil, nil, 0)
        else { return nil }
        defer { free(text) }
        // Only as much as is shown is looked at.
        let length = strnlen(text, maximumName * 4)
        return String(decoding: UnsafeRawBufferPointer(start: text, count: length), as: UTF8.self)
    }
}
