// Names for addresses: of this very program, and of files that only look like programs.

import CLinux
import Glibc
import Testing

@testable import Supervisor

@inline(never)
func aFunctionWithAName(_ value: Int) -> Int { value &* 3 }

@Suite struct SymbolTests {
    @Test func findsAFunctionOfThisProgram() throws {
        let function: @convention(c) (Int) -> Int = { aFunctionWithAName($0) }
        let address = UInt64(UInt(bitPattern: unsafeBitCast(function, to: UnsafeRawPointer.self)))
        // Where the program is mapped is noted by the same code that a driver uses.
        let page = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 4096)
        defer { page.deallocate() }
        page.initializeMemory(as: UInt8.self, repeating: 0, count: 4096)
        let words = try Self.words(of: page, frames: [address + 1])
        let executable = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
        defer { close(executable) }
        let backtrace = Backtrace(words, executableName: "tests")
        let place = try #require(backtrace.places.first)
        #expect(backtrace.files[place.file] == .executable)
        var name = ""
        if let symbols = ElfSymbols(duplicating: executable) {
            name = symbols.functions(at: [place.address])[place.address]?.name ?? ""
        }
        #expect(name.contains("findsAFunctionOfThisProgram"))
        #expect(backtrace.lines([0: name]).first?.hasSuffix("(tests)") == true)
        #expect(backtrace.lines().first == "\(Backtrace.hex(place.address)) (tests)")
    }

    /// Last words of this process as if it had died at `frames`.
    private static func words(of page: UnsafeMutableRawPointer, frames: [UInt64]) throws -> CrashPage {
        // Only the objects are wanted: handlers of this process are put back.
        let signals = [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS]
        var saved = signals.map { _ in sigaction() }
        for (index, signal) in signals.enumerated() { sigaction(signal, nil, &saved[index]) }
        clinux_install_crash_handler(page)
        for (index, signal) in signals.enumerated() { sigaction(signal, &saved[index], nil) }
        page.storeBytes(of: UInt32(SIGSEGV), toByteOffset: 8, as: UInt32.self)
        page.storeBytes(of: UInt32(frames.count), toByteOffset: 12, as: UInt32.self)
        for (index, frame) in frames.enumerated() { page.storeBytes(of: frame, toByteOffset: 24 + index * 8, as: UInt64.self) }
        return try #require(CrashPage(page: UnsafeRawBufferPointer(start: page, count: 4096)))
    }

    @Test func makesSwiftNamesReadable() {
        #expect(NameLookup.demangled("$s4main3fooyyF") == "main.foo() -> ()")
        #expect(NameLookup.demangled("memcpy") == nil)
        #expect((NameLookup.demangled("$s") ?? "$s") == "$s")
    }

    @Test func lastWordsOfAStrangerAreBounded() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            var bytes = (0..<4096).map { _ in UInt8.random(in: 0...255, using: &generator) }
            withUnsafeBytes(of: CLINUX_CRASH_MAGIC.littleEndian) { bytes.replaceSubrange(0..<8, with: $0) }
            bytes.replaceSubrange(8..<12, with: [11, 0, 0, 0])
            let words = bytes.withUnsafeBytes { CrashPage(page: $0) }
            #expect((words?.frames.count ?? 0) <= 64)
            #expect((words?.objects.count ?? 0) <= 24)
        }
        #expect([UInt8](repeating: 0, count: 4096).withUnsafeBytes { CrashPage(page: $0) } == nil)
        #expect([UInt8](repeating: 0, count: 100).withUnsafeBytes { CrashPage(page: $0) } == nil)
    }

    @Test func brokenElfFilesGiveNoNames() throws {
        let file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        // Section headers lie at a file's end: a small program whole, then broken in every header byte.
        let path = try #require(realpath("/bin/true", nil))
        defer { free(path) }
        let bytes = try StateFile.read(String(cString: path), maximumBytes: 4 << 20)
        var generator = SystemRandomNumberGenerator()
        for round in 0..<128 {
            var broken = bytes
            if round < 64 {
                broken[round] = ~broken[round]
            } else {
                for _ in 0..<20 {
                    broken[Int.random(in: max(0, broken.count - 2048)..<broken.count, using: &generator)] = .random(
                        in: 0...255, using: &generator)
                }
                if round % 3 == 0 { broken.removeLast(Int.random(in: 0..<broken.count, using: &generator)) }
            }
            let memory = clinux_memfd("elf", 0)
            defer { close(memory) }
            var written = 0
            while written < broken.count {
                written += broken.withUnsafeBytes { write(memory, $0.baseAddress! + written, broken.count - written) }
            }
            if let symbols = ElfSymbols(duplicating: memory) { _ = symbols.functions(at: [0x1000, 0x2000, .max, 0]) }
        }
        for path in ["/dev/null", "/tmp"] {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            defer { close(descriptor) }
            let isElf = ElfSymbols(duplicating: descriptor) != nil
            #expect(!isElf)
        }
    }
}
