// Names that a driver chose: they are looked up in a process that may end of them, and the report is written all the same.

import CLinux
import Glibc
import Spawn
import Testing
import Wire

@testable import Sandbox
@testable import Supervisor

@Suite struct NameLookupTests {
    /// A symbol of some 220 bytes whose readable form has terabytes: each type is a dictionary of the one before, twice.
    static func doublingSymbol(_ depth: Int) -> String {
        var name = "Si"
        for step in 0..<depth {
            let again: String =
                switch step {
                case 0: "Si"
                case ...26: "A" + String(UnicodeScalar(UInt8(64 + step)))
                case 27: "A_"
                default: "A\(step - 28)_"
                }
            name = "SDy" + name + again + "G"
        }
        return "$s" + name + "D"
    }

    /// An ELF file with nothing but two symbols: one at 0x1000 and one at 0x3000, 0x1000 bytes each.
    static func elf(_ names: [String]) -> [UInt8] {
        func word<T: FixedWidthInteger>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
        var strings: [UInt8] = [0]
        var symbols: [UInt8] = []
        for (index, name) in names.enumerated() {
            // st_name, st_info (a global function), st_other, st_shndx, st_value, st_size
            symbols += word(UInt32(strings.count)) + [0x12, 0] + word(UInt16(1))
            symbols += word(UInt64(0x1000 + index * 0x2000)) + word(UInt64(0x1000))
            strings += Array(name.utf8) + [0]
        }
        let (symbolsAt, stringsAt) = (64, 64 + symbols.count)
        let sectionsAt = stringsAt + strings.count
        // e_ident, then type 3, machine 62, version 1, entry, e_phoff, e_shoff, flags, sizes and counts: three sections of 64 bytes.
        var file: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
        file += word(UInt16(3)) + word(UInt16(62)) + word(UInt32(1)) + word(UInt64(0)) + word(UInt64(0)) + word(UInt64(sectionsAt))
        file += word(UInt32(0)) + [64, 0, 0, 0, 0, 0, 64, 0, 3, 0, 0, 0]
        file += symbols + strings
        func section(_ type: Int, _ offset: Int, _ size: Int, link: Int) -> [UInt8] {
            word(UInt32(0)) + word(UInt32(type)) + word(UInt64(0)) + word(UInt64(0)) + word(UInt64(offset)) + word(UInt64(size))
                + word(UInt32(link)) + word(UInt32(0)) + word(UInt64(0)) + word(UInt64(24))
        }
        return file + section(0, 0, 0, link: 0) + section(2, symbolsAt, symbols.count, link: 2)
            + section(3, stringsAt, strings.count, link: 0)
    }

    static func service(_ adjust: (inout SupervisorConfiguration) -> Void = { _ in }) async -> NameService {
        var configuration = SupervisorConfiguration(runtimeDirectory: "", stateDirectory: "", driverFolders: [])
        configuration.libraryFolders = Bench.runtimeFolders
        configuration.namesExecutable = Bench.executable("userdriverd")
        // On a busy machine a process takes its time to start.
        configuration.timing.namesLimit = .seconds(60)
        adjust(&configuration)
        return await NameService(configuration, sandboxes: DriverSandboxes(configuration))!
    }

    /// Last words of a process that had the executable at 0 and died at these addresses.
    private static func words(_ frames: [UInt64], path: String? = nil) -> CrashPage {
        CrashPage(signal: SIGSEGV, faultAddress: 0, frames: frames, objects: [.init(base: 0, range: 0..<0x10_0000, path: path)])
    }

    private static func sealed(_ bytes: [UInt8]) throws -> SealedExecutable {
        let folder = TemporaryFolder()
        try StateFile.write(bytes, to: folder.path + "/driver")
        return try SealedExecutable(path: folder.path + "/driver")
    }

    @Test func namesComeReadableFromAProcessOfTheirOwn() async throws {
        let backtrace = Backtrace(Self.words([0x1004, 0x3008, 0x9000]), executableName: "driver")
        let names = await Self.service().names(for: backtrace, executable: try Self.sealed(Self.elf(["$s4main3fooyyF", "memcpy"])))
        #expect(backtrace.lines(names) == ["main.foo() -> () + 4 (driver)", "memcpy + 7 (driver)", "0x8fff (driver)"])
    }

    /// The way it is without a sandbox: the limits hold all the same.
    @Test(arguments: [true, false])
    func aNameThatExpandsWithoutEndIsShownAsItStands(sandboxed: Bool) async throws {
        let bomb = Self.doublingSymbol(36)
        #expect(bomb.utf8.count < 300)
        let backtrace = Backtrace(Self.words([0x1004, 0x3008]), executableName: "driver")
        let service = await Self.service { $0.sandboxesDrivers = sandboxed }
        let names = await service.names(for: backtrace, executable: try Self.sealed(Self.elf([bomb, "$s4main3fooyyF"])))
        #expect(names == [0: "\(bomb) + 4", 1: "main.foo() -> () + 7"])
    }

    @Test func aLookupThatTakesTooLongCostsNamesOnly() async throws {
        let backtrace = Backtrace(Self.words([0x1004]), executableName: "driver")
        var service = await Self.service()
        service.patience = .zero
        // It may have been quick: then the names are there.
        let names = await service.names(for: backtrace, executable: try Self.sealed(Self.elf(["memcpy"])))
        #expect(names.isEmpty || names == [0: "memcpy + 4"])
        let missing = await Self.service { $0.namesExecutable = "/nonexistent" }
        let none = await missing.names(for: backtrace, executable: try Self.sealed(Self.elf(["memcpy"])))
        #expect(none.isEmpty)
    }

    @Test func librariesAreTheSystemsRegularFilesOnly() throws {
        let folders = SandboxPolicy.systemLibraryFolders
        let memory = clinux_memfd("library", 0)
        defer { close(memory) }
        let folder = TemporaryFolder()
        try StateFile.write([1], to: folder.path + "/own.so")
        symlink("/dev/null", folder.path + "/link.so")
        symlink(folder.path + "/own.so", folder.path + "/inside.so")
        for path in [
            "/proc/self/fd/\(memory)", "/proc/self/exe", "/dev/null", "/etc/passwd", "/usr/lib/../../proc/self/fd/\(memory)", "/usr/lib",
            "/usr/lib/",
            "/usr/lib/../../dev/null", "", "libc.so.6", "../lib/libc.so.6", folder.path + "/own.so",
        ] {
            #expect(LibraryFile.open(path, below: folders) == nil, "\(path)")
        }
        #expect(LibraryFile.open(folder.path + "/link.so", below: [folder.path]) == nil)
        for path in [folder.path + "/own.so", folder.path + "/inside.so"] {
            let file = try #require(LibraryFile.open(path, below: [folder.path]))
            close(file)
        }
        chmod(folder.path + "/own.so", 0o666)
        #expect(LibraryFile.open(folder.path + "/own.so", below: [folder.path]) == nil)
        let places: [String] = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6"]
        for library in places where access(library, R_OK) == 0 {
            let file = try #require(LibraryFile.open(library, below: folders))
            close(file)
        }
    }

    @Test func whatAStrangerNamesMovesNoCursor() {
        let backtrace = Backtrace(Self.words([0x1004], path: "/x/a\u{9b}b\u{202e}.so"), executableName: "driver")
        #expect(backtrace.lines([0: "\u{1b}[2Jname\u{2028}\u{200f}"]) == ["?[2Jname?? (a?b?.so)"])
        #expect(backtrace.lines([0: String(repeating: "x", count: 100_000)])[0].count <= Backtrace.maximumLine)
    }

    @Test func anyOutputOfALookupIsTaken() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<500 {
            let bytes = (0..<200).map { _ in "01289- \n\u{ff}x".utf8.randomElement(using: &generator)! }
            let names = NameProcess.names(in: bytes, count: 3)
            #expect(names.keys.allSatisfy { (0..<3).contains($0) })
        }
        #expect(NameProcess.names(in: Array("0 a\n0 b\n1 cut".utf8), count: 2) == [0: "b"])
    }

    /// A driver that dies again and again with names that take long: its reports are there, and nobody waits for them.
    @Test func reportsAreThereBeforeTheirNames() async throws {
        let bench = try await Bench { $0.namesExecutable = "/nonexistent" }
        try await bench.drive()
        let listener = try await bench.listener()
        _ = try? await bench.client().call("io.userdriver.camera.GetControl", ["name": "crash"])
        _ = try await listener.event("running", "failed")
        let crash = try #require(
            try await bench.client().call("io.userdriver.Crashes")["crashes"]?.decoded(as: [CrashReport].self).first)
        #expect(crash.backtrace.contains { $0.hasPrefix("0x") && $0.hasSuffix("(good)") }, "\(crash.backtrace)")
        await bench.stop()
    }
}
